//go:build e2e

package e2e

import (
	"bytes"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The generated account: its password as init left it, and the key of its
// second factor, made once.
var adaPassword, adaTOTP string

// password reads the password that init made where nobody could be shown it.
func (p *platform) password(t *testing.T) string {
	t.Helper()
	if adaPassword != "" {
		return adaPassword
	}
	made := decode[struct {
		Account struct {
			Name         string `json:"name"`
			Made         bool   `json:"made"`
			PasswordFile string `json:"password_file"`
		} `json:"account"`
	}](t, sharedInit.stdout).Account
	if made.Name != "ada" || !made.Made {
		t.Fatalf("init made no account: %s", sharedInit)
	}
	info, err := os.Stat(made.PasswordFile)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("%s has the mode %s", made.PasswordFile, info.Mode())
	}
	for _, line := range strings.Split(string(read(t, made.PasswordFile)), "\n") {
		if password, ok := strings.CutPrefix(line, "password: "); ok {
			adaPassword = password
			return password
		}
	}
	t.Fatalf("%s holds no password", made.PasswordFile)
	return ""
}

// totpSecret gives the account a second factor by croft, and its key.
func (p *platform) totpSecret(t *testing.T) string {
	t.Helper()
	if adaTOTP != "" {
		return adaTOTP
	}
	r := p.must(t, "user", "totp", "ada", "--reveal")
	u, err := url.Parse(strings.TrimSpace(r.stdout))
	if err != nil || u.Scheme != "otpauth" || u.Query().Get("secret") == "" {
		t.Fatalf("no otpauth address: %v", err)
	}
	adaTOTP = u.Query().Get("secret")
	return adaTOTP
}

// authority gives the certificate that browsers are to trust.
func (p *platform) authority(t *testing.T) []byte {
	t.Helper()
	return read(t, filepath.Join(p.state, "authority.pem"))
}

// logOf gives everything a container wrote, on both streams.
func logOf(t *testing.T, c container) string {
	t.Helper()
	out, err := exec.Command("docker", "logs", c.ID).CombinedOutput()
	if err != nil {
		t.Fatalf("logs of %s: %v", c, err)
	}
	return string(out)
}

// TestAnotherPersonComesAndGoes: an account made by croft signs in without a
// restart of anything, and cannot once it is removed.
func TestAnotherPersonComesAndGoes(t *testing.T) {
	p := shared(t)
	before := ids(p.containers(t))
	const password = "correct horse battery staple 7"
	run := func(stdin string, args ...string) {
		t.Helper()
		binary, err := croftBinary()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(binary, args...)
		cmd.Dir, cmd.Stdin = p.dir, bytes.NewBufferString(stdin)
		cmd.Env = append(os.Environ(), "CROFT_STATE="+p.state, "CROFT_DIR="+p.dir)
		if r, err := start(cmd, args); err != nil || r.code != exitDone {
			t.Fatalf("%v %s", err, r)
		} else if strings.Contains(r.said(), password) {
			t.Errorf("the password was printed: %s", r)
		}
	}
	signsIn := func() bool {
		got := p.browser(t).post(t, p.url("auth", "/api/firstfactor"), map[string]any{"username": "eve", "password": password})
		return got.status == 200 && strings.Contains(got.body, `"OK"`)
	}
	run(password, "user", "add", "eve", "--email", "eve@example.com", "--stdin")
	if list := p.must(t, "user", "list").stdout; !strings.Contains(list, "eve") || strings.Contains(list, "$argon2") {
		t.Errorf("the list: %s", list)
	}
	if !eventually(signsIn) {
		t.Error("a new account cannot sign in")
	}
	// She may, but not where only admins may.
	b := p.browser(t)
	b.post(t, p.url("auth", "/api/firstfactor"), map[string]any{"username": "eve", "password": password})
	if got := b.get(t, p.url("login", "/")); !got.served() {
		t.Errorf("access login: %s", got)
	}
	if got := b.get(t, p.url("admins", "/")); got.served() {
		t.Errorf("access admin: %s", got)
	}
	run("", "user", "remove", "eve", "-y")
	if !eventually(func() bool { return !signsIn() }) {
		t.Error("a removed account still signs in")
	}
	if after := ids(p.containers(t)); after != before {
		t.Errorf("containers were\n%s\nand are\n%s", before, after)
	}
	if r := p.run(t, "plan", "--detailed-exitcode"); r.code != exitDone {
		t.Errorf("accounts are in the plan: %s", r)
	}
}
