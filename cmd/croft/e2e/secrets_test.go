//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// secretValues gives every secret that croft delivered, by file, and the
// account's. Of a key only the middle is looked for: its first and last lines
// are the same for all.
func (p *platform) secretValues(t *testing.T) map[string]string {
	t.Helper()
	values := map[string]string{}
	dir := filepath.Join("/run/croft", p.name, "secrets")
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		text := strings.TrimSpace(string(raw))
		switch {
		case strings.Contains(text, "PRIVATE KEY"):
			_, key, _ := strings.Cut(text, "PRIVATE KEY-----\n")
			line, _, _ := strings.Cut(key, "\n")
			values[path] = line
		case strings.Contains(text, "BEGIN CERTIFICATE"):
			// public
		case strings.Contains(text, "\n") || strings.Contains(text, " "):
			// a file made of a template: its secrets are files of their own
		default:
			values[path] = text
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	values["password of ada"] = p.password(t)
	values["second factor of ada"] = p.totpSecret(t)
	return values
}

func TestNoSecretIsSeenWhereItShouldNotBe(t *testing.T) {
	p := shared(t)
	p.signedIn(t) // so that logs have seen a sign-in
	values := p.secretValues(t)
	if len(values) < 8 {
		t.Fatalf("only %d secrets found: this test sees too little", len(values))
	}
	for name, v := range values {
		if len(v) < 12 {
			t.Errorf("%s is too short to look for: %d characters", name, len(v))
		}
	}
	seen := func(where string, text []byte) {
		for name, v := range values {
			if bytes.Contains(text, []byte(v)) {
				t.Errorf("%s holds %s", where, name)
			}
		}
	}
	places := 0
	for _, c := range p.containers(t) {
		seen("docker inspect of "+c.String(), []byte(docker(t, "inspect", c.ID)))
		seen("the log of "+c.String(), []byte(logOf(t, c)))
		for _, file := range []string{"cmdline", "environ"} {
			raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", c.State.Pid, file))
			if err != nil {
				t.Errorf("%s: %v", c, err)
			}
			seen(file+" of "+c.String(), raw)
		}
		places += 4
	}
	for _, kind := range []string{"network", "volume"} {
		for _, name := range strings.Fields(docker(t, kind, "ls", "-q", "--filter", "name=^"+p.name+"-")) {
			seen(kind+" "+name, []byte(docker(t, kind, "inspect", name)))
			places++
		}
	}
	for _, root := range []string{p.dir, p.state} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			if path == filepath.Join(p.state, "first-login.txt") {
				return nil // waits there for the admin, who was not at a terminal
			}
			raw, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			seen(path, raw)
			places++
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	for name, r := range map[string]result{"the output of init": sharedInit, "the output of apply": sharedApply,
		"the output of plan": p.run(t, "plan", "-o", "json", "-v"), "the output of status": p.run(t, "status", "-o", "json", "-v"),
		"the output of doctor": p.run(t, "doctor", "-v"), "the output of stack info": p.run(t, "stack", "info", "authelia")} {
		if name == "the output of init" {
			// It ends with how to sign in, and shows that once.
			continue
		}
		seen(name, []byte(r.stdout+r.stderr))
		places++
	}
	t.Logf("%d secrets looked for in %d places", len(values), places)
}

func TestSecretsAreReadableToTheirReaderAlone(t *testing.T) {
	p := shared(t)
	run := filepath.Join("/run/croft", p.name)
	raw, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	onTmpfs := false
	for _, line := range strings.Split(string(raw), "\n") {
		f := strings.Fields(line)
		if len(f) > 3 && (f[1] == run || f[1] == filepath.Join(run, "secrets")) {
			onTmpfs = f[2] == "tmpfs"
			for _, option := range []string{"nosuid", "nodev", "noexec"} {
				if !strings.Contains(","+f[3]+",", ","+option+",") {
					t.Errorf("the tmpfs at %s is mounted without %s: %s", f[1], option, f[3])
				}
			}
		}
	}
	if !onTmpfs {
		t.Errorf("%s is not on a tmpfs of its own", run)
	}
	files := 0
	err = filepath.WalkDir(filepath.Join(run, "secrets"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == ".delivered" { // croft's own note of fingerprints
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		files++
		if info.Mode() != 0o400 {
			t.Errorf("%s has the mode %s", path, info.Mode())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files == 0 {
		t.Error("no secrets were delivered")
	}
	// Nobody gets below it, whatever the modes there.
	info, err := os.Stat(p.state)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o700 {
		t.Errorf("%s has the mode %s", p.state, info.Mode())
	}
}
