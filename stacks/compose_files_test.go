package stacks

import (
	"maps"
	"os"
	"strings"
	"syscall"
	"testing"
)

func TestLoadStackRefusesWhatLeadsOut(t *testing.T) {
	compose := "services: {a: {image: b}}\n"
	tests := map[string]struct {
		make func(t *testing.T, dir string)
		want string
	}{
		"a link to a file outside": {func(t *testing.T, dir string) { link(t, "/etc/passwd", dir+"/stacks/app/x") }, "stacks/app/x: is a symbolic link"},
		"a link inside":            {func(t *testing.T, dir string) { link(t, "compose.yaml", dir+"/stacks/app/x") }, "stacks/app/x: is a symbolic link"},
		"a linked directory":       {func(t *testing.T, dir string) { link(t, "/etc", dir+"/stacks/app/x") }, "stacks/app/x: is a symbolic link"},
		"a linked stack": {func(t *testing.T, dir string) {
			if err := os.Rename(dir+"/stacks/app", dir+"/real"); err != nil {
				t.Fatal(err)
			}
			link(t, "../real", dir+"/stacks/app")
		}, "stacks/app: is a symbolic link"},
		"all stacks linked": {func(t *testing.T, dir string) {
			if err := os.Rename(dir+"/stacks", dir+"/real"); err != nil {
				t.Fatal(err)
			}
			link(t, "real", dir+"/stacks")
		}, "stacks: is a symbolic link"},
		"a pipe": {func(t *testing.T, dir string) {
			if err := syscall.Mkfifo(dir+"/stacks/app/x", 0o600); err != nil {
				t.Fatal(err)
			}
		}, "stacks/app/x: is neither a file nor a directory"},
		"a file for a stack": {func(t *testing.T, dir string) {
			if err := os.RemoveAll(dir + "/stacks/app"); err != nil {
				t.Fatal(err)
			}
			write(t, dir+"/stacks/app", "")
		}, "stacks/app: is not a directory"},
		"no stack": {func(t *testing.T, dir string) {
			if err := os.RemoveAll(dir + "/stacks/app"); err != nil {
				t.Fatal(err)
			}
		}, "stacks/app: cannot be read: no such file or directory"},
		"no Compose file": {func(t *testing.T, dir string) {
			if err := os.Remove(dir + "/stacks/app/compose.yaml"); err != nil {
				t.Fatal(err)
			}
		}, "stacks/app: holds no Compose file"},
		"a control character": {func(t *testing.T, dir string) { write(t, dir+"/stacks/app/a\nb", "") }, `stacks/app: the file name "a\nb" holds a control character`},
		"a git directory":     {func(t *testing.T, dir string) { write(t, dir+"/stacks/app/.git", "") }, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.MkdirAll(dir+"/stacks/app", 0o755); err != nil {
				t.Fatal(err)
			}
			write(t, dir+"/stacks/app/compose.yaml", compose)
			test.make(t, dir)
			env := testEnv()
			env.Dir = dir
			root, err := os.OpenRoot(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close()
			_, ps := LoadStack(os.DirFS(dir), "app", env)
			if got := ps.Error(); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			_, ps = LoadStack(root.FS(), "app", env)
			if got := ps.Error(); got != test.want {
				t.Errorf("by os.Root: got %q, want %q", got, test.want)
			}
		})
	}
}

func link(t *testing.T, to, name string) {
	t.Helper()
	if err := os.Symlink(to, name); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestLoadStackLimits(t *testing.T) {
	many := map[string]string{"compose.yaml": "services: {a: {image: b}}\n"}
	for i := range maxStackFiles {
		many["d/"+string(rune('a'+i%26))+strings.Repeat("x", i/26)] = ""
	}
	_, ps := LoadStack(stackFS(many), "app", testEnv())
	if got, want := ps.Error(), "stacks/app: holds more than 2000 files"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	large := map[string]string{"compose.yaml": "services: {a: {image: b}}\n", "big": strings.Repeat("x", maxStackFile+1)}
	_, ps = LoadStack(stackFS(large), "app", testEnv())
	if got, want := ps.Error(), "stacks/app/big: is larger than 16384 KiB"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	deep := maps.Clone(many)
	clear(deep)
	deep["compose.yaml"] = "services: {a: {image: b}}\n"
	deep[strings.Repeat("d/", 40)+"x"] = ""
	_, ps = LoadStack(stackFS(deep), "app", testEnv())
	if !strings.Contains(ps.Error(), "directories deep") {
		t.Error(told(ps))
	}
}
