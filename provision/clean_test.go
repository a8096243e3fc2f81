package provision_test

import (
	"context"
	"fmt"
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

func (b *bench) mkdir(path string) string {
	b.t.Helper()
	if err := os.MkdirAll(path, 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(path, "row"), []byte("data"), 0o644); err != nil {
		b.t.Fatal(err)
	}
	return path
}

func (b *bench) reclaimable() []provision.Reclaimable {
	b.t.Helper()
	got, err := b.p.Reclaimable(context.Background(), func(context.Context) (map[string]int64, error) { return map[string]int64{}, nil })
	if err != nil {
		b.t.Fatal(err)
	}
	return got
}

func kinds(list []provision.Reclaimable) string {
	var out []string
	for _, r := range list {
		out = append(out, r.Owner+" "+r.Kind+" "+filepath.Base(r.Name()))
	}
	return strings.Join(out, "\n")
}

// TestCleanTakesOnlyWhatIsCroftsOwn lays things beside a volume that look alike.
func TestCleanTakesOnlyWhatIsCroftsOwn(t *testing.T) {
	b := backBench(t)
	if _, err := b.applyBack(); err != nil {
		t.Fatal(err)
	}
	b.row("acknowledged")
	volume := filepath.Join(b.data(), "c", "db", "data")
	gone := []string{b.mkdir(volume + ".croft-failed-3"), b.mkdir(volume + ".croft-aside-2.part")}
	stays := []string{volume,
		b.mkdir(volume + ".croft-failed-"), b.mkdir(volume + ".croft-failed-3x"), b.mkdir(volume + ".croft-failed-3.part"),
		b.mkdir(volume + "2.croft-failed-3"), b.mkdir(volume + ".croft-aside-9"), b.mkdir(volume + ".old"),
		b.mkdir(filepath.Join(volume, "data.croft-failed-3")), b.mkdir(filepath.Join(b.data(), "c", "data.croft-failed-3")),
		b.mkdir(volume + ".croft-failed-7"), b.mkdir(volume + ".croft-failed-8/inner"),
	}
	b.engine.AddVolume(stacks.Volume{Name: "home-x_y", Options: map[string]string{"device": volume + ".croft-failed-7"}})
	b.engine.AddVolume(stacks.Volume{Name: "home-x_z", Options: map[string]string{"device": volume + ".croft-failed-8/inner"}})
	link := volume + ".croft-failed-5"
	if err := os.Symlink(stays[1], link); err != nil {
		t.Fatal(err)
	}
	found := b.reclaimable()
	if got := kinds(found); got != "db copy data.croft-aside-2.part\ndb failed-data data.croft-failed-3" {
		t.Fatalf("found:\n%s", got)
	}
	for _, r := range found {
		if err := b.p.Reclaim(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range gone {
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%s is still there", path)
		}
	}
	for _, path := range append(stays, link) {
		if _, err := os.Lstat(path); err != nil {
			t.Error(err)
		}
	}
	if got := b.row(""); got != "acknowledged" {
		t.Errorf("the volume holds %q", got)
	}
}

func TestCopiesGoAfterSevenDays(t *testing.T) {
	b := backBench(t)
	for _, image := range []string{"db:1", "db:2"} {
		b.upgrade(image)
		if _, err := b.applyBack(); err != nil {
			t.Fatal(err)
		}
		b.row("written by " + image)
	}
	if got := kinds(b.reclaimable()); got != "" {
		t.Fatalf("a young copy would go:\n%s", got)
	}
	b.ticks.Add(int64(8 * 24 * time.Hour / time.Second))
	found := b.reclaimable()
	if got := kinds(found); got != "db copy data.croft-aside-2" {
		t.Fatalf("found:\n%s", got)
	}
	if err := b.p.Reclaim(t.Context(), found[0]); err != nil {
		t.Fatal(err)
	}
	if raw, err := os.ReadFile(filepath.Join(b.p.StateDir, "asides.json")); err != nil || strings.Contains(string(raw), "croft-aside") {
		t.Errorf("the list still names it: %s, %v", raw, err)
	}
	if got := kinds(b.reclaimable()); got != "" {
		t.Errorf("left:\n%s", got)
	}
}

func TestRevisionsThatAWayBackNeedsStay(t *testing.T) {
	b := backBench(t)
	if _, err := b.applyBack(); err != nil {
		t.Fatal(err)
	}
	b.upgrade("db:2")
	b.engine.Behave("db:2", enginetest.Behaviour{Health: "unhealthy"})
	if _, err := b.applyBack(); err == nil {
		t.Fatal("the upgrade did not fail")
	}
	// Old ones that were not applied to anything, and 50 newer.
	for n := 3; n <= 60; n++ {
		b.mkdir(filepath.Join(b.p.StateDir, "revisions", fmt.Sprint(n)))
	}
	b.mkdir(filepath.Join(b.p.StateDir, "revisions", "1.removing"))
	var got []string
	for _, r := range b.reclaimable() {
		if r.Kind == "revision" {
			got = append(got, filepath.Base(r.Path))
			if err := b.p.Reclaim(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
	}
	// 1 is what the held stack runs on, 2 is the last in which its neighbours were applied.
	slices.Sort(got)
	if want := "1.removing 10 3 4 5 6 7 8 9"; strings.Join(got, " ") != want {
		t.Errorf("removed %v, want %s", got, want)
	}
	if _, err := b.applyBack(); err != nil {
		t.Errorf("what is held does not apply any more: %v", err)
	}
}

func TestImagesThatOnlyCroftHoldsGo(t *testing.T) {
	b := backBench(t)
	if _, err := b.applyBack(); err != nil {
		t.Fatal(err)
	}
	state, err := b.p.Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	used := state.Images["db:1"]
	for tag, id := range map[string]string{"croft-keep/home:used": used, "croft-keep/other:x": used} {
		if err := b.engine.Tag(t.Context(), id, tag); err != nil {
			t.Fatal(err)
		}
	}
	b.engine.AddImage("croft-keep/home:stale")
	b.engine.AddImage("croft-keep/other:stale")
	found := b.reclaimable()
	if got := kinds(found); got != "croft image home:stale" {
		t.Fatalf("found:\n%s", got)
	}
	if err := b.p.Reclaim(t.Context(), found[0]); err != nil {
		t.Fatal(err)
	}
	if got := kinds(b.reclaimable()); got != "" {
		t.Errorf("left:\n%s", got)
	}
}
