package host

import (
	"os"
	"path/filepath"
	"testing"
)

func TestBeginAndCommit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "out")
	part, err := Begin(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(part, "old"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if part, err = Begin(path); err != nil { // as after a kill
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(part, "old")); err == nil {
		t.Error("what a killed run left is still there")
	}
	if err := os.WriteFile(filepath.Join(part, "new"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o755); err != nil { // an empty one may be there
		t.Fatal(err)
	}
	if err := Commit(part, path); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(path)
	if err != nil || len(entries) != 1 || entries[0].Name() != "new" {
		t.Errorf("%v, %v", entries, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}

	if part, err = Begin(path); err != nil {
		t.Fatal(err)
	}
	if err := Commit(part, path); err == nil {
		t.Error("a directory with something in it was replaced")
	}
	if _, err := os.Stat(filepath.Join(path, "new")); err != nil {
		t.Error(err)
	}

	foreign := path + "2"
	if err := os.Mkdir(foreign+".part", 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Begin(foreign); err == nil {
		t.Error("a directory that is not croft's was taken")
	}
}
