package users

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/croft-sh/croft/stacks"
	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"
	"golang.org/x/crypto/argon2"
)

var password = stacks.NewSecret("correct horse battery")

// plainWrite keeps the order of host.WriteFileAs: the file appears whole.
func plainWrite(path string, data []byte, mode fs.FileMode, uid, gid int) error {
	tmp := path + ".new"
	if err := os.WriteFile(tmp, data, mode); err != nil {
		return err
	}
	if err := os.Chown(tmp, uid, gid); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

func newFile(t testing.TB) *File {
	opt := Options{UID: os.Geteuid(), GID: os.Getegid(), Write: plainWrite}
	if opt.UID == 0 {
		opt.UID, opt.GID = 1000, 1001
	}
	return Open(filepath.Join(t.TempDir(), "users"), opt)
}

func seeded(t testing.TB) *File {
	t.Helper()
	f := newFile(t)
	if ok, err := f.Seed(User{Name: "ada", Email: "ada@example.com"}, password); !ok || err != nil {
		t.Fatal(ok, err)
	}
	return f
}

func (f *File) put(t testing.TB, text string) {
	t.Helper()
	if err := os.WriteFile(f.Path(), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (f *File) text(t testing.TB) string {
	t.Helper()
	raw, err := os.ReadFile(f.Path())
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// valid checks the file against Authelia's own schema.
func (f *File) valid(t testing.TB) {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile("testdata/authelia-4.39-users.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := yaml.Unmarshal([]byte(f.text(t)), &v); err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(v); err != nil {
		t.Errorf("%v in\n%s", err, f.text(t))
	}
}

// hashOf gives the stored hash of a user.
func (f *File) hashOf(t testing.TB, name string) string {
	t.Helper()
	var v struct {
		Users map[string]struct{ Password string }
	}
	if err := yaml.Unmarshal([]byte(f.text(t)), &v); err != nil {
		t.Fatal(err)
	}
	return v.Users[name].Password
}

func matches(t testing.TB, hash, plain string) bool {
	t.Helper()
	var version, memory, time, threads int
	parts := strings.Split(hash, "$")
	if len(parts) != 6 {
		t.Fatalf("hash has %d parts", len(parts))
	}
	if _, err := fmt.Sscanf(parts[2]+" "+parts[3], "v=%d m=%d,t=%d,p=%d", &version, &memory, &time, &threads); err != nil {
		t.Fatal(err)
	}
	salt, key := decode64(t, parts[4]), decode64(t, parts[5])
	if parts[1] != "argon2id" || version != 19 || memory != 65536 || time != 3 || threads != 4 || len(salt) != 16 || len(key) != 32 {
		t.Errorf("parameters %s", hash)
	}
	return bytes.Equal(key, argon2.IDKey([]byte(plain), salt, uint32(time), uint32(memory), uint8(threads), 32))
}

func TestSeed(t *testing.T) {
	f := newFile(t)
	if _, err := f.List(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before: %v", err)
	}
	for _, bad := range []User{{Name: "Ada"}, {Name: ""}, {Name: "ada", Groups: []string{"users"}}, {Name: "ada", Disabled: true}, {Name: "ada", Email: "x"}, {Name: "ada", DisplayName: "a\nb"}} {
		if ok, err := f.Seed(bad, password); ok || err == nil {
			t.Errorf("seeded %+v", bad)
		}
	}
	if ok, err := f.Seed(User{Name: "ada"}, stacks.NewSecret("short")); ok || err == nil || strings.Contains(err.Error(), "short1") {
		t.Errorf("short password: %v", err)
	}
	if ok, err := f.Seed(User{Name: "ada", Email: "ada@example.com"}, password); !ok || err != nil {
		t.Fatal(ok, err)
	}
	f.valid(t)
	info, err := os.Stat(f.Path())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if st := info.Sys().(*syscall.Stat_t); int(st.Uid) != f.opt.UID || int(st.Gid) != f.opt.GID {
		t.Errorf("owner %d:%d", st.Uid, st.Gid)
	}
	if !matches(t, f.hashOf(t, "ada"), stacks.Reveal(password)) {
		t.Error("the hash is of another password")
	}
	before := f.text(t)
	if ok, err := f.Seed(User{Name: "eve"}, password); ok || err != nil || f.text(t) != before {
		t.Errorf("seeded over a file: %v, %v", ok, err)
	}
	f.put(t, "nonsense")
	if ok, err := f.Seed(User{Name: "eve"}, password); ok || err != nil || f.text(t) != "nonsense" {
		t.Errorf("seeded over nonsense: %v, %v", ok, err)
	}
}

func TestAddRemovePassword(t *testing.T) {
	f := seeded(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		f.valid(t)
	}
	must(f.Add(User{Name: "no", DisplayName: "Nö: #1 'x'", Groups: []string{"dev", "1e3"}}, password))
	must(f.Add(User{Name: "bob", Email: "bob@example.com", Disabled: true, Groups: []string{AdminGroup}}, password))
	got, err := f.List()
	want := []User{
		{Name: "ada", DisplayName: "ada", Email: "ada@example.com", Groups: []string{AdminGroup}},
		{Name: "no", DisplayName: "Nö: #1 'x'", Groups: []string{"dev", "1e3"}},
		{Name: "bob", DisplayName: "bob", Email: "bob@example.com", Groups: []string{AdminGroup}, Disabled: true},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	if err := f.Add(User{Name: "ada"}, password); !errors.Is(err, ErrExists) {
		t.Errorf("twice: %v", err)
	}
	if err := f.Add(User{Name: "eve", Email: "ADA@example.com"}, password); !errors.Is(err, ErrExists) {
		t.Errorf("address twice: %v", err)
	}
	old := f.hashOf(t, "ada")
	must(f.SetPassword("ada", stacks.NewSecret("another password")))
	if f.hashOf(t, "ada") == old || !matches(t, f.hashOf(t, "ada"), "another password") {
		t.Error("the password did not change")
	}
	if err := f.SetPassword("nobody", password); !errors.Is(err, ErrNoUser) {
		t.Errorf("nobody: %v", err)
	}
	if err := f.Remove("nobody"); !errors.Is(err, ErrNoUser) {
		t.Errorf("nobody: %v", err)
	}
	// bob is an admin, but disabled.
	if err := f.Remove("ada"); !errors.Is(err, ErrLastAdmin) {
		t.Errorf("last admin: %v", err)
	}
	must(f.Remove("no"))
	must(f.Add(User{Name: "eve", Groups: []string{AdminGroup}}, password))
	must(f.Remove("ada"))
	if err := f.Remove("eve"); !errors.Is(err, ErrLastAdmin) {
		t.Errorf("last admin: %v", err)
	}
}

const handwritten = `# ours
users:
    # the boss
    ada: # since 2020
        disabled: false
        displayname: "Ada L."
        password: $argon2id$v=19$m=65536,t=3,p=4$MDEyMzQ1Njc4OWFiY2RlZg$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA # pw
        email: ada@example.com
        groups: [admins, dev]
        given_name: Ada
        address: {locality: London}
        extra:
            shoe: 38
    # the last
    bob:
        displayname: Bob
        password: '$2a$10$abcdefghijklmnopqrstuv'
`

func TestKeepsWhatItDoesNotKnow(t *testing.T) {
	f := seeded(t)
	f.put(t, handwritten)
	if err := f.SetPassword("ada", password); err != nil {
		t.Fatal(err)
	}
	if err := f.Add(User{Name: "eve"}, password); err != nil {
		t.Fatal(err)
	}
	text := f.text(t)
	for _, want := range []string{"# ours", "# the boss", "# since 2020", "# pw", "# the last", "given_name: Ada", "locality: London", "shoe: 38", "$2a$10$abcdefghijklmnopqrstuv", "disabled: false"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is gone:\n%s", want, text)
		}
	}
	if strings.Contains(text, "MDEyMzQ1Njc4OWFiY2RlZg$AAA") || !matches(t, f.hashOf(t, "ada"), stacks.Reveal(password)) {
		t.Error("the password did not change")
	}
	f.valid(t)
	if err := f.Remove("eve"); err != nil {
		t.Fatal(err)
	}
	if all, err := f.List(); err != nil || len(all) != 2 {
		t.Errorf("%v, %v", all, err)
	}
}

// TestAutheliaWritesMeanwhile is a password reset between read and write.
func TestAutheliaWritesMeanwhile(t *testing.T) {
	f := seeded(t)
	if err := f.Add(User{Name: "bob"}, password); err != nil {
		t.Fatal(err)
	}
	times := 0
	f.beforeCheck = func() {
		if times++; times == 1 {
			f.put(t, strings.Replace(f.text(t), f.hashOf(t, "bob"), "$2a$10$reset", 1))
		}
	}
	if err := f.SetPassword("ada", stacks.NewSecret("another password")); err != nil {
		t.Fatal(err)
	}
	if times != 2 || f.hashOf(t, "bob") != "$2a$10$reset" || !matches(t, f.hashOf(t, "ada"), "another password") {
		t.Errorf("after %d times:\n%s", times, f.text(t))
	}
	n := 0
	f.beforeCheck = func() { n++; f.put(t, f.text(t)+fmt.Sprintf("# %d\n", n)) }
	if err := f.Add(User{Name: "eve"}, password); !errors.Is(err, ErrChanged) {
		t.Errorf("error %v", err)
	}
	if strings.Contains(f.text(t), "eve") {
		t.Error("written over somebody")
	}
}

func TestEmptyForAMoment(t *testing.T) {
	f := seeded(t)
	text := f.text(t)
	f.put(t, "")
	go func() {
		time.Sleep(emptyPause + emptyPause/2)
		_ = os.WriteFile(f.Path(), []byte(text), 0o600)
	}()
	if all, err := f.List(); err != nil || len(all) != 1 {
		t.Errorf("%v, %v", all, err)
	}
}

func TestConcurrentAdds(t *testing.T) {
	f := seeded(t)
	errs := make(chan error, 6)
	for i := range 6 {
		go func() { errs <- Open(f.dir, f.opt).Add(User{Name: fmt.Sprintf("user%d", i)}, password) }()
	}
	for range 6 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if all, err := f.List(); err != nil || len(all) != 7 {
		t.Errorf("%d users, %v", len(all), err)
	}
}

func TestFailedWriteChangesNothing(t *testing.T) {
	f := seeded(t)
	before := f.text(t)
	full := errors.New("disk full")
	f.opt.Write = func(string, []byte, fs.FileMode, int, int) error { return full }
	if err := f.Add(User{Name: "eve"}, password); !errors.Is(err, full) || f.text(t) != before {
		t.Errorf("error %v", err)
	}
}

func TestDamagedFiles(t *testing.T) {
	hash := "$argon2id$v=19$m=65536,t=3,p=4$SALTSALTSALT$HASHHASHHASH"
	entry := "{displayname: A, password: " + hash + ", groups: [admins]}"
	for name, text := range map[string]string{
		"no users":      "other: 1\n",
		"a list":        "users: [a]\n",
		"nobody":        "users: {}\n",
		"null":          "users:\n",
		"scalar":        "users: " + hash + "\n",
		"no yaml":       "users:\n  ada: {password: " + hash + "\n\tx",
		"user twice":    "users:\n  ada: " + entry + "\n  ada: " + entry + "\n",
		"users twice":   "users:\n  ada: " + entry + "\nusers:\n  ada: " + entry + "\n",
		"alias":         "users:\n  ada: &a " + entry + "\n  bob: *a\n",
		"merge":         "users:\n  ada: &a " + entry + "\n  <<: {bob: *a}\n",
		"no password":   "users:\n  ada: {displayname: A}\n",
		"no name":       "users:\n  ada: {password: " + hash + "}\n",
		"field's form":  "users:\n  ada: {displayname: A, password: [" + hash + "]}\n",
		"field twice":   "users:\n  ada: {displayname: A, password: " + hash + ", password: " + hash + "}\n",
		"two documents": "---\n[]\n---\nusers: {}\n",
	} {
		t.Run(name, func(t *testing.T) {
			f := newFile(t)
			if err := f.directory(); err != nil {
				t.Fatal(err)
			}
			f.put(t, text)
			_, err := f.List()
			if !errors.Is(err, ErrDamaged) || strings.Contains(err.Error(), "HASH") {
				t.Errorf("List: %v", err)
			}
			if err := f.Remove("eve"); !errors.Is(err, ErrDamaged) || strings.Contains(err.Error(), "HASH") {
				t.Errorf("Remove: %v", err)
			}
			if f.text(t) != text {
				t.Error("the file was changed")
			}
		})
	}
}

func FuzzUsersFile(f *testing.F) {
	f.Add([]byte(handwritten))
	f.Add([]byte("users: {a: {displayname: A, password: x}}\n"))
	f.Add([]byte("? users\n: ? ada\n  : displayname: |-\n      A\n    password: >-\n      x\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		t1, err := parseTree("f", data)
		if err != nil {
			return
		}
		before, err := t1.users()
		if err != nil {
			return
		}
		if t1.has("zed") {
			return
		}
		t1.add(User{Name: "zed", DisplayName: "Z"}, "$hash")
		if err := t1.setPassword(before[0].Name, "$new"); err != nil {
			t.Fatal(err)
		}
		text, err := t1.text()
		if err != nil {
			return // refused before it is written
		}
		t2, err := parseTree("f", text)
		if err != nil {
			return // apply reads it back and refuses likewise
		}
		after, err := t2.users()
		if err != nil {
			return
		}
		want := append(before, User{Name: "zed", DisplayName: "Z", Groups: []string{}})
		if diff := cmp.Diff(want, after); diff != "" {
			t.Fatalf("%q became\n%s\n%s", data, text, diff)
		}
	})
}
