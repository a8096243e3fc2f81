package main

import (
	"fmt"
	"testing"
	"testing/fstest"

	"github.com/croft-sh/croft/stacks"
	"github.com/croft-sh/croft/templates"
)

// largePlatform is 20 stacks of 82 services, as a busy home has: half of the
// stacks are plain, half carry x-croft.
func largePlatform() fstest.MapFS {
	files := fstest.MapFS{}
	config := "version: 1\nname: home\nadmin: {name: ada, email: ada@example.com}\nstacks:\n"
	for i := range 20 {
		name := fmt.Sprintf("stack%02d", i)
		config += "  " + name + ": {}\n"
		text := "services:\n"
		if i%2 == 0 {
			text = "x-croft:\n  title: " + name + "\nservices:\n"
		}
		services := 4
		if i < 2 {
			services = 5
		}
		for s := range services {
			text += fmt.Sprintf("  s%d:\n    image: example/%s:%d\n    user: \"1000:1000\"\n    environment: {A: \"1\", B: \"a $$ sign\"}\n"+
				"    volumes: [\"data%d:/data\"]\n    healthcheck: {test: [CMD, \"true\"], interval: 10s}\n", s, name, s, s)
		}
		text += "volumes:\n"
		for s := range services {
			text += fmt.Sprintf("  data%d: {}\n", s)
		}
		files["stacks/"+name+"/compose.yaml"] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
	}
	files["croft.yaml"] = &fstest.MapFile{Data: []byte(config), Mode: 0o644}
	return files
}

// BenchmarkPlan is all of plan but the engine's four lists.
func BenchmarkPlan(b *testing.B) {
	files := largePlatform()
	for b.Loop() {
		d, problems := stacks.LoadDesired(files, stacks.LoadOptions{Dir: "/srv/home"})
		if err := problems.Err(); err != nil {
			b.Fatal(err)
		}
		lock, err := stacks.Allocate(stacks.Lock{}, "home", templates.Networks(d), nil)
		if err != nil {
			b.Fatal(err)
		}
		r, problems := templates.Render(templates.Input{Desired: d, Lock: lock,
			Host: templates.Host{LiveDir: "/var/lib/croft/home/live", SecretsDir: "/run/croft/home/secrets"}})
		if err := problems.Err(); err != nil {
			b.Fatal(err)
		}
		plan := stacks.Diff(r, stacks.State{}, stacks.DiffOptions{})
		if got := plan.Summary[stacks.ActionCreate]; got != 82 {
			b.Fatalf("%d services", got)
		}
	}
}
