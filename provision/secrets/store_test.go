package secrets

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/croft-sh/croft/stacks"
)

func plainWrite(path string, data []byte, mode fs.FileMode) error {
	return os.WriteFile(path, data, mode)
}

type place struct{ file, key string }

func newPlace(t testing.TB) place {
	dir := t.TempDir()
	p := place{filepath.Join(dir, "secrets.age"), filepath.Join(dir, "host.key")}
	if _, err := EnsureHostKey(p.key); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p place) open(t testing.TB) *Store {
	t.Helper()
	s, err := Open(p.file, p.key, plainWrite)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// save puts name, value pairs.
func (p place) save(t testing.TB, pairs ...string) {
	t.Helper()
	s := p.open(t)
	for i := 0; i < len(pairs); i += 2 {
		if err := s.Set(pairs[i], stacks.NewSecret(pairs[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Save(); err != nil {
		t.Fatal(err)
	}
}

func reveal(t testing.TB, s *Store, name string) string {
	t.Helper()
	v, ok := s.Get(name)
	if !ok {
		t.Fatalf("%s is missing", name)
	}
	return stacks.Reveal(v)
}

func TestStoreRoundTrip(t *testing.T) {
	p := newPlace(t)
	s := p.open(t)
	if s.Exists() || len(s.Names()) != 0 {
		t.Fatal("a missing file is not empty")
	}
	if err := s.Save(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(p.file); err == nil {
		t.Fatal("saving nothing wrote a file")
	}
	values := []string{"gitea/db_password", "x", "a/b", "line\nbreak: # not a comment", "z/z.1", strings.Repeat("long", 10000), "u/umlaut", "ä\x00\xff"}
	p.save(t, values...)
	s = p.open(t)
	for i := 0; i < len(values); i += 2 {
		if got := reveal(t, s, values[i]); got != values[i+1] {
			t.Errorf("%s came back with %d bytes", values[i], len(got))
		}
	}
	raw, _ := os.ReadFile(p.file)
	for i := 1; i < len(values); i += 2 {
		if len(values[i]) > 3 && bytes.Contains(raw, []byte(values[i])) {
			t.Error("a value is in the file in the clear")
		}
	}
	if info, _ := os.Stat(p.file); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
}

func TestStoreKeepsOrderCommentsAndUnchangedLines(t *testing.T) {
	p := newPlace(t)
	p.save(t, "b/one", "1", "a/two", "2")
	raw, _ := os.ReadFile(p.file)
	text := strings.Replace(string(raw), "values:\n", "values:\n  # the first\n\n", 1) + "# the end\n"
	if err := os.WriteFile(p.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	before := lines(text)
	p.save(t, "b/three", "3", "b/one", "1")
	after, _ := os.ReadFile(p.file)
	var kept []string
	for _, l := range lines(string(after)) {
		if !strings.HasPrefix(l, "mac:") && !strings.HasPrefix(l, "  b/three:") {
			kept = append(kept, l)
		}
	}
	var want []string
	for _, l := range before {
		if !strings.HasPrefix(l, "mac:") {
			want = append(want, l)
		}
	}
	if strings.Join(kept, "\n") != strings.Join(want, "\n") {
		t.Errorf("lines changed:\n%s\nwant:\n%s", strings.Join(kept, "\n"), strings.Join(want, "\n"))
	}
	s := p.open(t)
	s.Delete("a/two")
	s.Delete("no/such")
	if err := s.Save(); err != nil {
		t.Fatal(err)
	}
	after, _ = os.ReadFile(p.file)
	if strings.Contains(string(after), "a/two") || !strings.Contains(string(after), "# the first") {
		t.Errorf("after delete:\n%s", after)
	}
}

func lines(s string) []string { return strings.Split(strings.TrimSuffix(s, "\n"), "\n") }

func TestWrongKey(t *testing.T) {
	p, other := newPlace(t), newPlace(t)
	p.save(t, "a/b", "c")
	if _, err := Open(p.file, other.key, plainWrite); !errors.Is(err, ErrWrongKey) {
		t.Errorf("another key: %v", err)
	}
	_ = os.Remove(p.key)
	if _, err := Open(p.file, p.key, plainWrite); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no key: %v", err)
	}
	for name, text := range map[string]string{"junk": "hunter2\n", "empty": "", "two": "x\ny\n"} {
		_ = os.Remove(p.key)
		_ = os.WriteFile(p.key, []byte(text), 0o400)
		if _, err := Open(p.file, p.key, plainWrite); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHostKey(t *testing.T) {
	p := newPlace(t)
	before, _ := os.ReadFile(p.key)
	if made, err := EnsureHostKey(p.key); made || err != nil {
		t.Errorf("again: %v, %v", made, err)
	}
	if after, _ := os.ReadFile(p.key); !bytes.Equal(before, after) {
		t.Error("the key was replaced")
	}
	info, _ := os.Stat(p.key)
	if info.Mode().Perm() != 0o400 {
		t.Errorf("mode %v", info.Mode())
	}
	if left, _ := os.ReadDir(filepath.Dir(p.key)); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
	if err := writeNew(p.key, []byte("x"), 0o400); !errors.Is(err, fs.ErrExist) {
		t.Errorf("writeNew: %v", err)
	}
	p.save(t, "a/b", "c")
	_ = os.Chmod(p.key, 0o444)
	if _, err := Open(p.file, p.key, plainWrite); err == nil || !strings.Contains(err.Error(), "others") {
		t.Errorf("a key for all: %v", err)
	}
}

func TestRecipients(t *testing.T) {
	p, recovery, thief := newPlace(t), newPlace(t), newPlace(t)
	recipient := func(q place) string {
		id, err := readHostKey(q.key)
		if err != nil {
			t.Fatal(err)
		}
		return id.Recipient().String()
	}
	p.save(t, "a/b", "c")
	s := p.open(t)
	if err := s.SetRecipients([]string{recipient(recovery), recipient(thief), recipient(p)}); err != nil {
		t.Fatal(err)
	}
	if err := s.Save(); err != nil {
		t.Fatal(err)
	}
	old, _ := os.ReadFile(p.file)
	for _, q := range []place{p, recovery, thief} {
		s, err := Open(p.file, q.key, plainWrite)
		if err != nil || reveal(t, s, "a/b") != "c" || len(s.Recipients()) != 3 {
			t.Fatalf("cannot be opened: %v", err)
		}
	}
	s = p.open(t)
	if err := s.SetRecipients([]string{recipient(recovery)}); err != nil {
		t.Fatal(err)
	}
	if err := s.Save(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(p.file, thief.key, plainWrite); !errors.Is(err, ErrWrongKey) {
		t.Errorf("who was removed: %v", err)
	}
	now, _ := os.ReadFile(p.file)
	for _, l := range lines(string(old)) {
		if strings.HasPrefix(l, "  a/b") && strings.Contains(string(now), l) {
			t.Error("the value is still sealed with the old file key")
		}
	}
	if err := s.SetRecipients([]string{"age1nonsense"}); err == nil {
		t.Error("took nonsense")
	}
}

func TestSaveRefuses(t *testing.T) {
	p := newPlace(t)
	p.save(t, "a/b", "c")
	t.Run("a change by another run", func(t *testing.T) {
		s := p.open(t)
		p.save(t, "a/other", "d")
		_ = s.Set("a/mine", stacks.NewSecret("e"))
		if err := s.Save(); !errors.Is(err, ErrChanged) {
			t.Errorf("error %v", err)
		}
		if reveal(t, p.open(t), "a/other") != "d" {
			t.Error("the other's change is gone")
		}
	})
	t.Run("a file that went away", func(t *testing.T) {
		q := newPlace(t)
		q.save(t, "a/b", "c")
		s := q.open(t)
		_ = os.Remove(q.file)
		_ = s.Set("a/mine", stacks.NewSecret("e"))
		if err := s.Save(); !errors.Is(err, ErrChanged) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("a write that fails", func(t *testing.T) {
		before, _ := os.ReadFile(p.file)
		full := errors.New("disk full")
		s, _ := Open(p.file, p.key, func(string, []byte, fs.FileMode) error { return full })
		_ = s.Set("a/new", stacks.NewSecret("e"))
		if err := s.Save(); !errors.Is(err, full) {
			t.Errorf("error %v", err)
		}
		if err := s.Save(); !errors.Is(err, full) {
			t.Errorf("a second try forgot that nothing was written: %v", err)
		}
		if after, _ := os.ReadFile(p.file); !bytes.Equal(before, after) {
			t.Error("the file changed")
		}
	})
	t.Run("names and values", func(t *testing.T) {
		s := p.open(t)
		for _, name := range []string{"", "a", "a/", "/b", "a/b/c", "a b/c", "a/b\n", "../x", ".a/b", "a/-", "a:b/c"} {
			if err := s.Set(name, stacks.NewSecret("x")); err == nil {
				t.Errorf("took %q", name)
			}
		}
		for _, value := range []string{"", strings.Repeat("x", maxValue+1)} {
			if err := s.Set("a/b", stacks.NewSecret(value)); err == nil {
				t.Errorf("took %d bytes", len(value))
			}
		}
	})
}

func TestStorePrintsNothing(t *testing.T) {
	p := newPlace(t)
	p.save(t, "a/b", "hunter2hunter2")
	s := p.open(t)
	k := &Keeper{File: p.file, HostKey: p.key}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%w"} {
		for _, v := range []any{s, *s, k, struct{ s *Store }{s}, s.values, s.keys} {
			text := fmt.Sprintf(verb, v)
			if strings.Contains(text, "hunter2") || strings.Contains(text, fmt.Sprintf("%x", "hunter2")) || strings.Contains(text, fmt.Sprint(s.keys.file())) {
				t.Errorf("%s of %T shows a secret: %s", verb, v, text)
			}
		}
	}
}

func FuzzSecretsFile(f *testing.F) {
	p := newPlace(f)
	p.save(f, "app/first", "1", "app/second", "2")
	raw, err := os.ReadFile(p.file)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte("version: 1\nrecipients:\n  - age1x\nkey: AAAA\nmac: AAAA\nvalues:\n  # c\n  a/b: AAAA\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		doc, err := parseDocument("f", data)
		if err != nil {
			return
		}
		text := doc.text()
		again, err := parseDocument("f", text)
		if err != nil {
			t.Fatalf("cannot read what was written: %v\n%s", err, text)
		}
		if !bytes.Equal(again.text(), text) || len(again.sealed) != len(doc.sealed) || len(again.recipients) != len(doc.recipients) {
			t.Fatalf("writing is not stable:\n%s\n%s", text, again.text())
		}
		if !bytes.Equal(keys{mac: veil([]byte("k"))}.sum(doc), keys{mac: veil([]byte("k"))}.sum(again)) {
			t.Fatal("the meaning changed")
		}
		s := &Store{path: "f", hostKey: p.key, values: map[string]veiled[stacks.Secret]{}}
		id, err := readHostKey(p.key)
		if err != nil {
			t.Fatal(err)
		}
		if s.decrypt(data, id) == nil {
			for _, name := range s.Names() {
				if name != "app/first" && name != "app/second" {
					t.Fatalf("forged %s", name)
				}
			}
		}
	})
}
