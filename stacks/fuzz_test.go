package stacks

import (
	"bytes"
	"fmt"
	"runtime/debug"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// hangs ends the program, with every stack, where reading takes too long: the
// fuzzer itself would wait for ever.
func hangs(text []byte) func() {
	t := time.AfterFunc(20*time.Second, func() {
		debug.SetTraceback("all")
		panic(fmt.Sprintf("reading this hangs: %q", text))
	})
	return func() { t.Stop() }
}

func FuzzLoadPlatform(f *testing.F) {
	for _, s := range []string{goodPlatform, "", "\ufeff" + goodPlatform, strings.ReplaceAll(goodPlatform, "\n", "\r\n"), bomb(), "a: &a [*a]", "- a", "? [a]\n: b",
		"{version: 1, name: h, admin: {name: a, email: a@b.c}, stacks: {a: {options: {B: 'x'}}}}", "%YAML 1.2\n---\n" + goodPlatform + "...\n",
		strings.Replace(goodPlatform, "stacks: {}", "# c\nstacks:\n    # d\n    a: {} # e\n\n    b:\n      options: {X: |-\n  y}\n# f", 1),
		"version: 1\nname: &n home\nadmin: &a {name: *n, email: a@b.c}\nstacks: {x: &s {}, y: *s}\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		defer hangs(text)()
		p, ps := LoadPlatform(fstest.MapFS{PlatformFile: {Data: text}})
		if ps.Err() != nil {
			return
		}
		same, err := EditPlatform(text, p)
		if err != nil || !bytes.Equal(same, text) {
			t.Fatalf("an edit that changes nothing: %v\n%s", err, same)
		}
		if _, err := MarshalPlatform(p); err != nil {
			t.Fatalf("marshal: %v", err)
		}
		// Whatever was accepted can be edited, and then means the new thing.
		p.Domain = "fuzz.example.com"
		p.Storage.Databases = "/fuzz/databases"
		for name := range p.Stacks {
			delete(p.Stacks, name)
			break
		}
		p.Stacks["fuzz"] = StackChoice{Options: map[string]string{"A": "1"}}
		if _, err := EditPlatform(text, p); err != nil && !strings.Contains(err.Error(), "is inside storage") {
			t.Fatalf("edit: %v", err)
		}
	})
}

func FuzzLoadStack(f *testing.F) {
	for _, s := range []string{fullStack, "services: {a: {image: b}}", "include: [sub/inc.yaml]\nservices: {a: {extends: {file: sub/inc.yaml, service: s}}}", bomb(), "a: &a [*a]",
		"services:\n  a: &a\n    image: b:${T:-1}\n    ports: ['${P:?x}:80', {target: 80, host_ip: 1}]\n  c: {<<: *a, environment: {X: }, env_file: [{path: .env, format: raw}]}",
		"services: {a: {image: b, volumes: [~/x:/y], labels: {croft.x: 1}}}", "x-croft: &x {about: a}\nservices: {a: *x}", "services: {a: !reset null, b: !override {image: c}}",
		"services: {a: {build: {context: ., dockerfile_inline: 'FROM x'}, networks: {n: {ipv4_address: 1.2.3.4}}}}\nnetworks: {n: {ipam: {config: [{subnet: 1.2.3.0/24}]}}}",
		"services: {a: {image: b, deploy: {resources: {limits: {memory: 1g}}}, healthcheck: {test: [CMD, x], interval: 1s}, gpus: all, models: {m: {}}}}\nmodels: {m: {model: x}}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		defer hangs(text)()
		files := fullFiles()
		files["compose.yaml"] = string(text)
		files["sub/inc.yaml"] = "services: {s: {image: i}}\n"
		env := testEnv()
		s, ps := LoadStack(stackFS(files), "app", env)
		if _, _, infos := LoadStackInfo(stackFS(files), "stacks/app"); ps.Err() == nil && infos.Err() != nil {
			t.Fatalf("accepted, but not for stack info: %v", infos)
		}
		if (s == nil) != (ps.Err() != nil) {
			t.Fatal("a stack with errors, or none without")
		}
		if s == nil {
			return
		}
		out, err := s.Project.MarshalYAML()
		if err != nil {
			t.Fatalf("marshal: %v", err)
		}
		if bytes.Contains(out, []byte("/croft-load-")) {
			t.Fatalf("the temporary directory shows:\n%s", out)
		}
	})
}
