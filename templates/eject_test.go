package templates_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/croft-sh/croft/stacks"
	"github.com/croft-sh/croft/templates"
)

func places() templates.EjectPlaces {
	return templates.EjectPlaces{
		LiveDir: "/state/live", SecretsDir: "/run/croft/home/secrets", UsersDir: "/state/users",
		StateDir: "/state", RunDir: "/run/croft/home", SourceDir: "/platform/stacks",
	}
}

func eject(t *testing.T, names []string, files map[string]string) templates.Ejected {
	t.Helper()
	d := load(t, platform(t, names, files))
	e, err := templates.Eject(d, render(t, d), places())
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestEjectGolden holds what the projects and the script of a whole platform are.
func TestEjectGolden(t *testing.T) {
	e := eject(t, stacks.CatalogNames(), nil)
	for _, f := range e.Files {
		if strings.HasSuffix(f.Path, "/compose.yaml") && f.Path != "traefik/compose.yaml" && f.Path != "authelia/compose.yaml" {
			continue // two show both sides of every network
		}
		if strings.Count(f.Path, "/") > 1 || !strings.Contains("compose.yaml up.sh README.md", filepath.Base(f.Path)) {
			continue
		}
		golden := filepath.Join("testdata", "eject", filepath.FromSlash(f.Path))
		if *update {
			if err := os.MkdirAll(filepath.Dir(golden), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(golden, f.Content, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Errorf("%v: run go test ./templates -update, read the difference, commit it", err)
			continue
		}
		if diff := cmp.Diff(string(want), string(f.Content)); diff != "" {
			t.Errorf("%s differs (go test ./templates -update writes it anew):\n%s", f.Path, diff)
		}
	}
}

// TestEjectedNeedsNothingOfCroft: no path of croft's is left, every file that is
// mounted is there, and each shared network is declared by one project alone.
func TestEjectedNeedsNothingOfCroft(t *testing.T) {
	e := eject(t, stacks.CatalogNames(), nil)
	there := map[string]bool{}
	for _, f := range e.Files {
		there[f.Path] = true
		for _, word := range []string{"/state/", "/run/croft", "croft.spec", "croft.files", "croft.secrets:"} {
			if strings.Contains(string(f.Content), word) {
				t.Errorf("%s holds %s", f.Path, word)
			}
		}
	}
	for _, to := range e.Secrets {
		there[to] = true
	}
	if !e.Users {
		t.Error("the accounts are left behind")
	}
	declared := map[string]string{}
	for _, f := range e.Files {
		stack, file, _ := strings.Cut(f.Path, "/")
		if file != stacks.ComposeFile {
			continue
		}
		p := reload(t, "home-"+stack, f.Content)
		for _, n := range p.Networks {
			if other := declared[n.Name]; other != "" && !bool(n.External) {
				t.Errorf("network %s is declared by %s and %s", n.Name, other, stack)
			}
			if !bool(n.External) {
				declared[n.Name] = stack
			}
		}
		for _, svc := range p.Services {
			for _, v := range svc.Volumes {
				if rel, err := filepath.Rel("/elsewhere", v.Source); err == nil && filepath.IsLocal(rel) && !has(there, stack+"/"+rel) {
					t.Errorf("%s/%s mounts %s, which is not there", stack, svc.Name, rel)
				}
			}
		}
	}
	for _, f := range e.Files {
		stack, file, _ := strings.Cut(f.Path, "/")
		if file != stacks.ComposeFile {
			continue
		}
		for _, n := range reload(t, "home-"+stack, f.Content).Networks {
			if declared[n.Name] == "" {
				t.Errorf("%s lists network %s, which nobody declares", stack, n.Name)
			}
		}
	}
}

func has(files map[string]bool, dir string) bool {
	for path := range files {
		if path == dir || strings.HasPrefix(path, dir+"/") {
			return true
		}
	}
	return false
}

func TestEjectKeepsDollarsAndBringsSources(t *testing.T) {
	e := eject(t, []string{"odd", "built"}, map[string]string{
		"stacks/odd/compose.yaml":       oddCompose,
		"stacks/built/compose.yaml":     "services:\n  web: {build: ./image, volumes: [\"./site:/site:ro\"]}\n",
		"stacks/built/image/Dockerfile": "FROM scratch\n",
		"stacks/built/site/index.html":  "hello\n",
	})
	byPath := map[string]string{}
	for _, f := range e.Files {
		byPath[f.Path] = string(f.Content)
	}
	odd := reload(t, "home-odd", []byte(byPath["odd/compose.yaml"])).Services["odd"]
	if got := odd.Command[2]; got != "echo $HOME ${X:-y} '$2y$10$abc'" {
		t.Errorf("the command is %q now", got)
	}
	if got := reload(t, "home-built", []byte(byPath["built/compose.yaml"])).Services["web"]; got.Build.Context != "/elsewhere/source/image" || got.Volumes[0].Source != "/elsewhere/site" {
		t.Errorf("built from %s, mounts %s", got.Build.Context, got.Volumes[0].Source)
	}
	if byPath["built/source/image/Dockerfile"] == "" || byPath["built/site/index.html"] == "" {
		t.Errorf("files %v", byPath)
	}
}

func TestEjectRefusesWhatGoesWithCroft(t *testing.T) {
	d := load(t, platform(t, []string{"odd"}, map[string]string{
		"stacks/odd/compose.yaml": "services:\n  odd: {image: \"odd:1\", volumes: [\"/state/revisions:/r\"]}\n",
	}))
	if _, err := templates.Eject(d, render(t, d), places()); err == nil || !strings.Contains(err.Error(), "mounts /state/revisions") {
		t.Errorf("error %v", err)
	}
}
