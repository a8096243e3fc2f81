package provision_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/croft-sh/croft/provision"
	"github.com/croft-sh/croft/provision/enginetest"
	"github.com/croft-sh/croft/stacks"
)

// api writes the stack that has a database on the shared server.
func (b *bench) api(image string) {
	b.write("stacks/api/compose.yaml", strings.Replace(base()["stacks/api/compose.yaml"], "api:1", image, 1))
}

func (b *bench) database(name string) string {
	text, _ := b.databases.Get(name)
	return text
}

// migrates makes an image change the database when it starts, and then crash.
func (b *bench) migrates(image string) {
	b.engine.Behave(image, enginetest.Behaviour{Exit: enginetest.Exited(3), Started: func() { b.databases.Put("app", "migrated") }})
}

func TestADatabaseOnTheSharedServerGoesBack(t *testing.T) {
	b := backBench(t)
	b.must()
	b.databases.Put("app", "acknowledged")
	server := b.engine.Container("home-db", "db").ID
	b.api("api:2")
	b.migrates("api:2")
	if got := b.planNow().String(); !strings.Contains(got, "data api/postgres/app: copy (api gets another image)") {
		t.Errorf("plan:\n%s", got)
	}
	b.databases.Fail = func(call string) error {
		if c := b.engine.Container("home-api", "api"); strings.HasPrefix(call, "copy") && c.Running() {
			t.Error("the program runs while its database is copied")
		}
		return nil
	}
	rev, err := b.applyBack()
	if err == nil || rev.Result != "taken-back" {
		t.Fatalf("%v, %+v", err, rev)
	}
	if got := b.database("app"); got != "acknowledged" {
		t.Errorf("the old image meets %q", got)
	}
	if got := b.engine.Container("home-api", "api"); got.Image != "api:1" || got.State != "running" {
		t.Errorf("%s is %s", got.Image, got.State)
	}
	if b.engine.Container("home-db", "db").ID != server {
		t.Error("the server was replaced")
	}
	if got := kinds(b.reclaimable()); got != "api failed-data app_croft_failed_2" {
		t.Errorf("clean lists %q", got)
	}
	b.api("api:3")
	b.must()
	if got := b.database("app_croft_aside_3"); got != "acknowledged" {
		t.Errorf("the copy from before revision 3 holds %q", got)
	}
	for _, one := range b.reclaimable() {
		if err := b.p.Reclaim(context.Background(), one); err != nil {
			t.Fatal(err)
		}
	}
	if _, there := b.databases.Get("app_croft_failed_2"); there || b.database("app") == "" || b.databases.Len() != 2 {
		t.Errorf("after clean there are %d databases", b.databases.Len())
	}
}

// TestADatabaseWhoseCopyFailsMeetsNoNewImage: nothing of the new one starts.
func TestADatabaseWhoseCopyFailsMeetsNoNewImage(t *testing.T) {
	b := backBench(t)
	b.must()
	b.databases.Put("app", "acknowledged")
	b.api("api:2")
	b.migrates("api:2")
	b.databases.Fail = func(call string) error {
		if call == "copy app" {
			return errors.New("no space left on device")
		}
		return nil
	}
	if rev, err := b.applyBack(); err == nil || rev.Result != "taken-back" || !strings.Contains(err.Error(), "no space left") {
		t.Fatalf("%v, %+v", err, rev)
	}
	if got := b.engine.Container("home-api", "api"); got.Image != "api:1" || got.State != "running" || b.database("app") != "acknowledged" {
		t.Errorf("%s is %s on %q", got.Image, got.State, b.database("app"))
	}
}

// TestAWayBackOfADatabaseThatFailsIsTakenUpAgain: killed or refused at each step,
// the next apply does the rest, and the old image starts on nothing else.
func TestAWayBackOfADatabaseThatFailsIsTakenUpAgain(t *testing.T) {
	for name, after := range map[string]bool{"before the names change": false, "after the names changed": true} {
		t.Run(name, func(t *testing.T) {
			b := backBench(t)
			b.must()
			b.databases.Put("app", "acknowledged")
			b.api("api:2")
			b.migrates("api:2")
			inner := b.databases
			b.p.Databases = &dying{Databases: inner, after: after}
			if _, err := b.applyBack(); err == nil {
				t.Fatal("no error")
			}
			if got := b.engine.Container("home-api", "api"); got.Image == "api:1" {
				t.Errorf("the old image is %s on %q", got.State, b.database("app"))
			}
			b.p.Databases = inner
			b.must()
			if got := b.engine.Container("home-api", "api"); got.Image != "api:1" || got.State != "running" || b.database("app") != "acknowledged" {
				t.Errorf("%s is %s on %q", got.Image, got.State, b.database("app"))
			}
		})
	}
}

// dying fails at a swap, before or after it happened.
type dying struct {
	*enginetest.Databases
	after bool
}

func (d *dying) Swap(ctx context.Context, server, name, aside, failed string) error {
	if d.after {
		if err := d.Databases.Swap(ctx, server, name, aside, failed); err != nil {
			return err
		}
	}
	return errors.New("killed")
}

// planNow gives the plan as apply would make it.
func (b *bench) planNow() stacks.Plan {
	b.t.Helper()
	d, err := b.p.Desired(b.load)
	if err != nil {
		b.t.Fatal(err)
	}
	prep, err := b.p.Plan(context.Background(), d, provision.PlanOptions{RemoveOrphans: b.removeOrphans, WithoutCopy: b.withoutCopy})
	if err != nil {
		b.t.Fatal(err)
	}
	return prep.Plan
}

// TestAVolumeWithoutANameGoesBack: the container that knows it must stay until
// another takes the volume over.
func TestAVolumeWithoutANameGoesBack(t *testing.T) {
	b := backBench(t)
	compose := "services:\n  app: {image: \"APP\", restart: always, healthcheck: {test: [CMD, \"true\"]}}\n" +
		"  cache: {image: \"cache:1\", restart: always, healthcheck: {test: [CMD, \"true\"]}}\n"
	for _, image := range []string{"app:1", "app:2", "cache:1"} {
		b.engine.Declare(image, "/data", b.outside)
	}
	b.shop(compose, "app:1")
	b.must()
	rows := map[string]string{}
	for _, name := range []string{"app", "cache"} {
		rows[name] = filepath.Join(b.engine.Unnamed("home-shop", name, "/data"), "row")
		b.put(rows[name], "acknowledged")
	}
	cache := b.engine.Container("home-shop", "cache").ID
	b.engine.Behave("app:2", enginetest.Behaviour{Exit: enginetest.Exited(3), Started: func() {
		b.put(rows["app"], "migrated")
		b.put(rows["cache"], "migrated")
	}})
	b.shop(compose, "app:2")
	if got := b.planNow().String(); !strings.Contains(got, "data shop/app:/data: copy") || !strings.Contains(got, "data shop/cache:/data: copy") {
		t.Errorf("plan:\n%s", got)
	}
	if rev, err := b.applyBack(); err == nil || rev.Result != "taken-back" {
		t.Fatalf("%v, %+v", err, rev)
	}
	for name, row := range rows {
		if filepath.Dir(row) != b.engine.Unnamed("home-shop", name, "/data") || b.get(row) != "acknowledged" {
			t.Errorf("%s has %s with %q", name, b.engine.Unnamed("home-shop", name, "/data"), b.get(row))
		}
	}
	if c := b.engine.Container("home-shop", "cache"); c.ID != cache || c.State != "running" {
		t.Errorf("the neighbour in the stack is another container or %s", c.State)
	}
	seen, err := b.engine.Inspect(context.Background(), []string{cache})
	if err != nil || seen[0].RestartPolicy != "always" {
		t.Errorf("its restart policy is %q, %v", seen[0].RestartPolicy, err)
	}
}

func TestDataThatCannotBeCopiedWaitsForAPerson(t *testing.T) {
	app := "services:\n  app: {image: \"APP\", volumes: [\"%s:/data\"], healthcheck: {test: [CMD, \"true\"]}}\n"
	for name, tt := range map[string]struct {
		compose func(b *bench) string
		before  func(b *bench)
		data    string
		why     string
	}{
		"a directory of the system": {data: "/srv", why: "directory of the system",
			compose: func(*bench) string { return strings.Replace(app, "%s", "/srv", 1) }},
		"a network file system": {data: "shop/data", why: "a file system of kind nfs", compose: func(*bench) string {
			return strings.Replace(app, "%s", "data", 1) + "volumes: {data: {driver_opts: {type: nfs, o: addr=nas, device: \":/x\"}}}\n"
		}},
		"a directory that another stack writes": {data: "OUT", why: "other/w writes it too",
			compose: func(b *bench) string { return strings.Replace(app, "%s", b.outside, 1) },
			before: func(b *bench) {
				b.engine.AddContainer(stacks.Container{Name: "home-other-w-1", Project: "home-other", Stack: "other", Service: "w",
					Labels: map[string]string{stacks.LabelPlatform: "home"}, Mounts: []stacks.Mount{{Path: b.outside + "/sub", Target: "/x"}}})
			}},
		"a directory that a foreign container writes": {data: "OUT", why: "container media, which is not of this platform",
			compose: func(b *bench) string { return strings.Replace(app, "%s", b.outside, 1) },
			before: func(b *bench) {
				b.engine.AddContainer(stacks.Container{Name: "media", Mounts: []stacks.Mount{{Path: filepath.Dir(b.outside), Target: "/x"}}})
			}},
	} {
		t.Run(name, func(t *testing.T) {
			b := backBench(t)
			compose := tt.compose(b)
			b.shop(compose, "app:1")
			b.must()
			if tt.before != nil {
				tt.before(b)
			}
			data := strings.ReplaceAll(tt.data, "OUT", b.outside)
			b.shop(compose, "app:2")
			id := b.engine.Container("home-shop", "app").ID
			plan := b.planNow()
			if len(plan.Blocked) != 1 || plan.Blocked[0].Subject != "data "+data || !strings.Contains(plan.Blocked[0].Why, tt.why) ||
				!strings.Contains(plan.Blocked[0].Hint, "--without-copy "+data) {
				t.Fatalf("blocked: %+v", plan.Blocked)
			}
			var blocked *provision.BlockedError
			if _, err := b.applyBack(); !errors.As(err, &blocked) || b.engine.Container("home-shop", "app").ID != id {
				t.Fatalf("%v; or the container was touched", err)
			}
			t.Run("declared disposable", func(t *testing.T) {
				b.shop("x-croft: {backup: {volumes: {\""+strings.TrimPrefix(data, "shop/")+"\": skip}}}\n"+compose, "app:2")
				if got := b.planNow(); len(got.Blocked) != 0 || !strings.Contains(got.String(), "data "+data+": leave") {
					t.Errorf("plan:\n%s", got)
				}
				b.shop(compose, "app:2")
			})
			b.withoutCopy = []string{data}
			b.engine.Behave("app:2", enginetest.Behaviour{Exit: enginetest.Exited(3)})
			rev, err := b.applyBack()
			var failed *provision.FailedError
			if !errors.As(err, &failed) || failed.TakenBack != 0 || rev.Stacks["shop"] != "failed" || !strings.Contains(err.Error(), data+" went without a copy, as asked") {
				t.Fatalf("%v, %+v", err, rev)
			}
			if c := b.engine.Container("home-shop", "app"); c.Image == "app:1" {
				t.Error("the old image was started on data that the new one has had")
			}
			b.withoutCopy = nil
			if _, err := b.applyBack(); !errors.As(err, &failed) || failed.TakenBack != 0 {
				t.Errorf("a second apply took it back: %v", err)
			}
		})
	}
}

func TestConsentToNothingIsAMistake(t *testing.T) {
	b := backBench(t)
	b.must()
	b.withoutCopy = []string{"shop/dta"}
	d, err := b.p.Desired(b.load)
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.p.Plan(context.Background(), d, provision.PlanOptions{WithoutCopy: b.withoutCopy})
	var unknown *provision.UnknownDataError
	if !errors.As(err, &unknown) || unknown.Hint() == "" {
		t.Errorf("%v", err)
	}
}

// TestWhatIsNoDataHoldsNothing: sockets, time zones, what is mounted for reading,
// and what is declared to keep no state.
func TestWhatIsNoDataHoldsNothing(t *testing.T) {
	b := backBench(t)
	compose := `
x-croft: {stateless: [app]}
services:
  app:
    image: "APP"
    volumes: ["/run:/hostrun", "/etc/hosts:/etc/hosts", "/dev:/dev", "/usr/share/zoneinfo:/z", "OUT:/ro:ro"]
    healthcheck: {test: [CMD, "true"]}
  store: {image: "store:1", volumes: ["data:/data"], healthcheck: {test: [CMD, "true"]}}
volumes: {data: {}}
`
	compose = strings.ReplaceAll(compose, "OUT", b.outside)
	b.shop(compose, "app:1")
	b.must()
	b.put(filepath.Join(b.data(), "c/shop/data/row"), "acknowledged")
	store := b.engine.Container("home-shop", "store").ID
	b.shop(compose, "app:2")
	if plan := b.planNow(); len(plan.Blocked) > 0 || len(plan.Data) > 0 {
		t.Errorf("plan:\n%s", plan)
	}
	b.must()
	if b.engine.Container("home-shop", "store").ID != store {
		t.Error("the store was stopped for nothing")
	}
	if left, _ := os.ReadDir(filepath.Join(b.data(), "c/shop")); len(left) != 1 {
		t.Errorf("copies: %v", left)
	}
}

// TestABootStartsNoOldImageOnDataThatWentWithoutACopy: the upgrade was killed
// behind the gate, and something else is written since.
func TestABootStartsNoOldImageOnDataThatWentWithoutACopy(t *testing.T) {
	b := backBench(t)
	compose := "services:\n  app: {image: \"APP\", volumes: [\"data:/data\"], healthcheck: {test: [CMD, \"true\"]}}\n" +
		"volumes: {data: {driver_opts: {type: nfs, o: addr=nas, device: \":/x\"}}}\n"
	b.shop(compose, "app:1")
	b.must()
	b.shop(compose, "app:2")
	b.engine.Behave("app:2", enginetest.Behaviour{Health: "starting"})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	prep := b.plan(provision.PlanOptions{WithoutCopy: []string{"shop/data"}})
	if _, err := b.p.Apply(ctx, prep, provision.ApplyOptions{WaitTimeout: time.Minute, Inputs: b.inputs(), Load: b.load}, func(e stacks.Event) {
		if e.Phase == "gate" && e.Service == "app" {
			cancel()
		}
	}); err == nil {
		t.Fatal("an interrupted apply says that all is well")
	}
	if got := b.planNow(); len(got.Blocked) > 0 {
		t.Errorf("the consent for this change is forgotten: %+v", got.Blocked)
	}
	b.shop(compose, "app:3")
	b.reboot()
	out, _ := b.boot()
	if c := b.engine.Container("home-shop", "app"); c.Image == "app:1" || !slices.Contains(out.Left, "shop") {
		t.Errorf("%s runs; left are %v", c.Image, out.Left)
	}
}

// TestARollbackPutsADatabaseOfThenInPlace, and forward again today's.
func TestARollbackPutsADatabaseOfThenInPlace(t *testing.T) {
	b := backBench(t)
	b.must()
	b.databases.Put("app", "acknowledged by 1")
	b.api("api:2")
	b.must()
	b.databases.Put("app", "migrated by 2")
	back, err := b.planRollback(provision.RollbackOptions{To: 1, Stacks: []string{"api"}})
	if err != nil || len(back.Plan.Blocked) != 1 || !strings.Contains(back.Plan.Blocked[0].Hint, "--data then") {
		t.Fatalf("unasked: %v, %+v", err, back.Plan.Blocked)
	}
	back, err = b.planRollback(provision.RollbackOptions{To: 1, Stacks: []string{"api"}, Data: provision.DataThen})
	if err != nil {
		t.Fatal(err)
	}
	rev, err := b.applyRollback(context.Background(), back)
	if err != nil || rev.Number != 3 {
		t.Fatalf("%v, %+v", err, rev)
	}
	for name, want := range map[string]string{"app": "acknowledged by 1", "app_croft_aside_2": "acknowledged by 1", "app_croft_aside_3": "migrated by 2", "app_croft_then_3": ""} {
		if got := b.database(name); got != want {
			t.Errorf("%s holds %q, want %q", name, got, want)
		}
	}
	if c := b.engine.Container("home-api", "api"); c.Image != "api:1" || c.State != "running" {
		t.Errorf("%s is %s", c.Image, c.State)
	}
}
