package provision_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/croft-sh/croft/provision/enginetest"
)

// shape is a stack whose service app gets a new image that migrates data on its
// start, then crashes. Only where the data lies differs.
type shape struct {
	compose string // with APP for the image
	row     string // the file that is migrated
}

func shapes(b *bench) map[string]shape {
	outside := b.outside
	check := "healthcheck: {test: [CMD, \"true\"]}"
	return map[string]shape{
		"a volume of its own": {row: filepath.Join(b.data(), "c/shop/data/row"),
			compose: "services:\n  app: {image: \"APP\", volumes: [\"data:/data\"], " + check + "}\nvolumes: {data: {}}\n"},
		"a directory of the stack": {row: filepath.Join(b.data(), "c/shop/.binds/rows/row"),
			compose: "services:\n  app: {image: \"APP\", volumes: [\"./rows:/data\"], " + check + "}\n"},
		"the volume of another service": {row: filepath.Join(b.data(), "c/shop/data/row"),
			compose: "services:\n  app: {image: \"APP\", " + check + "}\n  store: {image: \"store:1\", volumes: [\"data:/data\"], " + check + "}\nvolumes: {data: {}}\n"},
		"the volume behind a pooler": {row: filepath.Join(b.data(), "c/shop/data/row"),
			compose: "services:\n  app: {image: \"APP\", networks: [a], " + check + "}\n  pool: {image: \"pool:1\", networks: [a, b]}\n" +
				"  store: {image: \"store:1\", networks: [b], volumes: [\"data:/data\"], " + check + "}\nnetworks: {a: {}, b: {}}\nvolumes: {data: {}}\n"},
		"a directory outside": {row: filepath.Join(outside, "row"),
			compose: "services:\n  app: {image: \"APP\", volumes: [\"" + outside + ":/data\"], " + check + "}\n"},
		"a file outside": {row: filepath.Join(outside, "row"),
			compose: "services:\n  app: {image: \"APP\", volumes: [\"" + outside + "/row:/data/row\"], " + check + "}\n"},
		"a volume with a directory of its author's": {row: filepath.Join(outside, "row"),
			compose: "services:\n  app: {image: \"APP\", volumes: [\"data:/data\"], " + check + "}\nvolumes: {data: {driver_opts: {type: none, o: bind, device: " + outside + "}}}\n"},
	}
}

func TestEveryShapeOfDataGoesBack(t *testing.T) {
	for name := range shapes(backBench(t)) {
		t.Run(name, func(t *testing.T) {
			b := backBench(t)
			s := shapes(b)[name]
			b.shop(s.compose, "app:1")
			b.must()
			side := b.engine.Container("home-side", "side").ID
			b.put(s.row, "acknowledged")
			b.engine.Behave("app:2", enginetest.Behaviour{Exit: enginetest.Exited(3), Started: func() { b.put(s.row, "migrated") }})
			b.shop(s.compose, "app:2")
			rev, err := b.applyBack()
			if err == nil || rev.Result != "taken-back" {
				t.Fatalf("%v, %+v", err, rev)
			}
			if got := b.get(s.row); got != "acknowledged" {
				t.Errorf("the old image meets %q", got)
			}
			for _, name := range []string{"app", "store", "pool"} {
				if c := b.engine.Container("home-shop", name); c.ID != "" && c.State != "running" {
					t.Errorf("%s is %s", name, c.State)
				}
			}
			if c := b.engine.Container("home-shop", "app"); c.Image != "app:1" {
				t.Errorf("%s runs", c.Image)
			}
			if b.engine.Container("home-side", "side").ID != side {
				t.Error("a neighbour was replaced")
			}
		})
	}
}

// TestNobodyWritesBetweenTheCopyAndTheNewImage: what the old one acknowledged
// after the copy would be gone after the way back.
func TestNobodyWritesBetweenTheCopyAndTheNewImage(t *testing.T) {
	b := backBench(t)
	s := shapes(b)["the volume of another service"]
	b.shop(s.compose, "app:1")
	b.must()
	b.put(s.row, "acknowledged")
	b.shop(s.compose, "app:2")
	copied := false
	b.p.Volumes = &migrating{Volumes: b.p.Volumes, after: func() {
		copied = true
		for _, name := range []string{"app", "store"} {
			if c := b.engine.Container("home-shop", name); c.Running() {
				t.Errorf("%s runs while the data is copied", name)
			}
		}
	}}
	b.must()
	if !copied {
		t.Error("nothing was copied")
	}
}

// TestARenamedServiceMeetsItsData: no container of that name ever met it.
func TestARenamedServiceMeetsItsData(t *testing.T) {
	b := backBench(t)
	s := shapes(b)["a volume of its own"]
	b.shop(s.compose, "app:1")
	b.must()
	b.put(s.row, "acknowledged")
	b.engine.Behave("app:2", enginetest.Behaviour{Exit: enginetest.Exited(3), Started: func() { b.put(s.row, "migrated") }})
	b.shop(strings.Replace(s.compose, "app: {", "application: {", 1), "app:2")
	b.removeOrphans = true
	if rev, err := b.applyBack(); err == nil {
		t.Fatalf("%+v", rev)
	}
	if got := b.get(s.row); got != "acknowledged" {
		t.Errorf("the old image meets %q", got)
	}
	if c := b.engine.Container("home-shop", "app"); c.Image != "app:1" || c.State != "running" {
		t.Errorf("app: %s is %q", c.Image, c.State)
	}
}

// shop writes the stack with an image of app.
func (b *bench) shop(compose, image string) {
	b.t.Helper()
	b.write("stacks/shop/compose.yaml", strings.ReplaceAll(compose, "APP", image))
	raw, err := os.ReadFile(filepath.Join(b.dir, "croft.yaml"))
	if err != nil {
		b.t.Fatal(err)
	}
	if !strings.Contains(string(raw), "shop") {
		b.write("croft.yaml", strings.Replace(string(raw), "side: {}", "side: {}, shop: {}", 1))
	}
}

func (b *bench) must() {
	b.t.Helper()
	if rev, err := b.applyBack(); err != nil {
		b.t.Fatalf("%v (%+v)", err, rev)
	}
}

func (b *bench) put(path, text string) {
	b.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) get(path string) string {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(raw)
}
