//go:build e2e

package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docker/compose/v5/pkg/api"
	"github.com/moby/moby/client"

	"github.com/croft-sh/croft/provision"
	"github.com/croft-sh/croft/provision/enginetest"
	"github.com/croft-sh/croft/stacks"
)

// run names everything of this run of the tests.
var run = func() string {
	raw := make([]byte, 3)
	_, _ = rand.Read(raw)
	return hex.EncodeToString(raw)
}()

// program builds the static program of the test image once.
var program = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "croft-e2e")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(dir, "t"), "./testdata/prog")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	return os.ReadFile(filepath.Join(dir, "t"))
})

func dial(t *testing.T) *Engine {
	t.Helper()
	e, err := Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

// images are those this run made, by reference or ID. They are removed when
// all containers are gone: one in use would lose its tag and stay.
var images sync.Map

func TestMain(m *testing.M) {
	code := m.Run()
	e, err := Dial(context.Background())
	if err == nil {
		images.Range(func(ref, _ any) bool {
			_, _ = e.api.ImageRemove(context.Background(), ref.(string),
				client.ImageRemoveOptions{Force: true, PruneChildren: true})
			return true
		})
		_ = e.Close()
	}
	os.Exit(code)
}

// testImage makes a tiny image once; version makes images with different IDs.
func testImage(t *testing.T, e *Engine, version string) string {
	t.Helper()
	ref := "croft-test/t-" + run + ":" + version
	if _, done := images.LoadOrStore(ref, true); !done {
		importImage(t, e, ref, version)
	}
	return ref
}

// importImage gives ref to a new image.
func importImage(t *testing.T, e *Engine, ref, version string) {
	t.Helper()
	bin, err := program()
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for name, content := range map[string][]byte{"t": bin, "version": []byte(version)} {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	res, err := e.api.ImageImport(t.Context(), client.ImageImportSource{Source: &buf, SourceName: "-"}, ref,
		client.ImageImportOptions{Changes: []string{`ENTRYPOINT ["/t"]`}})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, res)
	_ = res.Close()
}

var counter atomic.Int32

// platform gives a name of its own and removes everything under it at the end.
func platform(t *testing.T, e *Engine) string {
	t.Helper()
	name := fmt.Sprintf("ct%s-%d", run, counter.Add(1))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		state, err := e.Observe(ctx, name)
		if err != nil {
			t.Error(err)
			return
		}
		for _, c := range state.Containers {
			_, _ = e.api.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
		}
		for _, n := range state.Networks {
			_ = e.RemoveNetwork(ctx, n.Name)
		}
		for _, v := range state.Volumes {
			_ = e.RemoveVolume(ctx, v.Name)
		}
	})
	return name
}

// subnet gives a /24 of its own.
func subnet() string { return fmt.Sprintf("10.213.%d.0/24", counter.Add(1)) }

func TestEngineContract(t *testing.T) {
	e := dial(t)
	e.patience.pause = 10 * time.Millisecond // before a registry that is not there is asked again
	enginetest.RunEngine(t, func(t *testing.T) enginetest.Subject {
		return enginetest.Subject{
			Engine: e, Platform: platform(t, e), Image: testImage(t, e, "1"),
			Unknown: "127.0.0.1:1/croft-test/unknown:1", Subnet: subnet(),
			Pause: func(ctx context.Context, id string) error {
				_, err := e.api.ContainerPause(ctx, id, client.ContainerPauseOptions{})
				return err
			},
		}
	})
}

// bench is one Compose project on the real engine.
type bench struct {
	*Engine
	t        *testing.T
	platform string
	project  string
	dir      string
	events   []stacks.Event
	kept     []string // volumes
	mu       sync.Mutex
}

func newBench(t *testing.T) *bench {
	e := dial(t)
	p := platform(t, e)
	return &bench{Engine: e, t: t, platform: p, project: p + "-shop", dir: t.TempDir()}
}

// try writes the file and brings the services up.
func (b *bench) try(text string, services ...string) error {
	b.t.Helper()
	file := filepath.Join(b.dir, stacks.ComposeFile)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Minute)
	defer cancel()
	return b.Engine.Up(ctx, provision.UpRequest{File: file, Project: b.project, Services: services}, func(e stacks.Event) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.events = append(b.events, e)
	})
}

func (b *bench) up(text string, services ...string) {
	b.t.Helper()
	if err := b.try(text, services...); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) container(service string) stacks.Container {
	b.t.Helper()
	state, err := b.Observe(b.t.Context(), b.platform)
	if err != nil {
		b.t.Fatal(err)
	}
	all := state.Of(b.project, service)
	if len(all) != 1 {
		b.t.Fatalf("%d containers of %s: %+v", len(all), service, all)
	}
	return all[0]
}

// exec runs the program in a service and gives its output.
func (b *bench) exec(service string, args ...string) string {
	b.t.Helper()
	res, err := b.Exec(b.t.Context(), b.container(service).ID, append([]string{"/t"}, args...), nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return strings.TrimSpace(res.Stdout + res.Stderr)
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 100 {
		if ok() {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("never: %s", what)
}

func (b *bench) projectNames() []string {
	b.t.Helper()
	list, err := b.projectContainers(b.t.Context(), b.project)
	if err != nil {
		b.t.Fatal(err)
	}
	var out []string
	for _, c := range list {
		out = append(out, nameOf(c)+" "+c.Labels[api.ServiceLabel]+" "+string(c.State))
	}
	return out
}

func (b *bench) finishedAt(id string) time.Time {
	b.t.Helper()
	res, err := b.api.ContainerInspect(b.t.Context(), id, client.ContainerInspectOptions{})
	if err != nil {
		b.t.Fatal(err)
	}
	at, err := time.Parse(time.RFC3339Nano, res.Container.State.FinishedAt)
	if err != nil {
		b.t.Fatal(err)
	}
	return at
}

// volumeNames gives the volumes that containers of the project have or had;
// anonymous ones of others come and go meanwhile.
func (b *bench) volumeNames() []string {
	b.t.Helper()
	list, err := b.projectContainers(b.t.Context(), b.project)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range list {
		for _, m := range c.Mounts {
			if m.Name != "" {
				b.kept = append(b.kept, m.Name)
			}
		}
	}
	b.t.Cleanup(func() {
		for _, v := range b.kept {
			_, _ = b.api.VolumeRemove(context.Background(), v, client.VolumeRemoveOptions{})
		}
	})
	var out []string
	for _, v := range b.kept {
		if _, err := b.api.VolumeInspect(b.t.Context(), v, client.VolumeInspectOptions{}); err == nil {
			out = append(out, v)
		}
	}
	return out
}

// safeBuffer is a buffer for two goroutines.
type safeBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Buffer.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Buffer.String()
}
