//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// The exit codes that croft promises.
const (
	exitDone       = 0
	exitFailed     = 1
	exitPending    = 2
	exitPartly     = 3
	exitUsage      = 4
	exitNoPlatform = 10
	exitLocked     = 11
	exitRefused    = 13
)

// scratch holds everything the tests write, and goes away with them.
var scratch string

func TestMain(m *testing.M) {
	code, err := runAll(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

func runAll(m *testing.M) (code int, err error) {
	if os.Geteuid() != 0 {
		return 1, errors.New("these tests look into containers' namespaces: run them as root")
	}
	if out, err := exec.Command("docker", "info").CombinedOutput(); err != nil {
		return 1, fmt.Errorf("no Docker engine answers (make engine): %s", out)
	}
	// Not in t.TempDir: containers keep directories here busy until the end.
	if scratch, err = os.MkdirTemp("", "croft-e2e-"); err != nil {
		return 1, err
	}
	// Other users, and programs in containers, must be able to walk in.
	if err := os.Chmod(scratch, 0o755); err != nil {
		return 1, err
	}
	if os.Getenv("CROFT_E2E_KEEP") != "" {
		fmt.Fprintln(os.Stderr, "e2e: everything is kept in", scratch)
		return m.Run(), nil
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	defer func() { err = errors.Join(err, removeShared()) }()
	return m.Run(), nil
}

// croftBinary is the program under test, built once if it was not given.
var croftBinary = sync.OnceValues(func() (string, error) {
	if given := os.Getenv("CROFT_BINARY"); given != "" {
		return given, nil
	}
	path := filepath.Join(scratch, "bin", "croft")
	cmd := exec.Command("go", "build", "-trimpath", "-o", path, "github.com/croft-sh/croft/cmd/croft")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building croft: %w\n%s", err, out)
	}
	return path, nil
})

// result is how a run of a program ended.
type result struct {
	args           []string
	code           int
	stdout, stderr string
	took           time.Duration
	cpu            time.Duration // user and system
}

func (r result) String() string {
	return fmt.Sprintf("croft %s: exit %d after %s\nstdout: %s\nstderr: %s",
		strings.Join(r.args, " "), r.code, r.took.Round(time.Millisecond), clip(r.stdout), clip(r.stderr))
}

// said is everything the program printed. validate's problems are its data and
// go to stdout, those of other commands are errors.
func (r result) said() string { return r.stdout + r.stderr }

func clip(s string) string {
	const most = 6000
	if len(s) > most {
		return s[:most/2] + "\n…\n" + s[len(s)-most/2:]
	}
	return s
}

// start runs a prepared command to its end.
func start(cmd *exec.Cmd, args []string) (result, error) {
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	began := time.Now()
	err := cmd.Run()
	r := result{args: args, stdout: out.String(), stderr: errs.String(), took: time.Since(began)}
	if cmd.ProcessState != nil {
		r.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		r.code = exit.ExitCode()
		return r, nil
	case err != nil:
		return r, err
	}
	return r, nil
}

// croft runs the program in dir with the state directory of a platform.
func croft(dir, state string, args ...string) (result, error) {
	binary, err := croftBinary()
	if err != nil {
		return result{}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 12*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CROFT_STATE="+state, "CROFT_DIR="+dir, "NO_COLOR=1")
	return start(cmd, args)
}

// docker runs the docker program and gives what it printed.
func docker(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("docker", args...).Output()
	if err != nil {
		t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, stderrOf(err))
	}
	return string(out)
}

func stderrOf(err error) string {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return string(exit.Stderr)
	}
	return ""
}

func decode[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("reading JSON: %v\n%s", err, clip(text))
	}
	return v
}

// farm gives the path of a program that the image farm makes.
func farm(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("go", "run", "github.com/croft-sh/croft/cmd/imagefarm", "path", name).Output()
	if err != nil {
		t.Fatalf("imagefarm path %s: %v\n%s", name, err, stderrOf(err))
	}
	return strings.TrimSpace(string(out))
}
