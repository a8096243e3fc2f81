package docker

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/croft-sh/croft/provision"
	"github.com/croft-sh/croft/stacks"
)

func hash(letter string) string { return "sha256:" + strings.Repeat(letter, 64) }

// TestWhereAMissingImageComesFrom decides about the whole table without a call.
func TestWhereAMissingImageComesFrom(t *testing.T) {
	locked := stacks.ImageLock{ID: hash("1"), Digest: hash("d")}
	for name, c := range map[string]struct {
		want    provision.PullRequest
		present map[string]string
		here    string
		from    string
	}{
		"no lock":                      {provision.PullRequest{Reference: "app:1"}, nil, "", "app:1"},
		"locked, and nothing is here":  {provision.PullRequest{Reference: "app:1", Locked: locked}, nil, "", "app@" + hash("d")},
		"the locked image is here":     {provision.PullRequest{Reference: "app:1", Locked: locked}, map[string]string{hash("1"): hash("1")}, hash("1"), ""},
		"pulled and not tagged":        {provision.PullRequest{Reference: "app:1", Locked: locked}, map[string]string{"app@" + hash("d"): hash("2")}, hash("2"), ""},
		"locked by ID alone":           {provision.PullRequest{Reference: "app:1", Locked: stacks.ImageLock{ID: hash("1")}}, nil, "", "app:1"},
		"asked for freshly":            {provision.PullRequest{Reference: "app:1", Locked: locked, Fresh: true}, map[string]string{hash("1"): hash("1")}, "", "app:1"},
		"pinned by who wrote it":       {provision.PullRequest{Reference: "app@" + hash("e"), Locked: locked}, nil, "", "app@" + hash("e")},
		"a digest that is none":        {provision.PullRequest{Reference: "app:1", Locked: stacks.ImageLock{Digest: "x"}}, nil, "", "app:1"},
		"another registry's same name": {provision.PullRequest{Reference: "r.example/app:1", Locked: locked}, map[string]string{"app@" + hash("d"): hash("2")}, "", "r.example/app@" + hash("d")},
	} {
		if got := stepTo(c.want, c.present); got.here != c.here || got.from != c.from {
			t.Errorf("%s: here %q from %q, want %q and %q", name, got.here, got.from, c.here, c.from)
		}
	}
}

func TestCheckAsksNobodyWhereEverythingIsHere(t *testing.T) {
	f := &fakeAPI{answers: map[string]http.HandlerFunc{
		"/images/json": text(`[{"Id":"` + hash("1") + `","RepoTags":["here:1"]},{"Id":"` + hash("2") + `","RepoTags":["<none>:<none>"]}]`),
		"/images/lost:1/json": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"message":"No such image: lost:1"}`)
		},
	}}
	e := engineAt(t, f)
	blocked, err := e.Check(t.Context(), []provision.PullRequest{{Reference: "here:1"},
		{Reference: "lost:1", Locked: stacks.ImageLock{ID: hash("2"), Digest: hash("d")}}}, nil)
	if err != nil || len(blocked) != 0 {
		t.Errorf("%v, %v", blocked, err)
	}
	if slices.ContainsFunc(f.calls, func(c string) bool { return strings.Contains(c, "distribution") }) {
		t.Errorf("calls are %q", f.calls)
	}
}

func TestCheckTellsOnceOfARegistryThatIsDown(t *testing.T) {
	f := &fakeAPI{answers: map[string]http.HandlerFunc{"/images/json": text(`[]`)}}
	var refs []string
	for i := range 20 {
		ref := fmt.Sprintf("down.example/x%d:1", i)
		refs = append(refs, ref)
		f.answers["/images/"+ref+"/json"] = func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"message":"No such image"}`)
		}
		f.answers["/distribution/"+ref+"/json"] = func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			fmt.Fprint(w, `{"message":"Get \"https://down.example/v2/\": dial tcp 192.0.2.1:443: connect: connection refused"}`)
		}
	}
	e := engineAt(t, f)
	e.patience.pause = time.Millisecond
	blocked, err := e.Check(t.Context(), wanted(refs...), nil)
	if err != nil || len(blocked) != 1 || !strings.Contains(blocked[0].Why, "connection refused (and 19 more of this registry)") ||
		!strings.HasPrefix(blocked[0].Subject, "image down.example/x") || !strings.Contains(blocked[0].Hint, "not reachable") {
		t.Errorf("%+v, %v", blocked, err)
	}
}

func TestImagesForOtherMachines(t *testing.T) {
	e := &Engine{machine: func() (ocispec.Platform, error) {
		return ocispec.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}, nil
	}}
	p := func(arch, variant string) ocispec.Platform {
		return ocispec.Platform{OS: "linux", Architecture: arch, Variant: variant}
	}
	for name, c := range map[string]struct {
		built []ocispec.Platform
		ok    bool
	}{
		"does not say":           {nil, true},
		"an empty name":          {[]ocispec.Platform{{}}, true},
		"among others":           {[]ocispec.Platform{p("amd64", ""), p("arm64", "")}, true},
		"an older one it can":    {[]ocispec.Platform{p("arm", "v7")}, true},
		"others alone":           {[]ocispec.Platform{p("amd64", ""), p("s390x", "")}, false},
		"others and attestation": {[]ocispec.Platform{p("amd64", ""), {OS: "unknown", Architecture: "unknown"}}, false},
	} {
		if err := e.runs(c.built); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
