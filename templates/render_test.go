package templates_test

import (
	"context"
	"flag"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/go-cmp/cmp"

	"github.com/croft-sh/croft/stacks"
	"github.com/croft-sh/croft/templates"
)

var update = flag.Bool("update", false, "write the golden files anew")

// platform lays a platform on disk: croft.yaml, the named catalogue stacks, and
// further files by path.
func platform(t testing.TB, names []string, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	write := func(path string, data []byte) {
		full := filepath.Join(dir, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	yaml := "version: 1\nname: home\nadmin: {name: ada, email: ada@example.com}\nexpose: loopback\nstacks:\n"
	for _, n := range names {
		yaml += "  " + n + ": {}\n"
		if _, err := fs.Stat(stacks.Catalog(), n); err != nil {
			continue
		}
		sub, err := fs.Sub(stacks.Catalog(), n)
		if err != nil {
			t.Fatal(err)
		}
		err = fs.WalkDir(sub, ".", func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			raw, err := fs.ReadFile(sub, path)
			write("stacks/"+n+"/"+path, raw)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	write("croft.yaml", []byte(yaml))
	for path, content := range files {
		write(path, []byte(content))
	}
	return dir
}

// load resolves a platform as if it lay at /platform, so that golden files do
// not depend on the machine.
func load(t testing.TB, dir string) stacks.Desired {
	t.Helper()
	d, problems := stacks.LoadDesired(os.DirFS(dir), stacks.LoadOptions{Dir: "/platform", Facts: map[string]string{
		"CROFT_DOCKER_GID": "999", "CROFT_USERS_DIR": "/state/users",
	}})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	return d
}

func render(t testing.TB, d stacks.Desired) stacks.Rendered {
	t.Helper()
	lock, err := stacks.Allocate(stacks.Lock{}, "home", templates.Networks(d), []netip.Prefix{})
	if err != nil {
		t.Fatal(err)
	}
	r, problems := templates.Render(templates.Input{Desired: d, Lock: lock, Host: templates.Host{LiveDir: "/state/live", SecretsDir: "/run/croft/home/secrets"}})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestGolden holds every byte of the whole catalogue's render.
func TestGolden(t *testing.T) {
	r := render(t, load(t, platform(t, stacks.CatalogNames(), nil)))
	for _, s := range r.Stacks {
		for _, f := range s.Files {
			golden := filepath.Join("testdata", "golden", s.Name, filepath.FromSlash(f.Path))
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
				t.Errorf("%s/%s differs (go test ./templates -update writes it anew):\n%s", s.Name, f.Path, diff)
			}
		}
	}
}

// TestRenderIsPure: same input, same bytes, whatever the order of maps.
func TestRenderIsPure(t *testing.T) {
	dir := platform(t, stacks.CatalogNames(), nil)
	first := render(t, load(t, dir))
	for range 5 {
		if diff := cmp.Diff(first, render(t, load(t, dir))); diff != "" {
			t.Fatalf("two renders of one platform differ:\n%s", diff)
		}
	}
}

// TestRoundTrip: what was rendered, loaded again by Compose's own loader, is the
// same project.
func TestRoundTrip(t *testing.T) {
	own := map[string]string{"stacks/odd/compose.yaml": oddCompose}
	r := render(t, load(t, platform(t, append(stacks.CatalogNames(), "odd"), own)))
	for _, s := range r.Stacks {
		t.Run(s.Name, func(t *testing.T) {
			text := s.Compose()
			again := reload(t, s.Project, text)
			raw, err := again.MarshalYAML()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(text), strings.ReplaceAll(string(raw), "$", "$$")); diff != "" {
				t.Errorf("loading the render again gives another project:\n%s", diff)
			}
		})
	}
}

// oddCompose holds what breaks careless writers: dollars everywhere, durations,
// octal-looking strings, backticks, null environment, multi-line text.
const oddCompose = `
services:
  odd:
    image: odd:1
    command: ["sh", "-c", "echo $$HOME $${X:-y} '$$2y$$10$$abc'"]
    environment: {PRICE: "5$$", EMPTY: "", NUMBER: "0123", YES: "yes", MULTI: "a\nb"}
    labels: {rule: "Host(` + "`a.b`" + `) && $$x"}
    healthcheck: {test: ["CMD-SHELL", "test $$$$ -gt 0"], interval: 1m30s, start_period: 5s}
    mem_limit: 1.5g
    ulimits: {nofile: {soft: 1024, hard: 2048}}
    ports: ["127.0.0.1:8081:80/udp", "9000-9001:9000-9001"]
    networks: {back: {aliases: [odd.example]}}
  sidecar:
    image: odd:1
    network_mode: service:odd
    depends_on: {odd: {condition: service_started, restart: true}}
networks:
  back: {internal: true}
volumes:
  data: {}
`

func reload(t testing.TB, project string, text []byte) *types.Project {
	t.Helper()
	p, err := loader.LoadWithContext(context.Background(), types.ConfigDetails{
		WorkingDir: "/elsewhere", ConfigFiles: []types.ConfigFile{{Filename: "compose.yaml", Content: text}},
	}, func(o *loader.Options) { o.SetProjectName(project, true); o.SkipResolveEnvironment = true })
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestEveryRouterHasAuthentication: no route of any render is open unless its
// declaration says so.
func TestEveryRouterHasAuthentication(t *testing.T) {
	own := map[string]string{}
	names := stacks.CatalogNames()
	for _, access := range []string{"two-factor", "login", "admin", "app-login", "public"} {
		names = append(names, "x"+access)
		own["stacks/x"+access+"/compose.yaml"] = fmt.Sprintf(`
x-croft:
  routes:
    web: {port: 80, host: %[1]s, access: %[1]s, paths: [{prefix: /hook, access: public}]}
services:
  web: {image: "x:1", labels: {traefik.http.routers.mine.rule: "Host(`+"`evil`"+`)", traefik.enable: "true"}}
`, access)
	}
	d := load(t, platform(t, names, own))
	r := render(t, d)
	seen := 0
	for _, s := range r.Stacks {
		p := reload(t, s.Project, s.Compose())
		for _, svc := range p.Services {
			for key, value := range svc.Labels {
				if strings.Contains(value, "evil") {
					t.Errorf("%s/%s: a label of the author's reached Traefik: %s", s.Name, svc.Name, key)
				}
				router, ok := strings.CutSuffix(key, ".rule")
				if !ok || !strings.HasPrefix(key, "traefik.http.routers.") {
					continue
				}
				seen++
				open := declaredOpen(d, s.Name, strings.TrimPrefix(router, "traefik.http.routers."))
				guarded := strings.Contains(svc.Labels[router+".middlewares"], "authelia@file")
				if open == guarded {
					t.Errorf("%s/%s: router %s: declared open %v, guarded %v", s.Name, svc.Name, router, open, guarded)
				}
				if svc.Labels[router+".entryPoints"] != "websecure" || svc.Labels[router+".tls"] != "true" {
					t.Errorf("%s/%s: router %s is not on websecure with TLS", s.Name, svc.Name, router)
				}
			}
		}
	}
	if seen < 12 {
		t.Errorf("saw %d routers; the test no longer sees them", seen)
	}
}

// declaredOpen tells from the declarations whether a router may lack the portal.
func declaredOpen(d stacks.Desired, stack, router string) bool {
	for _, route := range d.Routes {
		name := "home-" + stack + "-" + route.Name
		if route.Stack != stack || !strings.HasPrefix(router, name) {
			continue
		}
		access := route.Access
		if suffix := strings.TrimPrefix(router, name+"-"); suffix != router {
			var i int
			if _, err := fmt.Sscan(suffix, &i); err == nil && i < len(route.Paths) {
				access = route.Paths[i].Access
			}
		}
		return access == stacks.AccessPublic || access == stacks.AccessAppLogin
	}
	return false
}

// TestALooserPathCannotBeReachedInDisguise: an encoded slash or a path parameter
// never takes the router with fewer guards.
func TestALooserPathCannotBeReachedInDisguise(t *testing.T) {
	own := map[string]string{"stacks/app/compose.yaml": `
x-croft:
  routes:
    web: {port: 80, host: app, paths: [{prefix: /hook, access: public}, {prefix: /hook/deep, access: admin}]}
services: {web: {image: "x:1"}}
`}
	r := render(t, load(t, platform(t, append(stacks.CatalogNames(), "app"), own)))
	s, _ := r.Stack("app")
	labels := reload(t, s.Project, s.Compose()).Services["web"].Labels
	loose, strict := labels["traefik.http.routers.home-app-web-1.rule"], labels["traefik.http.routers.home-app-web-0.rule"]
	if !strings.Contains(loose, "/hook`") || !strings.Contains(loose, "!PathRegexp(`(?i)%2f|%5c|;|") {
		t.Errorf("the open path's rule is %s", loose)
	}
	if !strings.Contains(strict, "/hook/deep`") || strings.Contains(strict, "PathRegexp") {
		t.Errorf("the stricter path's rule is %s; it must catch disguises too", strict)
	}
}
