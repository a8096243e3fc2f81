package main

import (
	"os"
	"path/filepath"
	"testing"
)

func testFarm(t *testing.T) *Farm {
	t.Helper()
	source := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":                           "module x\n\nrequire a.b/c v1\nrequire d.e/f v1\n",
		"cmd/imagefarm/own/main.go":        "package main",
		"cmd/imagefarm/own/main_test.go":   "package main",
		"cmd/imagefarm/other/untouched.go": "package main",
	} {
		write(t, filepath.Join(source, name), text)
	}
	return &Farm{source: source, platform: "go1 linux/amd64"}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestProgramKey(t *testing.T) {
	module := Program{Name: "m", Module: "a.b/c", Version: "v1", Sum: "h1:x"}
	own := Program{Name: "o", Own: "own", Depends: []string{"a.b/c"}}
	deb := Program{Name: "d", Deb: "pkg", DebFile: "bin/d"}
	debs := debSet{Files: []string{"pkg_1%3a2.0_amd64.deb", "other_1_amd64.deb"}}
	tests := []struct {
		name    string
		program Program
		change  func(f *Farm, p *Program, d *debSet)
		same    bool
	}{
		{"nothing", module, func(*Farm, *Program, *debSet) {}, true},
		{"module version", module, func(_ *Farm, p *Program, _ *debSet) { p.Version = "v2" }, false},
		{"module hash", module, func(_ *Farm, p *Program, _ *debSet) { p.Sum = "h1:y" }, false},
		{"tags", module, func(_ *Farm, p *Program, _ *debSet) { p.Tags = "netgo" }, false},
		{"go version", module, func(f *Farm, _ *Program, _ *debSet) { f.platform = "go2 linux/amd64" }, false},
		{"packages do not matter to a module", module, func(_ *Farm, _ *Program, d *debSet) { d.Files = nil }, true},
		{"own source", own, func(f *Farm, _ *Program, _ *debSet) {
			write(t, filepath.Join(f.source, "cmd/imagefarm/own/main.go"), "package main // changed")
		}, false},
		{"own test", own, func(f *Farm, _ *Program, _ *debSet) {
			write(t, filepath.Join(f.source, "cmd/imagefarm/own/main_test.go"), "package main // changed")
		}, true},
		{"a module it imports", own, func(f *Farm, _ *Program, _ *debSet) {
			write(t, filepath.Join(f.source, "go.mod"), "module x\n\nrequire a.b/c v2\nrequire d.e/f v1\n")
		}, false},
		{"a module it does not import", own, func(f *Farm, _ *Program, _ *debSet) {
			write(t, filepath.Join(f.source, "go.mod"), "module x\n\nrequire a.b/c v1\nrequire d.e/f v2\n")
		}, true},
		{"package version", deb, func(_ *Farm, _ *Program, d *debSet) { d.Files = []string{"pkg_3_amd64.deb"} }, false},
		{"other package", deb, func(_ *Farm, _ *Program, d *debSet) { d.Files = d.Files[:1] }, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, p, d := testFarm(t), tt.program, debs
			before, err := f.programKey(p, d)
			if err != nil {
				t.Fatal(err)
			}
			tt.change(f, &p, &d)
			after, err := f.programKey(p, d)
			if err != nil || (before == after) != tt.same {
				t.Errorf("%s -> %s, %v; same should be %v", before, after, err, tt.same)
			}
		})
	}
}

func TestEntryKey(t *testing.T) {
	f, err := NewFarm(os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	debs := debSet{Files: []string{"busybox-static_1_amd64.deb", "postgresql-15_1_amd64.deb"}}
	newer := debSet{Files: []string{"busybox-static_1_amd64.deb", "postgresql-15_2_amd64.deb"}}
	keys := map[string]string{}
	for _, e := range Manifest() {
		key, err := f.entryKey(e, debs)
		if err != nil {
			t.Fatal(err)
		}
		if keys[key] != "" {
			t.Errorf("%s and %s have one key", keys[key], e.Name)
		}
		keys[key] = e.Name
		again, err := f.entryKey(e, newer)
		if err != nil || (again == key) != (e.Debian == "") {
			t.Errorf("%s: a newer package changes the key: %v, %v", e.Name, again != key, err)
		}
		e.Configure = append([]string{"USER 1"}, e.Configure...)
		if again, err = f.entryKey(e, debs); err != nil || again == key {
			t.Errorf("%s: its configuration does not change the key, %v", e.Name, err)
		}
	}
}

func TestDigestKeepsPartsApart(t *testing.T) {
	if digest("ab", "c") == digest("a", "bc") {
		t.Error("two lists of parts have one digest")
	}
}

func TestDebSetVersion(t *testing.T) {
	d := debSet{Files: []string{"redis-server_5%3a7.0.15-1_amd64.deb", "redis_1_all.deb"}}
	if got := d.version("redis-server"); got != "5:7.0.15-1" {
		t.Errorf("version = %q", got)
	}
	if got := d.version("none"); got != "" {
		t.Errorf("version of nothing = %q", got)
	}
}
