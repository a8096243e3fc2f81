package stacks

import (
	"strings"
	"testing"
	"testing/fstest"
)

const platformHead = "version: 1\nname: home\nadmin: {name: ada, email: ada@example.com}\nexpose: loopback\nstacks:\n"

// resolve loads a platform given as stack -> compose text.
func desire(t *testing.T, files map[string]string) (Desired, Problems) {
	t.Helper()
	fsys := fstest.MapFS{}
	head := platformHead
	for name, text := range files {
		head += "  " + name + ": {}\n"
		fsys["stacks/"+name+"/compose.yaml"] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
	}
	fsys["croft.yaml"] = &fstest.MapFile{Data: []byte(head), Mode: 0o644}
	return LoadDesired(fsys, LoadOptions{Dir: "/platform"})
}

const (
	proxy  = "x-croft: {serves: [routes], hub: proxy}\nservices: {proxy: {image: \"p:1\"}}\n"
	portal = "x-croft: {serves: [auth]}\nservices: {portal: {image: \"a:1\"}}\n"
)

func routed(host string) string {
	return "x-croft:\n  routes:\n    web: {port: 80, host: " + host + "}\nservices: {web: {image: \"w:1\"}}\n"
}

func needing(names string) string {
	return "x-croft:\n  needs: [" + names + "]\nservices: {s: {image: \"s:1\"}}\n"
}

func TestResolveRefuses(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string
		want  string // a part of one problem with its position
		hint  string
	}{
		{"a cycle, named", map[string]string{"a": needing("b"), "b": needing("c"), "c": needing("a")}, "stack a: needs itself: a -> b -> c -> a", "take one"},
		{"two routes on one host", map[string]string{"p": proxy, "auth": portal, "a": routed("x"), "b": routed("x")},
			"stacks/b/compose.yaml:3:21: stack b: route web asks for x.home.localhost, which is route web of stack a", "another host"},
		{"a route and no proxy", map[string]string{"auth": portal, "a": routed("x")}, "needs a stack that serves routes", "traefik"},
		{"a protected route and no portal", map[string]string{"p": proxy, "a": routed("x")}, "no stack serves auth", "authelia"},
		{"two portals", map[string]string{"p": proxy, "a": portal, "b": portal}, "stack b: serves auth, and so does stack a", "keep one"},
		{"a port published twice", map[string]string{
			"a": "services: {s: {image: \"s:1\", ports: [\"8080:80\"]}}\n", "b": "services: {s: {image: \"s:1\", ports: [\"127.0.0.1:8080:81\"]}}\n"},
			"b/s publishes port 8080/tcp, and so does a/s", "change one"},
		{"a need that is nowhere", map[string]string{"a": needing("nowhere")}, "needs nowhere, and there is no directory stacks/nowhere", "compose.yaml"},
		{"a need from the catalogue", map[string]string{"a": needing("postgres")}, "needs postgres", "croft stack add postgres"},
		{"a database and no server", map[string]string{"a": "x-croft:\n  secrets: {pw: {generate: 20}}\n  databases: {d: {engine: postgres, owner: d, password: pw}}\nservices: {s: {image: \"s:1\"}}\n"},
			"needs a stack that serves postgres", "croft stack add postgres"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, problems := desire(t, tt.files)
			if problems.Err() == nil {
				t.Fatal("no error")
			}
			for _, p := range problems {
				if strings.Contains(p.Error(), tt.want) {
					if !strings.Contains(p.Hint, tt.hint) {
						t.Errorf("hint %q, want one with %q", p.Hint, tt.hint)
					}
					return
				}
			}
			t.Errorf("problems:\n%v\nwant one with:\n%s", problems, tt.want)
		})
	}
}

func TestResolveOrdersByNeed(t *testing.T) {
	d, problems := desire(t, map[string]string{"z": needing("m"), "m": needing("a"), "a": "services: {s: {image: \"s:1\"}}\n", "b": "services: {s: {image: \"s:1\"}}\n"})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range d.Stacks {
		got = append(got, s.Name)
	}
	if strings.Join(got, " ") != "a b m z" {
		t.Errorf("order %v", got)
	}
}

func TestNeedsAreBroughtIn(t *testing.T) {
	fsys := fstest.MapFS{
		"croft.yaml":             {Data: []byte(platformHead + "  a: {}\n"), Mode: 0o644},
		"stacks/a/compose.yaml":  {Data: []byte(needing("b")), Mode: 0o644},
		"stacks/b/compose.yaml":  {Data: []byte("services: {s: {image: \"s:1\"}}\n"), Mode: 0o644},
		"stacks/no/compose.yaml": {Data: []byte("services: {s: {image: \"s:1\"}}\n"), Mode: 0o644},
	}
	d, problems := LoadDesired(fsys, LoadOptions{Dir: "/platform"})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	if len(d.Stacks) != 2 {
		t.Errorf("%d stacks, want a and b", len(d.Stacks))
	}
}
