package docker

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/croft-sh/croft/provision"
	"github.com/croft-sh/croft/stacks"
)

// registryOfTest has pulls that go well, fail, or cannot reach the registry.
func registryOfTest(t *testing.T) *fakeAPI {
	t.Helper()
	var mu sync.Mutex
	asked := map[string]int{}
	return &fakeAPI{answers: map[string]http.HandlerFunc{
		"/images/json": text(`[{"Id":"sha256:1","RepoTags":["here:1"]}]`),
		"/images/create": func(w http.ResponseWriter, r *http.Request) {
			name := r.URL.Query().Get("fromImage")
			mu.Lock()
			asked[name]++
			again := asked[name] > 1
			mu.Unlock()
			switch {
			case again:
				w.WriteHeader(http.StatusTeapot)
			case strings.HasPrefix(name, "down.example"):
				w.WriteHeader(http.StatusInternalServerError)
				fmt.Fprint(w, `{"message":"Get \"https://down.example/v2/\": dial tcp: lookup down.example: no such host"}`)
			case strings.HasSuffix(name, "/unknown"):
				w.WriteHeader(http.StatusNotFound)
				fmt.Fprint(w, `{"message":"manifest for unknown:1 not found: manifest unknown: manifest unknown"}`)
			case strings.HasSuffix(name, "/breaks"):
				fmt.Fprintln(w, `{"status":"Downloading","id":"l1","progressDetail":{"current":1,"total":10}}`)
				fmt.Fprintln(w, `{"errorDetail":{"message":"write /x: no space left on device"},"error":"write /x: no space left on device"}`)
			default:
				for i := range 1000 {
					fmt.Fprintf(w, `{"status":"Downloading","id":"l%d","progressDetail":{"current":%d,"total":1000}}`+"\n", i%2, i)
				}
				fmt.Fprintln(w, `{"status":"Download complete","id":"l0"}`)
			}
		},
	}}
}

// wanted asks for references that are not locked.
func wanted(refs ...string) []provision.PullRequest {
	out := make([]provision.PullRequest, len(refs))
	for i, ref := range refs {
		out[i].Reference = ref
	}
	return out
}

func TestPullContactsNothingForWhatIsThere(t *testing.T) {
	f := registryOfTest(t)
	e := engineAt(t, f)
	if err := e.Pull(t.Context(), wanted("here:1", "docker.io/library/here:1"), nil); err != nil {
		t.Fatal(err)
	}
	if len(f.calls) != 1 || f.calls[0] != "GET /images/json" {
		t.Errorf("calls are %q", f.calls)
	}
	f.forget()
	if err := e.Pull(t.Context(), nil, nil); err != nil || len(f.calls) != 0 {
		t.Errorf("nothing to pull gave %v and %q", err, f.calls)
	}
}

func TestPullTellsProgressNotTooOften(t *testing.T) {
	e := engineAt(t, registryOfTest(t))
	var events []stacks.Event
	var mu sync.Mutex
	err := e.Pull(t.Context(), wanted("new:1", "new:1"), func(ev stacks.Event) {
		mu.Lock()
		defer mu.Unlock()
		events = append(events, ev)
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(events); n < 3 || n > 10 {
		t.Errorf("%d events: %+v", n, events)
	}
	first, second, last := events[0], events[1], events[len(events)-1]
	if first.State != stacks.Working || first.Message != "new:1" || last.State != stacks.Done || last.Phase != "pull" {
		t.Errorf("events are %+v", events)
	}
	if second.Progress == nil || second.Progress.Total == 0 || second.At.IsZero() || time.Since(second.At) > time.Minute {
		t.Errorf("the progress is %+v", second)
	}
}

func TestPullNamesEveryImageThatFails(t *testing.T) {
	e := engineAt(t, registryOfTest(t))
	err := e.Pull(t.Context(), wanted("a/unknown:1", "b/breaks:2", "here:1",
		"sha256:"+strings.Repeat("d", 64)), nil)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"a/unknown:1", "manifest unknown", "b/breaks:2", "no space left", "an image ID cannot be pulled"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q lacks %q", err, want)
		}
	}
}

func TestPullGivesUpOnARegistryThatIsDown(t *testing.T) {
	f := registryOfTest(t)
	e := engineAt(t, f)
	var refs []string
	for i := range 40 {
		refs = append(refs, fmt.Sprintf("down.example/x%d:1", i))
	}
	err := e.Pull(t.Context(), wanted(refs...), nil)
	if err == nil || !strings.Contains(err.Error(), "no such host") {
		t.Fatalf("got %v", err)
	}
	tried := 0
	for _, c := range f.calls {
		if c == "POST /images/create" {
			tried++
		}
	}
	if tried > 2*pullsAtOnce {
		t.Errorf("%d images were tried", tried)
	}
}

func TestPullAdvice(t *testing.T) {
	for said, want := range map[string]string{
		"dial tcp: lookup registry-1.docker.io: no such host": "not reachable",
		"manifest unknown":                              "does not know this image",
		"toomanyrequests: You have reached":             "limits pulls",
		"pull access denied for x, repository does not": "private",
		"no matching manifest for linux/arm64":          "architecture",
		"x509: certificate signed by unknown authority": "authority",
		"write: no space left on device":                "disk is full",
		"something else":                                "",
	} {
		got := pullAdvice("x:1", errors.New(said))
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%q gives %q", said, got)
		}
	}
}
