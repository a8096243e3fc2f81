//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sort"
	"strings"
	"sync"
	"testing"
)

// composeModule is the docker compose that croft is compared with.
const composeModule = "github.com/docker/compose/v5"

// composeBinary builds the real docker compose, of the SDK's own version, in
// the directory of its module. It is kept in the user's cache.
var composeBinary = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Version}} {{.Dir}}", composeModule).Output()
	if err != nil {
		return "", fmt.Errorf("go list -m %s: %w: %s", composeModule, err, stderrOf(err))
	}
	version, dir, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(cache, "croft-e2e", version+"-"+runtime.Version(), "docker-compose")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	making := path + ".making"
	cmd := exec.Command("go", "build", "-mod=readonly", "-trimpath",
		"-ldflags", "-X "+composeModule+"/internal.Version="+strings.TrimPrefix(version, "v"), "-o", making, "./cmd")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building docker compose %s: %w\n%s", version, err, out)
	}
	return path, os.Rename(making, path)
})

// composeProject is what docker compose config prints, as JSON.
type composeProject struct {
	Name     string                    `json:"name"`
	Services map[string]map[string]any `json:"services"`
	Networks map[string]map[string]any `json:"networks"`
	Volumes  map[string]map[string]any `json:"volumes"`
	Configs  map[string]map[string]any `json:"configs"`
	Secrets  map[string]map[string]any `json:"secrets"`
}

func composeConfig(t *testing.T, project, file string) composeProject {
	t.Helper()
	binary, err := composeBinary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "-p", project, "-f", file, "config", "--format", "json")
	cmd.Dir = filepath.Dir(file)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("docker compose config of %s: %v\n%s", file, err, stderrOf(err))
	}
	return decode[composeProject](t, string(out))
}

// TestPlainProjectsKeepTheirMeaning compares, for Compose files as strangers
// write them, what docker compose makes of the file itself and of what croft
// renders from it. Only labels, log bounds and networks may differ.
func TestPlainProjectsKeepTheirMeaning(t *testing.T) {
	t.Setenv("FROM_SHELL_ONLY", "must not get in or must get in the same way")
	dirs, err := filepath.Glob("testdata/plain/*")
	if err != nil || len(dirs) < 6 {
		t.Fatalf("plain projects: %v, %v", dirs, err)
	}
	for _, dir := range dirs {
		name := filepath.Base(dir)
		t.Run(name, func(t *testing.T) {
			p := newPlatform(t, "parity", map[string]string{})
			p.copyStack(t, dir, name)
			out := filepath.Join(p.root, "out")
			p.must(t, "render", "--out", out)
			source := filepath.Join(p.dir, "stacks", name)
			project := p.name + "-" + name
			want := composeConfig(t, project, filepath.Join(source, "compose.yaml"))
			got := composeConfig(t, project, filepath.Join(out, name, "compose.yaml"))
			compareProjects(t, want, got, parityPaths{source: source, out: filepath.Join(out, name), live: filepath.Join(p.state, "live", name)})
		})
	}
}

// parityPaths says where the same file lies before and after render.
type parityPaths struct {
	source string // in the platform
	out    string // where render wrote it
	live   string // where it will be
}

func compareProjects(t *testing.T, want, got composeProject, paths parityPaths) {
	t.Helper()
	for name := range want.Services {
		if got.Services[name] == nil {
			t.Errorf("service %s is gone", name)
		}
	}
	for name, svc := range got.Services {
		before, ok := want.Services[name]
		if !ok {
			t.Errorf("service %s was not there", name)
			continue
		}
		compareService(t, name, before, svc, paths)
	}
	for name := range want.Volumes {
		if got.Volumes[name] == nil {
			t.Errorf("volume %s is gone", name)
		}
	}
	for _, kind := range []struct {
		what      string
		want, got map[string]map[string]any
	}{{"config", want.Configs, got.Configs}, {"secret", want.Secrets, got.Secrets}} {
		for name, before := range kind.want {
			after := kind.got[name]
			if after == nil {
				t.Errorf("%s %s is gone", kind.what, name)
				continue
			}
			if a, b := contentOf(t, before, paths), contentOf(t, after, paths); a != b {
				t.Errorf("%s %s holds %q, and held %q", kind.what, name, b, a)
			}
		}
	}
}

// contentOf reads what a top-level config or secret gives a container.
// Live files exist after an apply only: what render wrote stands for them.
func contentOf(t *testing.T, def map[string]any, paths parityPaths) string {
	t.Helper()
	if text, ok := def["content"].(string); ok {
		return text
	}
	file, ok := def["file"].(string)
	if !ok {
		return fmt.Sprint(def)
	}
	if rest, ok := strings.CutPrefix(file, paths.live); ok {
		file = paths.out + rest
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Errorf("%v", err)
	}
	return string(raw)
}

func compareService(t *testing.T, name string, want, got map[string]any, paths parityPaths) {
	t.Helper()
	added := map[string]bool{}
	for key := range got {
		if _, had := want[key]; !had {
			added[key] = true
		}
	}
	// Networks gain croft's subnets and nothing else; a service stays on
	// exactly the ones it was on.
	if a, b := keysOf(want["networks"]), keysOf(got["networks"]); a != b {
		t.Errorf("%s: on networks %s, was on %s", name, b, a)
	}
	if added["logging"] {
		delete(added, "logging")
		delete(got, "logging")
	}
	got["labels"] = withoutCroft(got["labels"])
	if len(got["labels"].(map[string]any)) == 0 {
		delete(got, "labels")
		delete(added, "labels")
	}
	for key := range added {
		t.Errorf("%s: %s was added: %v", name, key, got[key])
	}
	for key, before := range want {
		after, ok := got[key]
		if !ok {
			t.Errorf("%s: %s is gone, it was %s", name, key, text(before))
			continue
		}
		if key == "volumes" || key == "build" {
			before, after = samePaths(before, paths), samePaths(after, paths)
			checkSources(t, name, got[key], paths)
		}
		if a, b := text(before), text(after); a != b {
			t.Errorf("%s: %s was\n  %s\nand is\n  %s", name, key, a, b)
		}
	}
}

// checkSources makes sure that every file a container is to see is there.
func checkSources(t *testing.T, service string, volumes any, paths parityPaths) {
	t.Helper()
	list, ok := volumes.([]any)
	if !ok {
		return
	}
	for _, v := range list {
		m, ok := v.(map[string]any)
		if !ok || m["type"] != "bind" {
			continue
		}
		source, ok := m["source"].(string)
		if !ok {
			t.Errorf("%s: a bind without source: %v", service, m)
			continue
		}
		if rest, ok := strings.CutPrefix(source, paths.live); ok {
			if _, err := os.Stat(paths.out + rest); err != nil {
				t.Errorf("%s: %v", service, err)
			}
		}
	}
}

// samePaths names the directory of the stack the same before and after.
func samePaths(v any, paths parityPaths) any {
	return strings.NewReplacer(paths.live, "STACK", paths.source, "STACK").Replace(text(v))
}

func withoutCroft(labels any) map[string]any {
	out := map[string]any{}
	m, ok := labels.(map[string]any)
	if !ok {
		return out
	}
	for key, value := range m {
		if !strings.HasPrefix(key, "croft.") {
			out[key] = value
		}
	}
	return out
}

func keysOf(v any) string {
	m, _ := v.(map[string]any)
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return strings.Join(keys, ",")
}

// text gives a value as JSON, keys sorted.
func text(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(raw)
}
