package stacks

import (
	"bytes"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
)

func inputPlatform() fstest.MapFS {
	return fstest.MapFS{
		"croft.yaml": {Data: []byte("version: 1\nname: home\nadmin: {name: ada, email: ada@example.com}\nstacks: {web: {options: {NAME: x}}}\n")},
		"stacks/web/compose.yaml": {Data: []byte("x-croft: {needs: [db], options: {NAME: {ask: A name}}}\n" +
			"include: [more.yaml]\nservices: {web: {image: \"web:1\", env_file: [a.env]}}\n"), Mode: 0o644},
		"stacks/web/more.yaml":    {Data: []byte("services: {more: {image: \"more:1\"}}\n"), Mode: 0o644},
		"stacks/web/a.env":        {Data: []byte("A=1\n"), Mode: 0o644},
		"stacks/db/compose.yaml":  {Data: []byte("services: {db: {image: \"db:1\"}}\n"), Mode: 0o644},
		"stacks/off/compose.yaml": {Data: []byte("services: {off: {image: \"off:1\"}}\n"), Mode: 0o644},
	}
}

// TestInputSumIsThatOfTheLoad reads the same with and without loading it, and
// each change makes both another.
func TestInputSumIsThatOfTheLoad(t *testing.T) {
	o := LoadOptions{Dir: "/srv/home", Facts: map[string]string{"CROFT_DOCKER_GID": "999"}}
	names := []string{"web", "db"} // db is brought in
	both := func(t *testing.T, files fstest.MapFS, o LoadOptions) string {
		t.Helper()
		d, problems := LoadDesired(files, o)
		if err := problems.Err(); err != nil {
			t.Fatal(err)
		}
		sum, err := InputSum(files, names, o)
		if err != nil || sum != d.Inputs || len(sum) != 64 {
			t.Fatalf("the sum is %q (%v), that of the load %q", sum, err, d.Inputs)
		}
		return sum
	}
	was := both(t, inputPlatform(), o)
	if both(t, inputPlatform(), o) != was {
		t.Error("the same has two sums")
	}
	for name, change := range map[string]func(files fstest.MapFS, o *LoadOptions){
		"directory":  func(_ fstest.MapFS, o *LoadOptions) { o.Dir = "/srv/other" },
		"fact":       func(_ fstest.MapFS, o *LoadOptions) { o.Facts = map[string]string{"CROFT_DOCKER_GID": "998"} },
		"more facts": func(_ fstest.MapFS, o *LoadOptions) { o.Facts = maps.Clone(o.Facts); o.Facts["CROFT_X"] = "" },
		"croft.yaml": func(files fstest.MapFS, _ *LoadOptions) {
			files["croft.yaml"].Data = append(files["croft.yaml"].Data, '\n')
		},
		"included": func(files fstest.MapFS, _ *LoadOptions) {
			files["stacks/web/more.yaml"].Data = []byte("services: {more: {image: \"more:2\"}}\n")
		},
		"env_file": func(files fstest.MapFS, _ *LoadOptions) { files["stacks/web/a.env"].Data = []byte("A=2\n") },
		"mode":     func(files fstest.MapFS, _ *LoadOptions) { files["stacks/web/a.env"].Mode = 0o600 },
		"needed stack": func(files fstest.MapFS, _ *LoadOptions) {
			files["stacks/db/compose.yaml"].Data = []byte("services: {db: {image: \"db:2\"}}\n")
		},
		"new file": func(files fstest.MapFS, _ *LoadOptions) { files["stacks/db/x"] = &fstest.MapFile{} },
		"moved file": func(files fstest.MapFS, _ *LoadOptions) {
			files["stacks/web/b.env"] = files["stacks/web/a.env"]
			delete(files, "stacks/web/a.env")
			files["stacks/web/compose.yaml"].Data = bytes.ReplaceAll(files["stacks/web/compose.yaml"].Data, []byte("a.env"), []byte("b.env"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			files, o := inputPlatform(), o
			change(files, &o)
			if both(t, files, o) == was {
				t.Error("the sum did not change")
			}
		})
	}
	files := inputPlatform()
	files["stacks/off/compose.yaml"].Data = []byte("services: nonsense\n")
	if both(t, files, o) != was {
		t.Error("a stack that does not run counts")
	}
}

func TestInputSumRefusesWhatALoadRefuses(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, inputPlatform()); err != nil {
		t.Fatal(err)
	}
	fsys, o := os.DirFS(dir), LoadOptions{Dir: dir}
	if _, err := InputSum(fsys, []string{"web", "db"}, o); err != nil {
		t.Fatal(err)
	}
	for _, names := range [][]string{{"none"}, {"../web"}, {""}, {"web/.."}} {
		if sum, err := InputSum(fsys, names, o); err == nil {
			t.Errorf("%q has the sum %s", names, sum)
		}
	}
	if err := os.Symlink("a.env", filepath.Join(dir, "stacks/web/link")); err != nil {
		t.Fatal(err)
	}
	if sum, err := InputSum(fsys, []string{"web", "db"}, o); err == nil {
		t.Errorf("a link has the sum %s", sum)
	}
	o.Instead = map[string]fs.FS{"web": fsys}
	if _, err := InputSum(fsys, []string{"db"}, o); err == nil {
		t.Error("stacks from elsewhere have a sum")
	}
}
