package enginetest_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/croft-sh/croft/provision"
	"github.com/croft-sh/croft/provision/enginetest"
)

func TestFake(t *testing.T) {
	enginetest.RunEngine(t, func(t *testing.T) enginetest.Subject {
		f := enginetest.New()
		f.AddImage("croft-test/t:1")
		f.Unknown("croft-test/unknown:1")
		f.Behave("croft-test/t:1", enginetest.Behaviour{Logs: "up\n", Exec: program})
		f.Behave("p-q-shop/job", enginetest.Behaviour{Exit: enginetest.Exited(0)})
		return enginetest.Subject{
			Engine: f, Platform: "p-q", Image: "croft-test/t:1",
			Unknown: "croft-test/unknown:1", Subnet: "10.213.0.0/24",
			Pause: func(_ context.Context, id string) error { f.Set(id, "paused", "", 0); return nil },
		}
	})
}

func program(cmd []string, stdin string) provision.ExecResult {
	switch strings.Join(cmd, " ") {
	case "/t cat":
		return provision.ExecResult{Stdout: stdin}
	case "/t exit 3":
		return provision.ExecResult{ExitCode: 3}
	}
	return provision.ExecResult{}
}

func TestFakeTurnsOutAsTold(t *testing.T) {
	file := filepath.Join(t.TempDir(), "compose.yaml")
	text := `services:
  web: {image: "nginx:2", healthcheck: {test: [CMD, x]}}
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	req := provision.UpRequest{File: file, Project: "p-web", Services: []string{"web"}}
	f := enginetest.New()
	f.AddImage("docker.io/library/nginx:2")

	f.Fail("up p-web", errors.New("no"))
	if err := f.Up(t.Context(), req, nil); err == nil || f.Container("p-web", "web").ID != "" {
		t.Fatalf("a call told to fail gave %v", err)
	}
	f.Fail("up p-web", nil)

	f.Behave("nginx:2", enginetest.Behaviour{StartError: errors.New("port taken")})
	if err := f.Up(t.Context(), req, nil); err == nil || f.Container("p-web", "web").State != "created" {
		t.Fatalf("a start told to fail gave %v", err)
	}
	f.Behave("nginx:2", enginetest.Behaviour{Health: "unhealthy"})
	f.AddImage("nginx:2")
	if err := f.Up(t.Context(), req, nil); err != nil || f.Container("p-web", "web").Health != "unhealthy" {
		t.Fatalf("got %+v, %v", f.Container("p-web", "web"), err)
	}
	if !slices.Contains(f.Calls(), "up p-web web") {
		t.Errorf("calls are %q", f.Calls())
	}
}

func TestFakeDatabasesKeepTheContract(t *testing.T) {
	d := &enginetest.Databases{}
	enginetest.RunDatabases(t, enginetest.DatabaseSubject{
		Databases: d,
		Make:      func(_ *testing.T, name, row string) { d.Put(name, row) },
		Write:     func(_ *testing.T, name, row string) { d.Put(name, row) },
		Read:      func(_ *testing.T, name string) string { text, _ := d.Get(name); return text },
	})
}
