package host

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLookTellsDataFromTheRest(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	if err := os.MkdirAll(data, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "rows"), make([]byte, 64<<10), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(data, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	socket, err := net.Listen("unix", filepath.Join(dir, "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	for _, tt := range []struct {
		path string
		data bool
		why  string
		real string
	}{
		{data, true, "", data},
		{filepath.Join(data, "rows"), true, "", filepath.Join(data, "rows")},
		{filepath.Join(dir, "link"), true, "", data},
		{filepath.Join(dir, "missing"), false, "", ""},
		{filepath.Join(dir, "socket"), false, "", ""},
		{"/etc/hosts", false, "", ""}, {"/dev/null", false, "", ""}, {"/proc", false, "", ""}, {"/run", false, "", ""}, {"/usr/share", false, "", ""},
		{"/", true, "directory of the system", "/"}, {"/home", true, "directory of the system", "/home"}, {"/var/lib", true, "directory of the system", "/var/lib"},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		if tt.path == "/" || strings.HasPrefix(tt.path, "/home") || strings.HasPrefix(tt.path, "/var") {
			cancel() // not to be counted
		}
		got, err := Aside{}.Look(ctx, tt.path)
		cancel()
		if err != nil {
			t.Errorf("%s: %v", tt.path, err)
			continue
		}
		if got.Data != tt.data || !strings.Contains(got.Why, tt.why) || (got.Why == "") != (tt.why == "") || tt.real != "" && got.Path != tt.real {
			t.Errorf("%s: %+v", tt.path, got)
		}
		if tt.path == data && got.Bytes < 64<<10 {
			t.Errorf("%s has %d bytes", tt.path, got.Bytes)
		}
	}
}

// TestAFileIsCopiedAndPutBack as a directory is.
func TestAFileIsCopiedAndPutBack(t *testing.T) {
	dir := t.TempDir()
	file, aside, failed := filepath.Join(dir, "db"), filepath.Join(dir, "db.croft-aside-1"), filepath.Join(dir, "db.croft-failed-1")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("acknowledged")
	if err := (Aside{}).Copy(t.Context(), file, aside); err != nil {
		t.Fatal(err)
	}
	write("migrated")
	for range 2 { // the second time nothing is left to do
		if err := (Aside{}).Swap(file, aside, failed); err != nil {
			t.Fatal(err)
		}
		for path, want := range map[string]string{file: "acknowledged", failed: "migrated"} {
			if raw, err := os.ReadFile(path); err != nil || string(raw) != want {
				t.Errorf("%s holds %q, %v", path, raw, err)
			}
		}
	}
}

func TestFitsCountsWhatComesBesides(t *testing.T) {
	dir := t.TempDir()
	if err := (Aside{}).Fits([]string{dir, filepath.Join(dir, "missing")}, map[string]int64{dir: 1}); err != nil {
		t.Error(err)
	}
	if err := (Aside{}).Fits(nil, map[string]int64{dir: 1 << 60}); err == nil || !strings.Contains(err.Error(), "are free") {
		t.Errorf("an exabyte fits: %v", err)
	}
}

func TestAMountPointIsSeen(t *testing.T) {
	if !mountPoint("/proc") || mountPoint(t.TempDir()) {
		t.Errorf("/proc: %v, a new directory: %v", mountPoint("/proc"), mountPoint(t.TempDir()))
	}
}
