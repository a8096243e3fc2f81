package host

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAdoptedFilesAreTrusted: data beside the files may be anybody's, what croft
// reads may not.
func TestAdoptedFilesAreTrusted(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("who owns a file can be changed by root alone")
	}
	dir := filepath.Join(t.TempDir(), "blog")
	file := filepath.Join(dir, "compose.yaml")
	for _, d := range []string{dir, filepath.Join(dir, "data"), filepath.Join(dir, "part")} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	part := filepath.Join(dir, "part", "x.yaml")
	for _, f := range []string{file, part} {
		if err := os.WriteFile(f, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	check := func(want string) {
		t.Helper()
		err := AdoptedFiles(dir, []string{file, part, filepath.Join(dir, "not-there.env")}, nil)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check("")
	must(os.Chown(filepath.Join(dir, "data"), 70, 70))
	must(os.Chmod(filepath.Join(dir, "data"), 0o777))
	check("")
	must(os.Chmod(file, 0o666))
	check("compose.yaml: can be written by others")
	must(os.Chmod(file, 0o644))
	must(os.Chown(filepath.Dir(part), 1234, 1234))
	check("part: belongs to uid 1234")
	must(os.Chown(filepath.Dir(part), 0, 0))
	must(os.Chmod(dir, 0o777))
	check("blog: can be written by others")
	must(os.Chmod(dir, 0o755))
	// A link leads to what is read.
	other := filepath.Join(t.TempDir(), "other.yaml")
	must(os.WriteFile(other, nil, 0o666))
	must(os.Chmod(other, 0o666))
	must(os.Remove(file))
	must(os.Symlink(other, file))
	check("other.yaml: can be written by others")
}
