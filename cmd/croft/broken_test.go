package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// brokenPlatform is small, but has a bit of everything.
func brokenPlatform(t *testing.T) (dir string, args []string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "home")
	t.Setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
	args = []string{"--dir", dir, "--state", filepath.Join(t.TempDir(), "state")}
	files := map[string]string{
		"croft.yaml": `version: 1
name: home # prefix
timezone: Europe/Berlin
admin: {name: ada, email: ada@example.com}
expose: loopback
storage: &s {containers: /srv/a, projects: /srv/b, databases: /srv/c}
stacks:
  shop:
    options: {PORT: "8080"}
`,
		"stacks/shop/compose.yaml": `x-croft:
  title: Shop
  options:
    PORT: {ask: Which port, default: "8081", check: port}
  secrets:
    key: {generate: 32, rotate: never, why: signs}
  storage: {data: {class: projects, owner: "1:1"}}
services:
  shop:
    image: shop:${TAG:-1}
    user: "1000:1000"
    ports: ["127.0.0.1:${PORT}:80"]
    secrets: [key]
    volumes: ["data:/data", "./conf:/conf:ro"]
    environment: {A: "$$x", B: null}
    healthcheck: {test: [CMD, "true"], interval: 5s}
volumes: {data: {}}
networks: {default: {internal: true}}
`,
		"stacks/shop/conf/a.conf.tmpl": "{{ .Platform.Name }} {{ .Options.PORT }}\n",
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if code, out := runQuietly(append([]string{"validate"}, args...)); code != exitDone {
		t.Fatalf("the platform that is to be broken is not whole: exit code %d\n%s", code, out)
	}
	return dir, args
}

func runQuietly(args []string) (int, string) {
	var out bytes.Buffer
	code := run(context.Background(), args, []string{"HOME=/nonexistent"}, strings.NewReader(""), &out, &out)
	return code, out.String()
}

// broken gives texts that are nearly the given one: cut off at every byte, and
// with bytes changed, doubled or taken out.
func broken(text []byte, seed uint64) [][]byte {
	var out [][]byte
	for i := range text {
		out = append(out, text[:i])
	}
	r := rand.New(rand.NewPCG(seed, 1))
	odd := []byte("\x00\t\n\r\"'{}[]:,#&*!|>%@`-?~\xff0 $<")
	for range 300 {
		b := slices.Clone(text)
		for range 1 + r.IntN(3) {
			i := r.IntN(len(b))
			switch r.IntN(4) {
			case 0:
				b[i] = odd[r.IntN(len(odd))]
			case 1:
				b = slices.Insert(b, i, odd[r.IntN(len(odd))])
			case 2:
				b = slices.Delete(b, i, i+1)
			case 3:
				j := i + r.IntN(len(b)-i)
				b = slices.Insert(b, j, b[i:j]...)
			}
		}
		out = append(out, b)
	}
	return out
}

func TestBrokenInputIsRefusedAndNothingChanges(t *testing.T) {
	for n, file := range []string{"croft.yaml", "stacks/shop/compose.yaml", "stacks/shop/conf/a.conf.tmpl"} {
		t.Run(filepath.Base(file), func(t *testing.T) {
			dir, args := brokenPlatform(t)
			path := filepath.Join(dir, file)
			whole, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for i, text := range broken(whole, uint64(n)) {
				if err := os.WriteFile(path, text, 0o644); err != nil {
					t.Fatal(err)
				}
				before := treeOf(t, filepath.Dir(dir))
				command := [][]string{{"validate"}, {"render"}, {"plan"}, {"stack", "list"}, {"stack", "info", "shop"}, {"stack", "remove", "nope"}}[i%6]
				code, out := runQuietly(append(slices.Clone(command), args...))
				if !slices.Contains([]int{exitDone, exitFailed, exitUsage, exitRefused}, code) {
					t.Errorf("%v of\n%s\nexit code %d\n%s", command, text, code, out)
				}
				if strings.Contains(out, "makers did not think") || strings.Contains(out, "goroutine ") {
					t.Errorf("%v of\n%s\npanicked:\n%s", command, text, out)
				}
				if code != exitDone && !strings.Contains(out, "error") {
					t.Errorf("%v of\n%s\nexit code %d without an error:\n%s", command, text, code, out)
				}
				if after := treeOf(t, filepath.Dir(dir)); after != before {
					t.Errorf("%v of\n%s\nchanged the disk", command, text)
				}
			}
		})
	}
}

func TestBrokenInputIsNeverEdited(t *testing.T) {
	dir, args := brokenPlatform(t)
	path := filepath.Join(dir, "croft.yaml")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i, text := range broken(whole, 7) {
		if i%5 != 0 { // each writes a whole copy first
			continue
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
		before := treeOf(t, dir)
		command := [][]string{{"init"}, {"stack", "remove", "shop"}, {"stack", "add", "shop", "--set", "PORT=9"}}[i%3]
		code, out := runQuietly(append(slices.Clone(command), args...))
		if code != exitDone && treeOf(t, dir) != before {
			t.Errorf("%v of\n%s\nexit code %d, and the disk changed\n%s", command, text, code, out)
		}
		if strings.Contains(out, "makers did not think") {
			t.Errorf("%v of\n%s\npanicked:\n%s", command, text, out)
		}
		if code == exitDone {
			if code, out := runQuietly(append([]string{"validate"}, args...)); code != exitDone {
				t.Errorf("%v of\n%s\nwrote a platform that is not valid:\n%s", command, text, out)
			}
			if err := os.RemoveAll(filepath.Join(dir, ".croft.schema.json")); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// treeOf names everything below a directory.
func treeOf(t *testing.T, dir string) string {
	t.Helper()
	h := sha256.New()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fmt.Fprintln(h, path, e.Type())
		if !e.Type().IsRegular() {
			return nil
		}
		text, err := os.ReadFile(path)
		h.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}
