package docker

import (
	"bytes"
	"strings"
	"sync"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/compose/v5/pkg/api"
	"github.com/moby/moby/api/types/container"

	"github.com/croft-sh/croft/stacks"
)

func TestLineWriterKeepsLinesWhole(t *testing.T) {
	var out bytes.Buffer
	var mu sync.Mutex
	a, b := &lineWriter{mu: &mu, w: &out, prefix: "a | "}, &lineWriter{mu: &mu, w: &out, prefix: "b | "}
	for _, p := range []string{"on", "e\ntwo\nthr"} {
		if n, err := a.Write([]byte(p)); err != nil || n != len(p) {
			t.Fatal(n, err)
		}
		_, _ = b.Write([]byte("x\n"))
	}
	a.flush()
	b.flush()
	if want := "b | x\na | one\na | two\nb | x\na | thr\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

func TestBuffersAreBounded(t *testing.T) {
	head, tail := &headBuffer{limit: 5}, &tailBuffer{limit: 5}
	for _, p := range []string{"abc", "def", "", "ghi"} {
		if n, err := head.Write([]byte(p)); err != nil || n != len(p) {
			t.Fatal(n, err)
		}
		if n, err := tail.Write([]byte(p)); err != nil || n != len(p) {
			t.Fatal(n, err)
		}
	}
	if head.String() != "abcde" || tail.String() != "efghi" {
		t.Errorf("head %q, tail %q", head, tail.String())
	}
}

func TestProgressFindsTheService(t *testing.T) {
	var got []stacks.Event
	p := newProgress(func(e stacks.Event) { got = append(got, e) })
	p.know(&types.Project{Name: "home-gitea", Services: types.Services{
		"web":   {Name: "web", Labels: types.Labels{stacks.LabelStack: "gitea"}},
		"fixed": {Name: "fixed", ContainerName: "my-own"},
	}}, []container.Summary{{Names: []string{"/odd"}, Labels: map[string]string{api.ServiceLabel: "db"}}})
	for id, want := range map[string]string{
		"Container home-gitea-web-1":              "web",
		"Container home-gitea-a-b-12":             "a-b",
		"Container 0123456789ab_home-gitea-web-1": "web",
		"Container my-own":                        "fixed",
		"Container odd":                           "db",
		"Container stranger":                      "stranger",
		"Network home-front":                      "",
		"web":                                     "web",
	} {
		got = nil
		r := api.Resource{ID: id, Text: api.StatusStarted, Status: api.Done}
		p.On(r, r) // networks and volumes come twice
		if len(got) != 1 || got[0].Service != want || got[0].Stack != "gitea" || got[0].Phase != "up" || got[0].State != stacks.Done {
			t.Errorf("%s gives %+v, want service %q", id, got, want)
		}
	}
	got = nil
	if yes, err := p.decline("Volume \"x\" exists\nbut differs. Recreate (data will be lost)?", true); yes || err != nil {
		t.Errorf("the answer is %t, %v", yes, err)
	}
	if len(got) != 1 || got[0].State != stacks.Warning || !strings.Contains(got[0].Message, "data will be lost") {
		t.Errorf("told: %+v", got)
	}
}

func TestLeftoverIsToldFromAName(t *testing.T) {
	p := &types.Project{Name: "p", Services: types.Services{"x": {Name: "x", ContainerName: "0123456789ab_asked"}}}
	for name, want := range map[string]string{
		"0123456789ab_p-web-1": "p-web-1", "p-web-1": "", "0123456789AB_p-web-1": "", "0123456789ab_asked": "", "123_p": "",
	} {
		got, ok := properName(p, container.Summary{Names: []string{"/" + name}})
		if got != want || ok != (want != "") {
			t.Errorf("%s gives %q, %t", name, got, ok)
		}
	}
}
