//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"testing"
)

// TestCleanRemovesLeftoversAndNothingElse puts something beside a running
// stack's volume that a failed change would have left.
func TestCleanRemovesLeftoversAndNothingElse(t *testing.T) {
	p := newPlatform(t, "clean", map[string]string{"stacks/one/compose.yaml": quietStack("first")})
	p.writeConfig(t, "one")
	p.must(t, "apply", "-y")
	volume := filepath.Join(p.storage, "containers/one/data")
	for _, dir := range []string{volume, volume + ".croft-failed-1", volume + ".mine"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, "row"), "data")
	}
	writeFile(t, filepath.Join(p.state, ".croft-lock.json-1.tmp"), "half")

	type view struct {
		Schema string
		Bytes  int64
		Items  []struct {
			Owner, Kind, Path string
			Removed           bool
		}
	}
	dry := decode[view](t, p.must(t, "clean", "--dry-run", "-o", "json").stdout)
	if dry.Schema != "croft/clean/v1" || len(dry.Items) != 2 || dry.Items[1].Owner != "one" || dry.Items[1].Path != volume+".croft-failed-1" || dry.Bytes == 0 {
		t.Errorf("it would remove %+v", dry)
	}
	if r := p.run(t, "clean"); r.code != exitUsage {
		t.Errorf("nobody was asked: %s", r)
	}
	for _, item := range decode[view](t, p.must(t, "clean", "-y", "-o", "json").stdout).Items {
		if _, err := os.Lstat(item.Path); err == nil || !item.Removed {
			t.Errorf("%s is still there", item.Path)
		}
	}
	for _, dir := range []string{volume, volume + ".mine"} {
		if got := string(read(t, filepath.Join(dir, "row"))); got != "data" {
			t.Errorf("%s holds %q", dir, got)
		}
	}
	if got := p.must(t, "clean", "-y").stdout; got != "nothing to clean\n" {
		t.Errorf("a second time: %s", got)
	}
}
