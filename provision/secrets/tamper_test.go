package secrets

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/croft-sh/croft/stacks"
)

// tampering changes the lines of a file; old are those of an earlier one.
type tampering struct {
	spoil func(t *testing.T, ls, old []string) []string
	says  string // must be in the error
}

// valueLine finds the line of a secret.
func valueLine(t *testing.T, ls []string, name string) int {
	t.Helper()
	for i, l := range ls {
		if strings.HasPrefix(l, "  "+name+": ") {
			return i
		}
	}
	t.Fatalf("no line of %s", name)
	return 0
}

func tamperings() map[string]tampering {
	return map[string]tampering{
		"flip": {func(t *testing.T, ls, _ []string) []string {
			i := valueLine(t, ls, "app/first")
			b := []byte(ls[i])
			b[30] = map[bool]byte{true: 'B', false: 'A'}[b[30] == 'A']
			ls[i] = string(b)
			return ls
		}, "app/first"},
		"swap": {func(t *testing.T, ls, _ []string) []string {
			i, j := valueLine(t, ls, "app/first"), valueLine(t, ls, "app/second")
			_, vi, _ := strings.Cut(ls[i], ": ")
			_, vj, _ := strings.Cut(ls[j], ": ")
			ls[i], ls[j] = "  app/first: "+vj, "  app/second: "+vi
			return ls
		}, "app/first"},
		"rename": {func(t *testing.T, ls, _ []string) []string {
			i := valueLine(t, ls, "app/second")
			ls[i] = strings.Replace(ls[i], "app/second", "app/third", 1)
			return ls
		}, "app/third"},
		"copy": {func(t *testing.T, ls, _ []string) []string {
			i := valueLine(t, ls, "app/second")
			return append(ls, strings.Replace(ls[i], "app/second", "app/copy", 1))
		}, "app/copy"},
		"truncate a value": {func(t *testing.T, ls, _ []string) []string {
			i := valueLine(t, ls, "app/second")
			ls[i] = ls[i][:len(ls[i])-8]
			return ls
		}, "app/second"},
		"truncate a value to almost nothing": {func(t *testing.T, ls, _ []string) []string {
			ls[valueLine(t, ls, "app/second")] = "  app/second: AAAA"
			return ls
		}, "app/second"},
		"cut off in the middle of base64": {func(t *testing.T, ls, _ []string) []string {
			i := valueLine(t, ls, "app/second")
			ls[i] = ls[i][:len(ls[i])-1]
			return ls[:i+1]
		}, "app/second"},
		"remove a line": {func(t *testing.T, ls, _ []string) []string {
			i := valueLine(t, ls, "app/second")
			return append(ls[:i:i], ls[i+1:]...)
		}, "removed"},
		"put back an older value": {func(t *testing.T, ls, old []string) []string {
			ls[valueLine(t, ls, "app/first")] = old[valueLine(t, old, "app/first")]
			return ls
		}, "older"},
		"slip in a recipient": {func(t *testing.T, ls, _ []string) []string {
			id, _ := age.GenerateX25519Identity()
			for i, l := range ls {
				if l == "recipients:" {
					ls[i] += "\n  - " + id.Recipient().String()
				}
			}
			return ls
		}, "recipients"},
		"twice": {func(t *testing.T, ls, _ []string) []string {
			return append(ls, ls[valueLine(t, ls, "app/old")])
		}, "app/old"},
		"a value in the clear": {func(t *testing.T, ls, _ []string) []string {
			return append(ls, "  hunter2")
		}, "stack/name"},
		"future version": {func(t *testing.T, ls, _ []string) []string {
			for i, l := range ls {
				if l == "version: 1" {
					ls[i] = "version: 2"
				}
			}
			return ls
		}, "version"},
		"key": {func(t *testing.T, ls, _ []string) []string {
			for i, l := range ls {
				if strings.HasPrefix(l, "key: ") {
					ls[i] = l[:len(l)-12] + "AAAAAAAAAA=="
				}
			}
			return ls
		}, "file key"},
	}
}

func TestTampering(t *testing.T) {
	p := newPlace(t)
	p.save(t, "app/old", "1", "app/first", "correct horse", "app/second", "battery staple")
	first, _ := os.ReadFile(p.file)
	p.save(t, "app/first", "Tr0ub4dor")
	raw, _ := os.ReadFile(p.file)
	for name, c := range tamperings() {
		t.Run(name, func(t *testing.T) {
			spoiled := strings.Join(c.spoil(t, lines(string(raw)), lines(string(first))), "\n") + "\n"
			if err := os.WriteFile(p.file, []byte(spoiled), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Open(p.file, p.key, plainWrite)
			if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("error %v", err)
			}
			for _, value := range []string{"correct", "battery", "Tr0ub", "hunter2"} {
				if strings.Contains(fmt.Sprintf("%+v %#v", err, err), value) {
					t.Errorf("the error holds a value: %v", err)
				}
			}
			var problem stacks.Problem
			if !errors.As(err, &problem) || problem.Hint == "" {
				t.Error("no hint")
			}
		})
	}
}

// TestTruncatedAnywhere cuts the file at every byte: never an empty or smaller store.
func TestTruncatedAnywhere(t *testing.T) {
	p := newPlace(t)
	p.save(t, "app/first", "1", "app/second", "2")
	raw, _ := os.ReadFile(p.file)
	for n := range len(raw) - 1 { // without the last line break it is whole
		if err := os.WriteFile(p.file, raw[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(p.file, p.key, plainWrite); !errors.Is(err, ErrDamaged) {
			t.Fatalf("cut at %d of %d: %v", n, len(raw), err)
		}
	}
}
