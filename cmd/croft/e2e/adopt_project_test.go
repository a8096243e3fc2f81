//go:build e2e

package e2e

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// foreign is a Compose project that docker compose runs and croft does not know.
type foreign struct {
	t       *testing.T
	shape   string
	project string
	dir     string
	flags   []string // that it is called with, beside the directory
	env     []string // of the shell that it is called from
}

// newForeign puts a project of testdata/adopt somewhere on the machine.
func newForeign(t *testing.T, p *platform, shape, random string) *foreign {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	f := &foreign{t: t, shape: shape, dir: filepath.Join(p.root, "projects", "adopt-"+random+"-"+shape)}
	f.project = filepath.Base(f.dir)
	places := strings.NewReplacer("@RAND@", random, "@PORT@", fmt.Sprint(port))
	from := os.DirFS(filepath.Join("testdata/adopt", shape))
	err = fs.WalkDir(from, ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		raw, err := fs.ReadFile(from, path)
		if err != nil {
			return err
		}
		f.write(path, places.Replace(string(raw)))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.remove)
	return f
}

func (f *foreign) write(path, content string) {
	f.t.Helper()
	full := filepath.Join(f.dir, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(content), 0o644); err != nil {
		f.t.Fatal(err)
	}
}

// edit replaces a text of a file that must be there.
func (f *foreign) edit(path, old, now string) {
	f.t.Helper()
	raw, err := os.ReadFile(filepath.Join(f.dir, path))
	if err != nil || !strings.Contains(string(raw), old) {
		f.t.Fatalf("%s does not hold %q: %v", path, old, err)
	}
	f.write(path, strings.Replace(string(raw), old, now, 1))
}

// compose runs the real docker compose in the project's directory.
func (f *foreign) compose(args ...string) string {
	f.t.Helper()
	binary, err := composeBinary()
	if err != nil {
		f.t.Fatal(err)
	}
	cmd := exec.Command(binary, append(slices.Clone(f.flags), args...)...)
	cmd.Dir = f.dir
	cmd.Env = append(os.Environ(), f.env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		f.t.Fatalf("docker compose %s in %s: %v\n%s", strings.Join(args, " "), f.shape, err, out)
	}
	return string(out)
}

// remove takes the project off the engine, volumes and built images too.
func (f *foreign) remove() {
	label := "label=com.docker.compose.project=" + f.project
	for _, kind := range [][2][]string{
		{{"ps", "-aq", "--filter", label}, {"rm", "-fv"}},
		{{"network", "ls", "-q", "--filter", label}, {"network", "rm"}},
		{{"volume", "ls", "-q", "--filter", label}, {"volume", "rm"}},
	} {
		out, err := exec.Command("docker", kind[0]...).Output()
		if err != nil {
			f.t.Error(err)
			continue
		}
		if list := strings.Fields(string(out)); len(list) > 0 {
			if out, err := exec.Command("docker", append(kind[1], list...)...).CombinedOutput(); err != nil {
				f.t.Errorf("docker %v: %s", kind[1], out)
			}
		}
	}
}

// run is one container as it must stay: the same one, started once.
type runningAs struct{ ID, Name, StartedAt, State, Networks string }

// containers gives the project's containers by name.
func (f *foreign) containers() map[string]runningAs {
	f.t.Helper()
	out := map[string]runningAs{}
	list := strings.Fields(docker(f.t, "ps", "-aq", "--no-trunc", "--filter", "label=com.docker.compose.project="+f.project))
	if len(list) == 0 {
		return out
	}
	var all []struct {
		ID, Name        string
		State           struct{ StartedAt, Status string }
		NetworkSettings struct {
			Networks map[string]struct{ EndpointID string }
		}
	}
	if err := json.Unmarshal([]byte(docker(f.t, append([]string{"inspect"}, list...)...)), &all); err != nil {
		f.t.Fatal(err)
	}
	for _, c := range all {
		out[strings.TrimPrefix(c.Name, "/")] = runningAs{c.ID, c.Name, c.State.StartedAt, c.State.Status, text(c.NetworkSettings.Networks)}
	}
	return out
}

// same wants every container to be the one it was, never restarted and never
// reconnected, but for those of the services named.
func (f *foreign) same(before map[string]runningAs, when string, but ...string) {
	f.t.Helper()
	now := f.containers()
	for name, was := range before {
		changed := now[name] != was
		may := slices.ContainsFunc(but, func(service string) bool { return strings.Contains(name, "-"+service+"-") })
		if changed && !may {
			f.t.Errorf("%s: %s of %s was touched:\n was %+v\n  is %+v", when, name, f.shape, was, now[name])
		}
		if !changed && may {
			f.t.Errorf("%s: %s of %s is as it was, and should be another", when, name, f.shape)
		}
	}
	if len(now) != len(before) {
		f.t.Errorf("%s: %s has %d containers, and had %d", when, f.shape, len(now), len(before))
	}
}

func randomWord() string { return strings.ToLower(rand.Text()[:5]) }
