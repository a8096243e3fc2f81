package provision_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/croft-sh/croft/provision"
	"github.com/croft-sh/croft/provision/enginetest"
	"github.com/croft-sh/croft/stacks"
)

const strangersCompose = `services:
  web: {image: "web:1", environment: {A: one}, depends_on: [db]}
  db: {image: "sql:1", restart: always, volumes: ["rows:/rows", "./more:/more"]}
  migrate: {image: "web:1"}
volumes: {rows: {}}
`

// stranger is a bench whose platform is of one project that docker compose runs.
type stranger struct {
	*bench
	site string
}

func newStranger(t *testing.T) *stranger {
	t.Helper()
	s := &stranger{bench: newBench(t), site: t.TempDir()}
	s.file("compose.yaml", strangersCompose)
	for _, image := range []string{"web:1", "sql:1"} {
		s.engine.AddImage(image)
	}
	s.engine.Behave("oldblog/migrate", enginetest.Behaviour{Exit: enginetest.Exited(0)})
	err := s.engine.Up(t.Context(), provision.UpRequest{File: filepath.Join(s.site, "compose.yaml"), Project: "oldblog", Services: []string{"web", "db", "migrate"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.croftYAML("blog: {adopt: {dir: " + s.site + ", project: oldblog}}")
	return s
}

// croftYAML writes the stacks of the platform, and tells everybody what is adopted.
func (s *stranger) croftYAML(entry string) {
	s.t.Helper()
	s.write("croft.yaml", "version: 1\nname: home\nadmin: {name: ada, email: ada@example.com}\nexpose: loopback\nstacks: {"+entry+"}\n")
	p, problems := stacks.LoadPlatform(os.DirFS(s.dir))
	if err := problems.Err(); err != nil {
		s.t.Fatal(err)
	}
	s.p.Adopted = p.AdoptedProjects()
	s.engine.Adopt(s.p.Adopted)
}

func (s *stranger) file(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.site, name), []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// load is a provision.Loader.
func (s *stranger) load(instead map[string]fs.FS) (stacks.Desired, error) {
	d, problems := stacks.LoadDesired(os.DirFS(s.dir), stacks.LoadOptions{Dir: s.dir, Machine: os.DirFS("/"), Instead: instead})
	return d, problems.Err()
}

func (s *stranger) planned() provision.Prepared {
	s.t.Helper()
	d, err := s.p.Desired(s.load)
	if err != nil {
		s.t.Fatal(err)
	}
	prep, err := s.p.Plan(context.Background(), d, provision.PlanOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	return prep
}

// applied applies with the inputs that the program would keep.
func (s *stranger) applied() (provision.Revision, error) {
	s.t.Helper()
	prep := s.planned()
	text, err := os.ReadFile(filepath.Join(s.dir, "croft.yaml"))
	if err != nil {
		s.t.Fatal(err)
	}
	inputs := map[string][]byte{"croft.yaml": text}
	for _, st := range prep.Desired.Stacks {
		for _, f := range st.Files {
			inputs["stacks/"+st.Name+"/"+f.Path] = f.Content
		}
	}
	return s.p.Apply(context.Background(), prep, provision.ApplyOptions{WaitTimeout: 20e9, Inputs: inputs, Load: s.load}, nil)
}

func (s *stranger) adopt() provision.Adoption {
	s.t.Helper()
	d, err := s.load(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	a, err := s.p.PlanAdoption(context.Background(), d, "blog")
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

// ids gives the containers of the project by service.
func (s *stranger) ids() string {
	var out []string
	for _, svc := range []string{"web", "db", "migrate"} {
		out = append(out, s.engine.Container("oldblog", svc).ID)
	}
	return strings.Join(out, " ")
}

func TestAdoptTouchesNothing(t *testing.T) {
	s := newStranger(t)
	before := s.ids()
	a := s.adopt()
	if changes := a.Plan.Of("blog"); len(changes) > 0 || len(a.Plan.Blocked) > 0 {
		t.Fatalf("it runs as it is written, and the plan says %s", a.Plan)
	}
	if entries, err := os.ReadDir(filepath.Join(s.p.StateDir, "revisions")); err == nil || len(entries) > 0 {
		t.Error("to look is not to write")
	}
	if err := s.p.Adopt(a); err != nil {
		t.Fatal(err)
	}
	s.engine.Forget()
	if rev, err := s.applied(); err != nil || rev.Stacks["blog"] != "applied" {
		t.Fatalf("%+v, %v", rev, err)
	}
	for _, call := range s.engine.Calls() {
		if word, _, _ := strings.Cut(call, " "); !slices.Contains([]string{"observe", "inspect"}, word) {
			t.Errorf("the engine was asked: %s", call)
		}
	}
	if prep := s.planned(); !prep.Plan.Empty() || s.ids() != before {
		t.Errorf("the first plan after it:\n%s", prep.Plan)
	}
	st, err := s.p.Status(t.Context())
	if err != nil || len(st.Stacks) != 1 || st.Stacks[0].State != stacks.Healthy || st.Stacks[0].Project != "oldblog" {
		t.Errorf("status %+v, %v", st, err)
	}

	// Destroy leaves them, and what is known of them.
	if err := s.p.Destroy(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if prep := s.planned(); !prep.Plan.Empty() || s.ids() != before {
		t.Errorf("after destroy:\n%s", prep.Plan)
	}
	if st, err := s.p.Status(t.Context()); err != nil || len(st.Stacks) != 1 {
		t.Errorf("status after destroy: %+v, %v", st, err)
	}

	// Forgotten, they are nobody's.
	s.croftYAML("")
	prep := s.planned()
	if !prep.Plan.Empty() || len(prep.Plan.Warnings) > 0 {
		t.Errorf("forgotten, and the plan says %s %v", prep.Plan, prep.Plan.Warnings)
	}
	if st, err := s.p.Status(t.Context()); err != nil || len(st.Stacks) != 0 {
		t.Errorf("status of a forgotten one: %+v, %v", st, err)
	}
}

// TestAdoptedGoesBackToItsFiles: the way back reads the project's files as they
// were when it was adopted, with the data it had.
func TestAdoptedGoesBackToItsFiles(t *testing.T) {
	s := newStranger(t)
	data := filepath.Join(t.TempDir(), "_data")
	more := filepath.Join(s.site, "more")
	for _, dir := range []string{data, more} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s.engine.AddVolume(stacks.Volume{Name: "oldblog_rows", Driver: "local", Mountpoint: data, Labels: map[string]string{"com.docker.compose.project": "oldblog"}})
	copies := &asides{}
	s.p.Volumes, s.p.Repairs = copies, s.engine
	if err := s.p.Adopt(s.adopt()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.applied(); err != nil {
		t.Fatal(err)
	}
	web := s.engine.Container("oldblog", "web").ID
	s.engine.AddImage("sql:2")
	s.engine.Behave("sql:2", enginetest.Behaviour{Exit: enginetest.Exited(1)})
	s.file("compose.yaml", strings.Replace(strangersCompose, "sql:1", "sql:2", 1))
	if plan := s.planned().Plan; !strings.Contains(plan.String(), "blog/db: recreate, risk data (image sql:1 -> sql:2)\n") {
		t.Fatalf("plan\n%s", plan)
	}
	rev, err := s.applied()
	if err == nil || rev.Result != "taken-back" {
		t.Fatalf("%+v, %v", rev, err)
	}
	if got := s.engine.Container("oldblog", "db"); got.Image != "sql:1" || !got.Running() {
		t.Errorf("db runs %s, %s", got.Image, got.State)
	}
	if s.engine.Container("oldblog", "web").ID != web {
		t.Error("web was touched")
	}
	for _, dir := range []string{data, more} {
		if !slices.Contains(copies.copied, dir) || !slices.Contains(copies.back, dir) {
			t.Errorf("%s was not copied aside and put back: %+v", dir, copies)
		}
	}
	prep := s.planned()
	if !prep.Plan.Empty() {
		t.Errorf("held, and the plan says %s", prep.Plan)
	}
	if places := prep.Lock.Places(); places["blog/rows"] != data || places["blog/.binds/more"] != more || len(prep.Lock.Volumes) > 0 {
		t.Errorf("copies beside them would not be found: %v", places)
	}
}

// asides notes what is copied and put back.
type asides struct{ copied, back []string }

func (a *asides) Look(_ context.Context, path string) (stacks.Place, error) {
	return stacks.Place{Path: path, Data: true}, nil
}
func (a *asides) Fits([]string, map[string]int64) error { return nil }
func (a *asides) Copy(_ context.Context, from, to string) error {
	a.copied = append(a.copied, from)
	return os.MkdirAll(to, 0o755)
}
func (a *asides) Swap(path, _, _ string) error {
	a.back = append(a.back, path)
	return nil
}
