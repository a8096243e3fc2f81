package templates_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/croft-sh/croft/stacks"
)

// adoptedCompose is a project of a stranger with everything that is left alone.
const adoptedCompose = `
x-croft:
  title: Blog
services:
  web:
    image: web:${TAG}
    profiles: [web]
    depends_on: [db]
    environment: {PRICE: "$$5", SECRET: "${SECRET}"}
    env_file: [web.env]
    volumes: ["./conf:/etc/conf:ro", "./uploads:/uploads", "/srv/media:/media", "/scratch"]
    ports: ["127.0.0.1:8081:80"]
  db:
    image: db:1
    volumes: ["rows:/var/lib/db"]
    networks: [back]
  probe:
    image: probe:1
    network_mode: service:web
    volumes_from: ["db:ro", "container:other"]
networks:
  back: {internal: true}
volumes:
  rows: {}
  outside: {external: true, name: shared}
`

func adoptedPlatform(t *testing.T, decorate bool) stacks.Desired {
	t.Helper()
	d := "false"
	if decorate {
		d = "true"
	}
	files := fstest.MapFS{}
	for path, text := range map[string]string{
		"srv/blog/compose.yaml": adoptedCompose, "srv/blog/.env": "TAG=2\nCOMPOSE_PROFILES=web\n", "srv/blog/web.env": "FROM=file\n",
		"srv/blog/uploads/big.jpg": "x",
	} {
		files[path] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
	}
	dir := platform(t, nil, nil)
	raw, err := os.ReadFile(filepath.Join(dir, "croft.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	entry := "\n  blog: {adopt: {dir: /srv/blog, project: oldblog, decorate: " + d + "}, options: {SECRET: from croft.yaml}}\n"
	text = text[:strings.Index(text, "stacks:")] + "stacks:" + entry
	if err := os.WriteFile(filepath.Join(dir, "croft.yaml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	desired, problems := stacks.LoadDesired(os.DirFS(dir), stacks.LoadOptions{Dir: "/platform", Machine: fs.FS(files), Facts: map[string]string{"CROFT_DOCKER_GID": "999"}})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	return desired
}

// TestAdoptedGolden holds every byte of an adopted stack, as it runs and decorated.
func TestAdoptedGolden(t *testing.T) {
	for name, decorate := range map[string]bool{"plain": false, "decorated": true} {
		r := render(t, adoptedPlatform(t, decorate))
		golden := filepath.Join("testdata", "adopted", name+".yaml")
		got := r.Stacks[0].Compose()
		if *update {
			if err := os.MkdirAll(filepath.Dir(golden), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(golden, got, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatalf("%v: run go test ./templates -update, read the difference, commit it", err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s differs (go test ./templates -update writes it anew):\n%s", golden, diff)
		}
	}
}

// TestAdoptedDataStaysWhereItIs: plain or decorated, the project keeps its name,
// volumes keep theirs, and nothing is placed under croft's storage.
func TestAdoptedDataStaysWhereItIs(t *testing.T) {
	for _, decorate := range []bool{false, true} {
		r := render(t, adoptedPlatform(t, decorate))
		s := r.Stacks[0]
		if s.Project != "oldblog" || !s.Adopted || s.Plain == decorate {
			t.Errorf("decorate %v: %+v", decorate, s)
		}
		var got []string
		for _, v := range s.Volumes {
			if !v.Kept {
				t.Errorf("%s is not kept", v.Key)
			}
			got = append(got, v.Key+"="+v.Name+v.Path)
		}
		if want := "blog/.binds/uploads=/srv/blog/uploads blog/outside=shared blog/rows=oldblog_rows"; strings.Join(got, " ") != want {
			t.Errorf("decorate %v: volumes %v", decorate, got)
		}
		if text := string(s.Compose()); strings.Contains(text, "/srv/croft") || strings.Contains(text, "driver_opts") || strings.Contains(text, "subnet") {
			t.Errorf("decorate %v: croft's storage or networks are in\n%s", decorate, text)
		}
		if len(s.Files) != 1 {
			t.Errorf("files %v", s.Files)
		}
	}
}

// TestAdoptedRoutes: an address comes with decoration, on the project's own name.
func TestAdoptedRoutes(t *testing.T) {
	for _, decorate := range []string{"false", "true"} {
		dir := platform(t, []string{"traefik"}, nil)
		file := filepath.Join(dir, "croft.yaml")
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.TrimRight(string(raw), "\n") + "\n  blog: {adopt: {dir: /srv/blog, project: oldblog, decorate: " + decorate + "}}\n"
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		machine := fstest.MapFS{"srv/blog/compose.yaml": &fstest.MapFile{Data: []byte(
			"x-croft: {routes: {web: {port: 80, host: blog, access: public}}}\nservices: {web: {image: \"web:1\", user: \"1:1\"}}\n")}}
		d, problems := stacks.LoadDesired(os.DirFS(dir), stacks.LoadOptions{Dir: "/platform", Machine: machine, Facts: map[string]string{"CROFT_DOCKER_GID": "999"}})
		if err := problems.Err(); err != nil {
			t.Fatal(err)
		}
		r := render(t, d)
		s, _ := r.Stack("blog")
		routed := strings.Contains(string(s.Compose()), "traefik.http.routers.") && strings.Contains(string(s.Compose()), "home-blog-front")
		if want := decorate == "true"; routed != want || (len(d.Routes) > 0) != want || s.Project != "oldblog" {
			t.Errorf("decorate %s: routes %v, project %s\n%s", decorate, d.Routes, s.Project, s.Compose())
		}
	}
}
