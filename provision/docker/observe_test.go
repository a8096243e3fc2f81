package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/moby/moby/client"

	"github.com/croft-sh/croft/stacks"
)

// fakeAPI answers calls of the Engine API by their path without the version.
type fakeAPI struct {
	mu      sync.Mutex
	calls   []string
	answers map[string]http.HandlerFunc
}

// ServeHTTP implements http.Handler.
func (f *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if strings.HasPrefix(path, "/v1.") {
		path = path[strings.Index(path[1:], "/")+1:]
	}
	f.mu.Lock()
	f.calls = append(f.calls, r.Method+" "+path)
	f.mu.Unlock()
	w.Header().Set("Api-Version", "1.41")
	w.Header().Set("Content-Type", "application/json")
	switch answer := f.answers[path]; {
	case path == "/_ping":
	case answer != nil:
		answer(w, r)
	default:
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"message":"no such thing"}`)
	}
}

func (f *fakeAPI) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = nil
}

func text(s string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, s) }
}

// engineAt connects to a server that stands in for an engine.
func engineAt(t *testing.T, f *fakeAPI) *Engine {
	t.Helper()
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	api, err := client.New(client.WithHost("tcp://" + strings.TrimPrefix(server.URL, "http://")))
	if err != nil {
		t.Fatal(err)
	}
	e, err := connect(t.Context(), api)
	if err != nil {
		t.Fatal(err)
	}
	f.forget()
	return e
}

const someContainers = `[
{"Id":"a1","Names":["/home-gitea-web-1"],"Image":"gitea:1","ImageID":"sha256:1","State":"running","Status":"Up 3 seconds (healthy)",
 "Labels":{"croft.platform":"home","croft.stack":"gitea","com.docker.compose.project":"home-gitea","com.docker.compose.service":"web"},
 "NetworkSettings":{"Networks":{"z":{},"a":{}}}},
{"Id":"a2","Names":["/other/link","/home-own-db-1"],"Image":"db","ImageID":"sha256:2","State":"exited","Status":"Exited (3) 5 minutes ago",
 "Labels":{"com.docker.compose.project":"home-own","com.docker.compose.service":"db","com.docker.compose.oneoff":"True"}},
{"Id":"a3","Names":["/home-lab-web-1"],"State":"running","Status":"Up","Labels":{"croft.platform":"home-lab","com.docker.compose.project":"home-lab-web"}},
{"Id":"a4","Names":["/stranger"],"State":"running","Status":"Up","Labels":{}},
{"Id":"a5","Names":["/new"],"State":"running","Status":"Up","Health":{"Status":"none"},"Labels":{"croft.platform":"home"}},
{"Id":"a6","Names":["/newer"],"State":"running","Status":"Up","Health":{"Status":"unhealthy"},"Labels":{"croft.platform":"home"}}
]`

func TestObserve(t *testing.T) {
	f := &fakeAPI{answers: map[string]http.HandlerFunc{
		"/containers/json": text(someContainers),
		"/networks": text(`[{"Name":"home-front","Id":"n1","Labels":{"croft.platform":"home"},"IPAM":{"Config":[{"Subnet":"fd00::/64"},{"Subnet":"10.1.0.0/24"}]}},
			{"Name":"home-own_default","Id":"n2","Labels":{"com.docker.compose.project":"home-own"}},{"Name":"bridge","Id":"n3"}]`),
		"/volumes": text(`{"Volumes":[{"Name":"home-gitea-data","Options":{"o":"bind"}},{"Name":"home-own_data","Labels":{"com.docker.compose.project":"home-own"}},
			{"Name":"other"},{"Name":"home-lab-data","Labels":{"croft.platform":"home-lab"}}]}`),
		"/images/json": text(`[{"Id":"sha256:1","RepoTags":["traefik:v3.7.9","registry.example.com/x:2"],"RepoDigests":["traefik@sha256:` + strings.Repeat("a", 64) + `"]},
			{"Id":"sha256:2","RepoTags":["<none>:<none>"],"RepoDigests":["<none>@<none>"]},{"Id":"sha256:3","RepoTags":null}]`),
	}}
	e := engineAt(t, f)
	s, err := e.Observe(t.Context(), "home")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(f.calls)
	if want := []string{"GET /containers/json", "GET /images/json", "GET /networks", "GET /volumes"}; !slices.Equal(f.calls, want) {
		t.Errorf("calls are %q, want %q", f.calls, want)
	}
	if s.Engine != "1.41" {
		t.Errorf("engine is %q", s.Engine)
	}
	var names []string
	for _, c := range s.Containers {
		names = append(names, c.Name)
	}
	if want := []string{"home-gitea-web-1", "home-own-db-1", "new", "newer"}; !slices.Equal(names, want) {
		t.Fatalf("containers are %q, want %q", names, want)
	}
	web, db := s.Containers[0], s.Containers[1]
	if web.Health != "healthy" || web.Stack != "gitea" || web.Service != "web" || !slices.Equal(web.Networks, []string{"a", "z"}) {
		t.Errorf("web is %+v", web)
	}
	if db.ExitCode != 3 || !db.OneOff || db.Stack != "" || db.Project != "home-own" {
		t.Errorf("db is %+v", db)
	}
	if s.Containers[2].Health != "" || s.Containers[3].Health != "unhealthy" {
		t.Errorf("the health field is not used: %+v", s.Containers[2:])
	}
	if len(s.Networks) != 2 || s.Networks[0].Subnet != "10.1.0.0/24" {
		t.Errorf("networks are %+v", s.Networks)
	}
	if len(s.Volumes) != 2 || s.Volumes[0].Name != "home-gitea-data" || s.Volumes[1].Name != "home-own_data" {
		t.Errorf("volumes are %+v", s.Volumes)
	}
	for _, ref := range []string{"traefik:v3.7.9", "docker.io/library/traefik:v3.7.9", "registry.example.com/x:2",
		"traefik:v3.7.9@sha256:" + strings.Repeat("a", 64)} {
		if s.Images[stacks.Reference(ref)] != "sha256:1" {
			t.Errorf("%s is not found in %v", ref, s.Images)
		}
	}
	if len(s.Images) != 3 {
		t.Errorf("images are %v", s.Images)
	}
}

func TestObserveNamesTheCallThatFails(t *testing.T) {
	f := &fakeAPI{answers: map[string]http.HandlerFunc{
		"/containers/json": text(`[]`), "/volumes": text(`{}`), "/images/json": text(`[]`),
		"/networks": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			_ = json.NewEncoder(w).Encode(map[string]string{"message": "broken"})
		},
	}}
	_, err := engineAt(t, f).Observe(t.Context(), "home")
	if err == nil || err.Error() != "list networks: Error response from daemon: broken" {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := engineAt(t, f).Observe(ctx, "home"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled gave %v", err)
	}
}

func TestStatus(t *testing.T) {
	for _, c := range []struct {
		status, health string
		exit           int
	}{
		{"Up 3 seconds (healthy)", "healthy", 0},
		{"Up 1 second (health: starting)", "starting", 0},
		{"Up 2 hours (unhealthy)", "unhealthy", 0},
		{"Up 2 hours (Paused)", "", 0},
		{"Up Less than a second", "", 0},
		{"Exited (0) About a minute ago", "", 0},
		{"Exited (137) 4 days ago", "", 137},
		{"Exited (-1) 4 days ago", "", -1},
		{"Restarting (1) 2 seconds ago", "", 1},
		{"Created", "", 0},
		{"Dead", "", 0},
		{"Removal In Progress", "", 0},
		{"", "", 0},
	} {
		if got := healthFromStatus(c.status); got != c.health {
			t.Errorf("%q has health %q, want %q", c.status, got, c.health)
		}
		if got := exitFromStatus(c.status); got != c.exit {
			t.Errorf("%q has exit code %d, want %d", c.status, got, c.exit)
		}
	}
}

func TestReference(t *testing.T) {
	digest, id := "sha256:"+strings.Repeat("b", 64), "sha256:"+strings.Repeat("c", 64)
	for in, want := range map[string]string{
		"traefik":                                "traefik:latest",
		"traefik:v3.7.9":                         "traefik:v3.7.9",
		"docker.io/library/traefik:v3.7.9":       "traefik:v3.7.9",
		"index.docker.io/library/traefik:v3":     "traefik:v3",
		"authelia/authelia:4.39.20":              "authelia/authelia:4.39.20",
		"docker.io/authelia/authelia:4.39.20":    "authelia/authelia:4.39.20",
		"ghcr.io/a/b":                            "ghcr.io/a/b:latest",
		"localhost:5000/a:1":                     "localhost:5000/a:1",
		"traefik@" + digest:                      "traefik@" + digest,
		"docker.io/library/traefik:v3@" + digest: "traefik@" + digest,
		id:                                       id,
		"Not A Ref":                              "Not A Ref",
		"":                                       "",
		"sha256:1":                               "sha256:1",
	} {
		got := stacks.Reference(in)
		if got != want {
			t.Errorf("%q gives %q, want %q", in, got, want)
		}
		if again := stacks.Reference(got); again != got {
			t.Errorf("%q gives %q, which gives %q", in, got, again)
		}
	}
}
