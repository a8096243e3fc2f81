package secrets

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/croft-sh/croft/stacks"
)

// file is what is found in the run directory.
type file struct {
	content  string
	mode     fs.FileMode
	uid, gid int
	inode    uint64
}

func (b *bench) files(t testing.TB) map[string]file {
	t.Helper()
	out := map[string]file{}
	err := filepath.WalkDir(b.Dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		if e.IsDir() {
			if info.Mode().Perm() != 0o711 || int(st.Uid) != os.Geteuid() {
				t.Errorf("%s has mode %v and owner %d", path, info.Mode(), st.Uid)
			}
			return nil
		}
		raw, err := os.ReadFile(path)
		rel, _ := filepath.Rel(b.Dir, path)
		if rel == deliveredFile { // no secret: see check_test.go
			return err
		}
		out[rel] = file{string(raw), info.Mode(), int(st.Uid), int(st.Gid), st.Ino}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (b *bench) grant(secret, rel string, uid int) stacks.Grant {
	return stacks.Grant{Secret: secret, Path: filepath.Join(b.Dir, rel), UID: uid, GID: uid + 1}
}

func newDelivery(t testing.TB) *bench {
	if os.Geteuid() != 0 {
		t.Skip("needs root to give files away")
	}
	b := newBench(t)
	b.ensure(t, nil)
	for name, value := range map[string]string{"gitea/db": "one", "gitea/key": "two", "auth/key": "three"} {
		if err := b.Set(name, stacks.NewSecret(value)); err != nil {
			t.Fatal(err)
		}
	}
	b.events = nil
	return b
}

func TestDeliver(t *testing.T) {
	b := newDelivery(t)
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	grants := b.sampleGrants()
	first := b.deliverTwice(t, grants)
	b.deliverLess(t, first)
}

func (b *bench) sampleGrants() []stacks.Grant {
	return []stacks.Grant{
		b.grant("gitea/db", "gitea/web/db", 1000), b.grant("gitea/key", "gitea/web/key", 1000),
		b.grant("gitea/db", "gitea/job/db", 999), b.grant("auth/key", "auth/auth/key", 0), b.grant("auth/key", "auth/auth/key", 0),
	}
}

// deliverTwice gives the files; the second time nothing may be touched.
func (b *bench) deliverTwice(t *testing.T, grants []stacks.Grant) map[string]file {
	t.Helper()
	if err := b.Deliver(grants); err != nil {
		t.Fatal(err)
	}
	first := b.files(t)
	want := map[string]string{"gitea/web/db": "one", "gitea/web/key": "two", "gitea/job/db": "one", "auth/auth/key": "three"}
	if len(first) != len(want) {
		t.Errorf("files %v", first)
	}
	for rel, content := range want {
		if f := first[rel]; f.content != content || f.mode != 0o400 {
			t.Errorf("%s: %+v", rel, f)
		}
	}
	if f := first["gitea/job/db"]; f.uid != 999 || f.gid != 1000 {
		t.Errorf("owner %d:%d", f.uid, f.gid)
	}
	if len(b.events) != 4 {
		t.Errorf("events %v", b.events)
	}
	b.events = nil
	if err := b.Deliver(grants); err != nil {
		t.Fatal(err)
	}
	for rel, f := range b.files(t) {
		if f != first[rel] {
			t.Errorf("%s was touched", rel)
		}
	}
	if len(b.events) != 0 {
		t.Errorf("events without a change: %v", b.events)
	}
	return first
}

// deliverLess is a changed value, a changed owner, one grant less; auth is not
// mentioned, and then withdrawn.
func (b *bench) deliverLess(t *testing.T, first map[string]file) {
	t.Helper()
	_ = b.Set("gitea/key", stacks.NewSecret("TWO"))
	if err := b.Deliver([]stacks.Grant{b.grant("gitea/key", "gitea/web/key", 1000), b.grant("gitea/db", "gitea/web/db", 1001)}); err != nil {
		t.Fatal(err)
	}
	now := b.files(t)
	if f := now["gitea/web/key"]; f.content != "TWO" || f.inode == first["gitea/web/key"].inode {
		t.Errorf("changed value: %+v", f)
	}
	if f := now["gitea/web/db"]; f.uid != 1001 {
		t.Errorf("changed owner: %+v", f)
	}
	if _, ok := now["gitea/job/db"]; ok {
		t.Error("what is not granted any more is still there")
	}
	if _, err := os.Stat(filepath.Join(b.Dir, "gitea", "job")); err == nil {
		t.Error("an empty directory stays")
	}
	if now["auth/auth/key"] != first["auth/auth/key"] {
		t.Error("another stack was touched")
	}
	if err := b.Withdraw("auth"); err != nil {
		t.Fatal(err)
	}
	if _, ok := b.files(t)["auth/auth/key"]; ok {
		t.Error("withdrawn and still there")
	}
	for _, bad := range []string{"..", "../x", "a/b", "", "/"} {
		if b.Withdraw(bad) == nil {
			t.Errorf("withdrew %q", bad)
		}
	}
}

func TestDeliverMendsWhatIsInTheWay(t *testing.T) {
	b := newDelivery(t)
	outside := filepath.Join(t.TempDir(), "victim")
	_ = os.WriteFile(outside, []byte("v"), 0o600)
	web := filepath.Join(b.Dir, "gitea", "web")
	_ = os.MkdirAll(filepath.Join(web, "db", "by-docker"), 0o755) // the engine makes a directory where a file is missing
	_ = os.Symlink(outside, filepath.Join(web, "key"))
	_ = os.WriteFile(filepath.Join(web, ".croft-ABC.tmp"), []byte("half"), 0o600) // killed
	_ = os.Mkdir(filepath.Join(b.Dir, "auth"), 0o777)
	_ = os.Symlink(filepath.Dir(outside), filepath.Join(b.Dir, "auth", "auth"))
	_ = os.Chown(web, 1000, 1000)
	err := b.Deliver([]stacks.Grant{
		b.grant("gitea/db", "gitea/web/db", 1), b.grant("gitea/key", "gitea/web/key", 1), b.grant("auth/key", "auth/auth/victim", 1),
	})
	if err != nil {
		t.Fatal(err)
	}
	got := b.files(t)
	if len(got) != 3 || got["gitea/web/db"].content != "one" || got["gitea/web/key"].content != "two" || got["auth/auth/victim"].content != "three" {
		t.Errorf("%+v", got)
	}
	if raw, _ := os.ReadFile(outside); string(raw) != "v" {
		t.Error("wrote through a link")
	}
}

func TestDeliverRefuses(t *testing.T) {
	b := newDelivery(t)
	good := b.grant("gitea/db", "gitea/web/db", 1)
	at := func(path string) stacks.Grant { return stacks.Grant{Secret: "gitea/db", Path: path} }
	for name, c := range map[string]struct {
		grant stacks.Grant
		says  string
	}{
		"outside":           {at("/etc/cron.d/x/y"), "/etc/cron.d/x/y"},
		"dots":              {at(b.Dir + "/a/b/../../../../x"), "not a place"},
		"too shallow":       {at(b.Dir + "/a/b"), "not a place"},
		"too deep":          {at(b.Dir + "/a/b/c/d"), "not a place"},
		"relative":          {at("a/b/c"), "not a place"},
		"itself":            {at(b.Dir), "not a place"},
		"unknown":           {b.grant("gitea/none", "gitea/web/none", 1), "gitea/none"},
		"croft's own":       {b.grant(fingerprintKey, "gitea/web/x", 1), fingerprintKey},
		"two secrets":       {b.grant("gitea/key", "gitea/web/db", 1), "gitea/key"},
		"template, unknown": {stacks.Grant{Secret: "gitea/conf", Path: b.Dir + "/gitea/web/conf", Template: []byte(`<< secret "nope" >>`)}, "gitea/nope"},
	} {
		t.Run(name, func(t *testing.T) {
			err := b.Deliver([]stacks.Grant{good, c.grant})
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v", err)
			}
			if _, err := os.Stat(b.Dir); err == nil {
				t.Error("something was written")
			}
		})
	}
	b.Guard = func(dir string) error { return errors.New("on a disk: " + dir) }
	if err := b.Deliver([]stacks.Grant{good}); err == nil || !strings.Contains(err.Error(), "on a disk") {
		t.Errorf("guard: %v", err)
	}
	if err := b.Deliver(nil); err != nil {
		t.Errorf("no grants: %v", err)
	}
}

func TestDeliverTemplate(t *testing.T) {
	b := newDelivery(t)
	g := b.grant("gitea/conf", "gitea/web/conf", 1)
	g.Template = []byte("requirepass << secret \"db\" >>\nother: << secret \"auth/key\" | quote >>\npg: << scram \"gitea/db\" \"role\" >>\n<<- /* gone */ ->>\n{{ .Kept }} << sha256hex `db` >>\n")
	if err := b.Deliver([]stacks.Grant{g}); err != nil {
		t.Fatal(err)
	}
	first := b.files(t)["gitea/web/conf"]
	for _, want := range []string{"requirepass one\n", `other: "three"`, "pg: SCRAM-SHA-256$4096:", "{{ .Kept }} " + sha256Hex("one")} {
		if !strings.Contains(first.content, want) {
			t.Errorf("no %q in:\n%s", want, first.content)
		}
	}
	if err := b.Deliver([]stacks.Grant{g}); err != nil {
		t.Fatal(err)
	}
	if b.files(t)["gitea/web/conf"] != first {
		t.Error("the same secrets gave another file")
	}
}

func TestFill(t *testing.T) {
	p := newPlace(t)
	p.save(t, "a/b", "hunter2", "a/q", `x"y\`+"\n")
	f := filler{store: p.open(t), stack: "a", salt: stacks.NewSecret("salt")}
	for text, want := range map[string]string{
		"":                         "",
		"plain $text {{ x }}":      "plain $text {{ x }}",
		`<< secret "b" >>`:         "hunter2",
		`<<secret "a/b">>`:         "hunter2",
		`<< secret "q" | quote >>`: `"x\"y\\\n"`,
		"<</* only a comment */>>": "",
		`a << argon2id "b" >>`:     "a " + argon2idHash("hunter2", keyed(f.salt, "argon2id", "a/b")[:16]),
	} {
		got, err := f.fill("a/conf", []byte(text))
		if err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{
		"<<: *merge", `<< secret >>`, `<< secret "none" >>`, `<< secret "croft/ca" >>`, `<< "x" >>`, `<< . >>`, `<< $x := secret "b" >>`,
		`<< secret "b" | sha256hex >>`, `<< sha256hex (secret "b") >>`, `<< secret "b" | printf "%d" >>`, `<< printf "%s" "b" >>`,
		`<< if secret "b" >>x<< end >>`, `<< range secret "b" >><< end >>`, `<< secret (secret "b") >>`, `<< quote "b" >>`,
		`<< define "x" >><< secret "b" >><< end >><< template "x" >>`, `<< secret "b" | quote | quote >>`, `<< secret "b`, `<< scram "q" >>`,
		`<< secret "b" "b" >>`, `<< call "b" >>`, `<< index "b" 0 >>`,
	} {
		got, err := f.fill("a/conf", []byte(text))
		if err == nil {
			t.Errorf("%s was filled: %q", text, got)
		} else if strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "a/conf") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func FuzzFill(f *testing.F) {
	p := newPlace(f)
	p.save(f, "a/b", "hunter2")
	fill := filler{store: p.open(f), stack: "a", salt: stacks.NewSecret("salt")}
	for _, seed := range []string{`<< secret "b" >>`, `<< sha256hex "a/b" | quote >>`, "<<: *x", "<</* c */>>"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "argon2id") || strings.Contains(text, "pbkdf2") {
			t.Skip("slow on purpose")
		}
		if _, err := fill.fill("a/conf", []byte(text)); err != nil && strings.Contains(err.Error(), "hunter2") && !strings.Contains(text, "hunter2") {
			t.Errorf("%q: %v", text, err)
		}
	})
}

// The exchange of RFC 7677, section 3.
func TestScramVerifier(t *testing.T) {
	salt := decode64(t, "W22ZaJ0SNY7soEsUEjb6gQ==")
	got, err := scramVerifier("pencil", salt)
	if err != nil {
		t.Fatal(err)
	}
	head, keyPart, _ := strings.Cut(got, "W22ZaJ0SNY7soEsUEjb6gQ==$")
	stored, server, _ := strings.Cut(keyPart, ":")
	if head != "SCRAM-SHA-256$4096:" {
		t.Errorf("%s", got)
	}
	const message = "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
	if sig := mac256(decode64(t, server), message); encode64(sig) != "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=" {
		t.Errorf("server signature %s", encode64(sig))
	}
	// The proof is ClientKey xor ClientSignature, and StoredKey the hash of ClientKey.
	key := decode64(t, "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
	for i, b := range mac256(decode64(t, stored), message) {
		key[i] ^= b
	}
	if encode64(hash256(key)) != stored {
		t.Error("the stored key does not open the exchange")
	}
	if _, err := scramVerifier("päncil", salt); err == nil {
		t.Error("hashed what PostgreSQL would normalise")
	}
}

func TestHashesAreStable(t *testing.T) {
	salt := []byte("0123456789abcdef")
	if got := argon2idHash("password", salt); got != argon2idHash("password", salt) || !strings.HasPrefix(got, "$argon2id$v=19$m=65536,t=3,p=4$MDEyMzQ1Njc4OWFiY2RlZg$") {
		t.Error(got)
	}
	got, err := pbkdf2Hash("password", salt)
	if err != nil || !strings.HasPrefix(got, "$pbkdf2-sha512$310000$MDEyMzQ1Njc4OWFiY2RlZg$") || strings.ContainsAny(got, "+=") || len(strings.Split(got, "$")) != 5 {
		t.Error(got, err)
	}
	if !slices.Equal([]byte(sha256Hex("")), []byte("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")) {
		t.Error("sha256hex")
	}
}

// TestDeliverAsUser runs where root does not: a user cannot give files away, so
// the directory keeps others out.
func TestDeliverAsUser(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("is about users; run the test binary as one")
	}
	b := newBench(t)
	b.ensure(t, map[string]stacks.SecretSpec{"a/b": {Generate: 8}})
	for range 2 {
		err := b.Deliver([]stacks.Grant{b.grant("a/b", "a/web/theirs", 12345), b.grant("a/b", "a/web/mine", os.Geteuid())})
		if err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]fs.FileMode{"": 0o700, "a/web/theirs": 0o444, "a/web/mine": 0o400} {
		if info, err := os.Stat(filepath.Join(b.Dir, path)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%q has mode %v, %v", path, info.Mode(), err)
		}
	}
}
