//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// mounts gives the names of a container's volumes by where they are mounted.
func volumesOf(t *testing.T, id string) string {
	t.Helper()
	return docker(t, "inspect", "-f", `{{range .Mounts}}{{if eq .Type "volume"}}{{.Destination}}={{.Name}} {{end}}{{end}}`, id)
}

// otherImage builds an image that differs from the test image by a label alone.
func otherImage(t *testing.T, name string) string {
	t.Helper()
	cmd := exec.Command("docker", "build", "-q", "-t", name, "-")
	cmd.Stdin = strings.NewReader("FROM croft-test/echo:1\nLABEL adopt.version=" + name + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("docker build: %v\n%s", err, out)
	}
	t.Cleanup(func() { docker(t, "rmi", "-f", name) })
	return name
}

// TestAnAdoptedStackIsChangedAsAnyOther: a later edit in its directory touches
// one service; a new image meets a copy of the data; what fails goes back; and
// docker compose goes on agreeing with what runs.
func TestAnAdoptedStackIsChangedAsAnyOther(t *testing.T) {
	p := newPlatform(t, "change", nil)
	f := newForeign(t, p, "webdb", randomWord())
	f.compose("up", "-d")
	p.imports(t, f, "--name", "shop")
	project := f.project
	row := filepath.Join(strings.TrimSpace(docker(t, "volume", "inspect", "-f", "{{.Mountpoint}}", project+"_rows")), "row")
	if err := os.WriteFile(row, []byte("acknowledged"), 0o644); err != nil {
		t.Fatal(err)
	}

	// One word of the environment: one service.
	before := f.containers()
	f.edit("docker-compose.yml", "GREETING: hello", "GREETING: servus")
	if due, _ := p.due(t); due != "shop/web recreate restart: environment changed: GREETING" {
		t.Fatalf("plan says %q", due)
	}
	p.must(t, "apply", "-y")
	f.same(before, "a change of web", "web")
	before = f.containers()
	f.compose("up", "-d")
	f.same(before, "docker compose up after croft's change")

	// Another image meets the data: copied aside first, one service, same volume.
	next := otherImage(t, "adopt-db-"+randomWord()+":2")
	f.edit("docker-compose.yml", "  db:\n    image: croft-test/echo:1", "  db:\n    image: "+next)
	due, plan := p.due(t)
	if due != "shop/db recreate data: image croft-test/echo:1 -> "+next || len(plan.Blocked) > 0 {
		t.Fatalf("plan says %q, blocked %v", due, plan.Blocked)
	}
	p.must(t, "apply", "-y")
	f.same(before, "a new image of db", "db")
	copies, err := filepath.Glob(filepath.Dir(row) + ".croft-aside-*/row")
	if err != nil || len(copies) != 1 {
		t.Errorf("copies of the data: %v, %v", copies, err)
	}

	// One that never becomes healthy, and writes into the data: all goes back.
	before = f.containers()
	f.edit("docker-compose.yml", "image: "+next, "image: "+otherImage(t, "adopt-db-"+randomWord()+":3")+"\n    command: [-listen, \":9\"]")
	if r := p.run(t, "apply", "-y", "--wait-timeout", "1m"); r.code != exitTakenBack {
		t.Errorf("%s", r)
	}
	f.same(before, "the way back of db", "db")
	if image := strings.TrimSpace(docker(t, "inspect", "-f", "{{.Config.Image}} {{.State.Health.Status}}", project+"-db-1")); image != next+" healthy" {
		t.Errorf("after the way back db runs %s", image)
	}
	if got, err := os.ReadFile(row); err != nil || string(got) != "acknowledged" {
		t.Errorf("the row is %q, %v", got, err)
	}
	if v := volumesOf(t, project+"-db-1"); !strings.Contains(v, "="+project+"_rows ") {
		t.Errorf("db is on %s", v)
	}

	// Forgotten, it runs on, and nobody calls it broken.
	before = f.containers()
	p.must(t, "stack", "remove", "shop")
	p.must(t, "apply", "-y", "--remove-orphans")
	f.same(before, "stack remove")
	for _, s := range p.status(t).Stacks {
		t.Errorf("status still knows %+v", s)
	}
}

// TestWhatDiffersIsRefused: an import that the next apply would answer with new
// containers says which, and why, and adopts nothing.
func TestWhatDiffersIsRefused(t *testing.T) {
	p := newPlatform(t, "differ", nil)
	f := newForeign(t, p, "webdb", randomWord())
	f.compose("up", "-d")
	f.edit("docker-compose.yml", "GREETING: hello", "GREETING: geheim")
	r := p.refuses(t, exitRefused, []string{"stack", "import", f.dir}, "web (recreate)", "environment: GREETING", "--force")
	if strings.Contains(r.said(), "geheim") || strings.Contains(r.said(), "db (") {
		t.Errorf("%s", r)
	}
	other := newForeign(t, p, "single", randomWord())
	p.refuses(t, exitRefused, []string{"stack", "import", other.dir, "--project", f.project}, f.dir)
	p.refuses(t, exitRefused, []string{"stack", "import", other.dir}, "web (create)")
	f.env = []string{"SHELL_ONLY=x"}
	f.edit("docker-compose.yml", "GREETING: geheim", "GREETING: ${SHELL_ONLY}")
	f.compose("up", "-d")
	before := f.containers()
	t.Setenv("SHELL_ONLY", "x")
	p.refuses(t, exitRefused, []string{"stack", "import", f.dir}, "--set SHELL_ONLY", "/.env")
	if v := p.imports(t, f, "--set", "SHELL_ONLY"); !v.Adopted {
		t.Errorf("%+v", v)
	}
	if due, _ := p.due(t); due != "" {
		t.Errorf("plan says %q", due)
	}
	p.must(t, "stack", "remove", f.project)
	t.Setenv("SHELL_ONLY", "")
	if v := p.imports(t, f, "--force"); v.Adopted {
		t.Errorf("%+v", v)
	}
	f.same(before, "import --force")
	if due, _ := p.due(t); !strings.HasPrefix(due, f.project+"/web recreate") || strings.Contains(due, "\n") {
		t.Errorf("plan says %q", due)
	}
}

// TestDecorationKeepsNameVolumesAndNetworks: the ordinary plan that makes an
// adopted project a stack of the platform makes its services anew, on the data
// that they had.
func TestDecorationKeepsNameVolumesAndNetworks(t *testing.T) {
	p := newPlatform(t, "deco", nil)
	random := randomWord()
	shop, scratch, binds := newForeign(t, p, "webdb", random), newForeign(t, p, "anonymous", random), newForeign(t, p, "binds", random)
	for i, f := range []*foreign{shop, scratch, binds} {
		f.compose("up", "-d")
		p.imports(t, f, "--name", []string{"shop", "scratch", "binds"}[i])
	}
	network := docker(t, "network", "inspect", "-f", "{{.Id}}", shop.project+"_back")
	was := volumesOf(t, shop.project+"-db-1") + volumesOf(t, scratch.project+"-web-1")
	if strings.Count(was, "=") != 2 {
		t.Fatalf("volumes are %q", was)
	}
	for _, f := range []*foreign{shop, scratch, binds} {
		if v := p.imports(t, f, "--decorate"); !v.Decorate {
			t.Errorf("%+v", v)
		}
	}
	due, plan := p.due(t)
	if strings.Count(due, " recreate restart: croft decorates it from now on") != 4 || strings.Count(due, "\n") != 3 || len(plan.Blocked)+len(plan.Volumes) > 0 {
		t.Errorf("plan says\n%s\n%+v", due, plan)
	}
	p.must(t, "apply", "-y")
	if now := volumesOf(t, shop.project+"-db-1") + volumesOf(t, scratch.project+"-web-1"); now != was {
		t.Errorf("volumes were %q and are %q", was, now)
	}
	if source := docker(t, "inspect", "-f", `{{range .Mounts}}{{if eq .Destination "/data"}}{{.Source}}{{end}}{{end}}`, binds.project+"-web-1"); strings.TrimSpace(source) != filepath.Join(binds.dir, "data") {
		t.Errorf("/data is %s", source)
	}
	if now := docker(t, "network", "inspect", "-f", "{{.Id}}", shop.project+"_back"); now != network {
		t.Error("the network is another one")
	}
	if n := len(p.containers(t)); n != 4 {
		t.Errorf("%d containers carry croft's label", n)
	}
	if r := p.run(t, "plan", "--detailed-exitcode"); r.code != exitDone {
		t.Errorf("%s", r)
	}
	p.refuses(t, exitRefused, []string{"destroy", "-y", "--volume", "shop/rows"}, "docker volume rm")
	p.must(t, "destroy", "-y")
	if n := len(shop.containers()); n != 0 {
		t.Errorf("destroy left %d containers that croft made", n)
	}
	docker(t, "volume", "inspect", shop.project+"_rows")
	p.must(t, "apply", "-y")
	if now := volumesOf(t, shop.project+"-db-1"); !strings.Contains(was, now) {
		t.Errorf("volumes were %q and are %q", was, now)
	}
}

// TestAKilledImportTouchesNothing: killed at any moment, import leaves croft.yaml
// whole and the containers alone, and the same command completes it.
func TestAKilledImportTouchesNothing(t *testing.T) {
	p := newPlatform(t, "kill", nil)
	f := newForeign(t, p, "job", randomWord())
	f.compose("up", "-d")
	before := f.containers()
	binary, err := croftBinary()
	if err != nil {
		t.Fatal(err)
	}
	killed := 0
	for wait := 20 * time.Millisecond; wait < 800*time.Millisecond; wait += 40 * time.Millisecond {
		cmd := exec.Command(binary, "stack", "import", f.dir, "--name", "job")
		cmd.Env = append(os.Environ(), "CROFT_STATE="+p.state, "CROFT_DIR="+p.dir)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(wait, func() { _ = cmd.Process.Kill() })
		if err := cmd.Wait(); err != nil {
			killed++
		}
		timer.Stop()
		p.must(t, "validate")
		f.same(before, "a killed import")
	}
	if killed == 0 {
		t.Error("no import was killed")
	}
	if v := p.imports(t, f, "--name", "job"); !v.Adopted {
		t.Errorf("%+v", v)
	}
	if r := p.run(t, "plan", "--detailed-exitcode"); r.code != exitDone {
		t.Errorf("%s", r)
	}
	f.same(before, "the import after the kills")
	t.Logf("%d imports were killed", killed)
}
