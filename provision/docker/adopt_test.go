package docker

import (
	"context"
	"io/fs"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/compose/v5/pkg/api"
	"github.com/docker/compose/v5/pkg/compose"

	"github.com/croft-sh/croft/stacks"
	"github.com/croft-sh/croft/templates"
)

// TestComposeTextIsWhatTheSDKHashes holds croft's own form of a service's and a
// network's hash equal to the SDK's, on the projects of strangers that the e2e
// tests run.
func TestComposeTextIsWhatTheSDKHashes(t *testing.T) {
	root, err := filepath.Abs("../../cmd/croft/e2e/testdata/adopt")
	if err != nil {
		t.Fatal(err)
	}
	dirs, err := filepath.Glob(root + "/*/*compose.y*ml")
	if err != nil || len(dirs) < 10 {
		t.Fatalf("projects: %v, %v", dirs, err)
	}
	services := 0
	for _, file := range dirs {
		dir := copyProject(t, filepath.Dir(file))
		a := stacks.Adopt{Dir: dir, Project: "shape"}
		text := "version: 1\nname: home\nadmin: {name: ada, email: ada@example.com}\nstacks: {shape: {adopt: {dir: \"" + dir + "\", project: shape}}}\n"
		platform := t.TempDir()
		if err := os.WriteFile(filepath.Join(platform, stacks.PlatformFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		d, problems := stacks.LoadDesired(os.DirFS(platform), stacks.LoadOptions{Dir: platform, Machine: os.DirFS("/")})
		if err := problems.Err(); err != nil {
			t.Fatalf("%s: %v", dir, err)
		}
		lock, err := stacks.Allocate(stacks.Lock{}, "home", templates.Networks(d), []netip.Prefix{})
		if err != nil {
			t.Fatal(err)
		}
		r, problems := templates.Render(templates.Input{Desired: d, Lock: lock})
		if err := problems.Err(); err != nil {
			t.Fatal(err)
		}
		want := theirs(t, a)
		for _, svc := range r.Stacks[0].Services {
			services++
			theirs := want.Services[svc.Name]
			shareAs(&theirs)
			hash, err := compose.ServiceHash(theirs)
			if err != nil {
				t.Fatal(err)
			}
			if got := stacks.ContentSum([]byte(svc.Compose)); got != hash {
				t.Errorf("%s/%s: hash %s, the SDK's is %s", filepath.Base(filepath.Dir(file)), svc.Name, got, hash)
			}
		}
		for _, n := range r.Stacks[0].Hashes {
			for _, theirs := range want.Networks {
				if hash, err := compose.NetworkHash(&theirs); theirs.Name == n.Name && (err != nil || hash != n.Hash) {
					t.Errorf("%s: network %s: hash %s, the SDK's is %s, %v", file, n.Name, n.Hash, hash, err)
				}
			}
		}
	}
	if services < 20 {
		t.Errorf("only %d services were compared", services)
	}
}

// shareAs writes what a service shares as the SDK does once there are containers.
func shareAs(svc *types.ServiceConfig) {
	for _, mode := range []*string{&svc.NetworkMode, &svc.Ipc, &svc.Pid} {
		if name, ok := strings.CutPrefix(*mode, "service:"); ok {
			*mode = "container:" + stacks.ContainerPlace(name)
		}
	}
	for i, from := range svc.VolumesFrom {
		name, _, _ := strings.Cut(from, ":")
		svc.VolumesFrom[i] = stacks.ContainerPlace(name)
	}
}

// copyProject fills in the places of a project of the e2e tests.
func copyProject(t *testing.T, from string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), filepath.Base(from))
	err := fs.WalkDir(os.DirFS(from), ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		raw, err := os.ReadFile(filepath.Join(from, path))
		if err != nil {
			return err
		}
		to := filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		return os.WriteFile(to, []byte(strings.NewReplacer("@RAND@", "abc", "@PORT@", "18080").Replace(string(raw))), 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// theirs loads a project as the docker compose command does.
func theirs(t *testing.T, a stacks.Adopt) *types.Project {
	t.Helper()
	e := engineAt(t, &fakeAPI{})
	sdk, err := e.sdk(newProgress(emitter(nil)), &tailBuffer{limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	p, err := sdk.LoadProject(context.Background(), api.ProjectLoadOptions{
		ProjectName: a.Project, WorkingDir: a.Dir, Offline: true, ProjectOptionsFns: []cli.ProjectOptionsFn{cli.WithDiscardEnvFile},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range p.Services {
		s.CustomLabels = nil // not part of the hash
		p.Services[name] = s
	}
	return p
}

func TestComposeProjects(t *testing.T) {
	label := func(project, service, dir, files, more string) string {
		return `{"Id":"x","State":"running","Labels":{"com.docker.compose.project":"` + project + `","com.docker.compose.service":"` + service +
			`","com.docker.compose.project.working_dir":"` + dir + `","com.docker.compose.project.config_files":"` + files + `"` + more + `}}`
	}
	list := "[" + strings.Join([]string{
		label("shop", "web", "/live", "/live/compose.yaml", `,"croft.platform":"home"`),
		label("blog", "web", "/srv/blog", "/srv/blog/a.yml,/srv/blog/b.yml", `,"com.docker.compose.project.environment_file":"/srv/blog/x.env"`),
		label("blog", "db", "/srv/blog", "/srv/blog/a.yml,/srv/blog/b.yml", `,"com.docker.compose.project.environment_file":"/srv/blog/x.env"`),
		label("blog", "old", "/elsewhere", "/elsewhere/compose.yaml", ""),
		label("blog", "once", "/elsewhere", "/elsewhere/compose.yaml", `,"com.docker.compose.oneoff":"True"`),
		`{"Id":"y","State":"running","Labels":{}}`,
	}, ",") + "]"
	got, err := engineAt(t, &fakeAPI{answers: map[string]http.HandlerFunc{"/containers/json": text(list)}}).ComposeProjects(t.Context())
	if err != nil || len(got) != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	blog := got[0]
	if blog.Name != "blog" || blog.Platform != "" || len(blog.Origins) != 2 || blog.Origins[0].Dir != "/srv/blog" ||
		!slices.Equal(blog.Origins[0].Files, []string{"/srv/blog/a.yml", "/srv/blog/b.yml"}) || !slices.Equal(blog.Origins[0].EnvFiles, []string{"/srv/blog/x.env"}) ||
		!slices.Equal(blog.Origins[0].Services, []string{"db", "web"}) || !slices.Equal(blog.Origins[1].Services, []string{"old"}) {
		t.Errorf("%+v", blog)
	}
	if got[1].Platform != "home" {
		t.Errorf("%+v", got[1])
	}
}

func TestDiffersNamesNoValue(t *testing.T) {
	const seen = `{"Id":"c1","Image":"sha256:1","State":{"Status":"running"},
 "Config":{"Image":"web:1","Env":["PATH=/bin","A=one","OLD=hunter2","SAME=x"],"Cmd":["run"],"Entrypoint":["/e"]},
 "HostConfig":{"RestartPolicy":{"Name":"always"},"PortBindings":{"80/tcp":[{"HostIp":"","HostPort":"8080"}]}},
 "Mounts":[{"Type":"bind","Source":"/srv/a","Destination":"/a"}]}`
	e := engineAt(t, &fakeAPI{answers: map[string]http.HandlerFunc{
		"/containers/c1/json":   text(seen),
		"/images/sha256:1/json": text(`{"Id":"sha256:1","Config":{"Env":["PATH=/bin"]}}`),
	}})
	one, other := "geheim", "x"
	got, err := e.Differs(t.Context(), "c1", types.ServiceConfig{
		Image: "web:2", Environment: types.MappingWithEquals{"A": &one, "SAME": &other, "UNSET": nil}, Command: types.ShellCommand{"walk"},
		Ports:   []types.ServicePortConfig{{Target: 80, Published: "8081", Protocol: "tcp"}},
		Volumes: []types.ServiceVolumeConfig{{Type: "bind", Source: "/srv/b", Target: "/a"}, {Type: "volume", Source: "rows", Target: "/rows"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := "image: runs web:1, written is web:2\nenvironment: A, OLD\ncommand\nrestart: runs always, written is no\n" +
		"ports: runs 8080:80/tcp, written is 8081:80/tcp\nvolumes: /a is /srv/a, written is /srv/b\nvolumes: nothing is mounted at /rows"
	if strings.Join(got, "\n") != want {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
	same, err := e.Differs(t.Context(), "c1", types.ServiceConfig{Image: "web:1", Restart: "always",
		Environment: types.MappingWithEquals{"A": ptr("one"), "OLD": ptr("hunter2"), "SAME": &other},
		Ports:       []types.ServicePortConfig{{Target: 80, Published: "8080", Protocol: "tcp"}}})
	if err != nil || len(same) != 0 {
		t.Errorf("%q, %v", same, err)
	}
}

func ptr(s string) *string { return &s }
