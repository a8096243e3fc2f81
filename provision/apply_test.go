package provision_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/croft-sh/croft/provision"
	"github.com/croft-sh/croft/provision/enginetest"
	"github.com/croft-sh/croft/stacks"
)

// keeper stands in for the age store: values are their own names.
type keeper struct {
	have      map[string]string
	delivered []stacks.Grant
	fail      error
}

func (k *keeper) Ensure(specs map[string]stacks.SecretSpec) ([]string, error) {
	var created []string
	for name := range specs {
		if _, ok := k.have[name]; !ok {
			k.have[name] = "fp-" + name
			created = append(created, name)
		}
	}
	return created, k.fail
}

func (k *keeper) Fingerprints(keys []string) (map[string]string, error) {
	out := map[string]string{}
	for _, key := range keys {
		if fp, ok := k.have[key]; ok {
			out[key] = fp
		}
	}
	return out, nil
}

func (k *keeper) Undelivered(grants []stacks.Grant) (map[string]stacks.Undelivered, error) {
	out := map[string]stacks.Undelivered{}
	for _, g := range grants {
		info, err := os.Lstat(g.Path)
		switch {
		case err != nil:
			out[g.Path] = stacks.SecretGone
		case info.Mode().Perm() != 0o600:
			out[g.Path] = "it is open to all"
		}
	}
	return out, nil
}

func (k *keeper) Deliver(grants []stacks.Grant) error {
	k.delivered = grants
	for _, g := range grants {
		if err := os.MkdirAll(filepath.Dir(g.Path), 0o755); err != nil {
			return err
		}
		_ = os.Remove(g.Path) // a new file has the mode asked for
		if err := os.WriteFile(g.Path, []byte(g.Secret), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// bench is a platform on disk and an engine in memory.
type bench struct {
	t             testing.TB
	dir           string
	engine        *enginetest.Fake
	keeper        *keeper
	p             *provision.Provisioner
	ticks         atomic.Int64
	removeOrphans bool
	withoutCopy   []string
	databases     *enginetest.Databases
	outside       string // a directory that croft did not make
}

// base is a platform of three plain waves: db <- api, and an unrelated side.
func base() map[string]string {
	return map[string]string{
		"croft.yaml": "version: 1\nname: home\nadmin: {name: ada, email: ada@example.com}\nexpose: loopback\n" +
			"stacks: {db: {}, api: {}, side: {}}\n",
		"stacks/db/compose.yaml": `
x-croft:
  serves: [postgres]
  hub: db
  secrets: {root: {generate: 20, rotate: restart}}
  reload: {db: {files: [settings], signal: HUP}}
  setup: [{service: db, command: [prepare]}]
services:
  db:
    image: db:1
    user: "70:70"
    secrets: [root]
    volumes: ["data:/data", "./settings:/settings:ro"]
    healthcheck: {test: [CMD, "true"]}
volumes: {data: {}}
`,
		"stacks/db/settings/a.conf": "first\n",
		"stacks/api/compose.yaml": `
x-croft:
  needs: [db]
  secrets: {pw: {generate: 20, rotate: restart}}
  databases: {app: {engine: postgres, owner: app, password: pw}}
services:
  api: {image: "api:1", healthcheck: {test: [CMD, "true"]}}
`,
		"stacks/side/compose.yaml": "services:\n  side: {image: \"side:1\"}\n",
	}
}

func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{t: t, dir: t.TempDir(), engine: enginetest.New(), keeper: &keeper{have: map[string]string{}}}
	for path, text := range base() {
		b.write(path, text)
	}
	state := t.TempDir()
	var parts atomic.Int64 // stacks write at the same time
	b.p = &provision.Provisioner{
		Platform: "home", StateDir: state, RunDir: filepath.Join(state, "run"), Engine: b.engine, Networks: b.engine, Containers: b.engine, Secrets: b.keeper,
		WriteFile: func(path string, data []byte, mode fs.FileMode) error {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				return err
			}
			part := path + "." + strconv.FormatInt(parts.Add(1), 10)
			if err := os.WriteFile(part, data, mode); err != nil {
				return err
			}
			return os.Rename(part, path)
		},
		MakeVolume: func(string, string) error { return nil },
		// A second passes between two looks, so that settling needs little waiting.
		Now: func() time.Time {
			return time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC).Add(time.Duration(b.ticks.Add(1)) * time.Second)
		},
	}
	return b
}

func (b *bench) write(path, text string) {
	b.t.Helper()
	full := filepath.Join(b.dir, filepath.FromSlash(path))
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) desired() stacks.Desired {
	b.t.Helper()
	d, problems := stacks.LoadDesired(os.DirFS(b.dir), stacks.LoadOptions{Dir: b.dir})
	if err := problems.Err(); err != nil {
		b.t.Fatal(err)
	}
	return d
}

func (b *bench) plan(o provision.PlanOptions) provision.Prepared {
	b.t.Helper()
	prep, err := b.p.Plan(context.Background(), b.desired(), o)
	if err != nil {
		b.t.Fatal(err)
	}
	return prep
}

func (b *bench) apply() (provision.Revision, error) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return b.p.Apply(ctx, b.plan(provision.PlanOptions{}), provision.ApplyOptions{WaitTimeout: time.Minute}, nil)
}

func (b *bench) mustApply() provision.Revision {
	b.t.Helper()
	rev, err := b.apply()
	if err != nil {
		b.t.Fatal(err)
	}
	return rev
}

func TestApplyThenNothingIsLeftToDo(t *testing.T) {
	b := newBench(t)
	before := b.plan(provision.PlanOptions{})
	if got := before.Plan.Summary[stacks.ActionCreate]; got != 3 {
		t.Fatalf("%d services to create, want 3:\n%s", got, before.Plan)
	}
	rev := b.mustApply()
	if rev.Result != "applied" || rev.Number != 1 {
		t.Errorf("revision %+v, want number 1, applied", rev)
	}
	if after := b.plan(provision.PlanOptions{}); !after.Plan.Empty() {
		t.Errorf("a second plan is not empty:\n%s files %v", after.Plan, after.Plan.Files)
	}
	status, err := b.p.Status(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range status.Stacks {
		if s.State != stacks.Healthy {
			t.Errorf("stack %s is %s", s.Name, s.State)
		}
	}
}

func TestHubIsJoinedBeforeTheConsumerStarts(t *testing.T) {
	b := newBench(t)
	b.mustApply()
	db := b.engine.Container("home-db", "db")
	if !slices.Contains(db.Networks, "home-api-postgres") {
		t.Fatalf("the database is on %v, not on its consumer's network", db.Networks)
	}
	if got := b.engine.Aliases(db.ID, "home-api-postgres"); !slices.Contains(got, "postgres") {
		t.Errorf("aliases %v, want postgres", got)
	}
	calls := b.engine.Calls()
	joined := slices.IndexFunc(calls, func(c string) bool {
		return strings.Contains(c, "home-api-postgres") && strings.HasPrefix(strings.ToLower(c), "connect")
	})
	started := slices.IndexFunc(calls, func(c string) bool {
		return strings.Contains(c, "home-api") && strings.HasPrefix(strings.ToLower(c), "up")
	})
	if joined < 0 || started < 0 || joined > started {
		t.Errorf("joined at call %d, consumer up at %d:\n%s", joined, started, strings.Join(calls, "\n"))
	}
	if slices.Contains(b.engine.Container("home-side", "side").Networks, "home-api-postgres") {
		t.Error("a neighbour is on the database network")
	}
}

func TestSecretsAreDeliveredBeforeAnyContainer(t *testing.T) {
	b := newBench(t)
	b.mustApply()
	if len(b.keeper.delivered) != 1 || b.keeper.delivered[0].Path != filepath.Join(b.p.RunDir, "secrets/db/db/root") || b.keeper.delivered[0].UID != 70 {
		t.Errorf("delivered %+v", b.keeper.delivered)
	}
}

func TestReloadTellsTheServiceAndRunsSetupAgain(t *testing.T) {
	b := newBench(t)
	b.mustApply()
	db := b.engine.Container("home-db", "db")
	b.write("stacks/db/settings/a.conf", "second\n")
	plan := b.plan(provision.PlanOptions{}).Plan
	if got := plan.String(); got != "db/db: reload, risk none (file settings/a.conf changed)\n" {
		t.Fatalf("plan:\n%s", got)
	}
	b.engine.Forget()
	b.mustApply()
	if got := b.engine.Container("home-db", "db"); got.ID != db.ID {
		t.Error("the container was replaced")
	}
	if got := b.engine.Signals(db.ID); !slices.Equal(got, []string{"HUP"}) {
		t.Errorf("signals %v, want HUP", got)
	}
	if !slices.ContainsFunc(b.engine.Calls(), func(c string) bool { return strings.Contains(c, "prepare") }) {
		t.Errorf("setup did not run: %v", b.engine.Calls())
	}
	if !b.plan(provision.PlanOptions{}).Plan.Empty() {
		t.Error("a reload is planned again and again")
	}
}

func TestAFailedStackIsNamedAndNeighboursGoOn(t *testing.T) {
	b := newBench(t)
	b.engine.Behave("db", enginetest.Behaviour{Health: "unhealthy", HealthLog: "no space", Logs: "FATAL: no space left"})
	b.engine.Behave("home-db/db", enginetest.Behaviour{Health: "unhealthy", HealthLog: "no space", Logs: "FATAL: no space left"})
	rev, err := b.apply()
	var failed *provision.FailedError
	if !errors.As(err, &failed) {
		t.Fatalf("error %v, want a FailedError", err)
	}
	if failed.Stack != "db" || failed.Service != "db" || !strings.Contains(failed.Reason, "no space") || !strings.Contains(failed.LogTail, "FATAL") {
		t.Errorf("failure %+v", failed)
	}
	want := map[string]string{"db": "failed", "api": "skipped", "side": "applied"}
	for name, result := range want {
		if rev.Stacks[name] != result {
			t.Errorf("stack %s: %s, want %s", name, rev.Stacks[name], result)
		}
	}
	if rev.Result != "partial" || !failed.Partial {
		t.Errorf("result %s, partial %v", rev.Result, failed.Partial)
	}
}

func TestAStalePlanIsRefused(t *testing.T) {
	b := newBench(t)
	prep := b.plan(provision.PlanOptions{})
	b.engine.AddContainer(stacks.Container{Name: "home-side-side-1", Project: "home-side", Stack: "side", Service: "side", State: "running"})
	b.engine.Forget()
	_, err := b.p.Apply(context.Background(), prep, provision.ApplyOptions{}, nil)
	var stale *provision.StaleError
	if !errors.As(err, &stale) {
		t.Fatalf("error %v, want a StaleError", err)
	}
	if calls := b.engine.Calls(); slices.ContainsFunc(calls, func(c string) bool { return !strings.HasPrefix(strings.ToLower(c), "observe") }) {
		t.Errorf("the machine was touched: %v", calls)
	}
	if entries, _ := os.ReadDir(b.p.StateDir); len(entries) > 0 {
		t.Errorf("the state was written: %v", entries)
	}
}

func TestAPortInUseBlocksAndChangesNothing(t *testing.T) {
	b := newBench(t)
	b.write("stacks/side/compose.yaml", "services:\n  side: {image: \"side:1\", ports: [\"127.0.0.1:8443:80\"]}\n")
	b.p.PortHolder = func(p stacks.PublishedPort) string {
		if p.Port == 8443 {
			return "nginx (pid 1)"
		}
		return ""
	}
	b.engine.Forget()
	_, err := b.apply()
	var blocked *provision.BlockedError
	if !errors.As(err, &blocked) || !strings.Contains(err.Error(), "8443") || !strings.Contains(err.Error(), "nginx") {
		t.Fatalf("error %v", err)
	}
	if len(b.engine.Volumes()) > 0 || b.engine.Container("home-side", "side").ID != "" {
		t.Error("something was made")
	}
}

func TestANarrowedPlanBringsWhatItNeeds(t *testing.T) {
	b := newBench(t)
	plan := b.plan(provision.PlanOptions{Stacks: []string{"api"}}).Plan
	var names []string
	for _, c := range plan.Changes {
		names = append(names, c.Stack)
	}
	if !slices.Equal(names, []string{"db", "api"}) {
		t.Errorf("changes for %v, want db then api", names)
	}
	if _, err := b.p.Plan(context.Background(), b.desired(), provision.PlanOptions{Stacks: []string{"nope"}}); err == nil {
		t.Error("an unknown stack is no error")
	}
}

func TestAStackTakenOutIsAnOrphanUntilLeaveIsGiven(t *testing.T) {
	b := newBench(t)
	b.mustApply()
	b.write("croft.yaml", strings.Replace(base()["croft.yaml"], ", side: {}", "", 1))
	if plan := b.plan(provision.PlanOptions{}).Plan; len(plan.Warnings) == 0 || plan.Summary[stacks.ActionRemove] != 0 {
		t.Fatalf("warnings %v, plan\n%s", plan.Warnings, plan)
	}
	prep := b.plan(provision.PlanOptions{RemoveOrphans: true})
	if _, err := b.p.Apply(context.Background(), prep, provision.ApplyOptions{WaitTimeout: time.Minute}, nil); err != nil {
		t.Fatal(err)
	}
	if b.engine.Container("home-side", "side").ID != "" {
		t.Error("the orphan still runs")
	}
}

func TestVolumesStayWhereTheyWereMade(t *testing.T) {
	b := newBench(t)
	b.mustApply()
	text := strings.Replace(base()["croft.yaml"], "expose: loopback", "expose: loopback\nstorage: {containers: /elsewhere/c, projects: /elsewhere/p, databases: /elsewhere/d}", 1)
	b.write("croft.yaml", text)
	plan := b.plan(provision.PlanOptions{}).Plan
	if len(plan.Blocked) > 0 || !plan.Empty() {
		t.Errorf("a changed storage root moves what exists:\n%s", plan)
	}
}
