//go:build e2e

package main

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// start is how the stacks run an image, and a command inside that succeeds
// once it answers.
type start struct {
	options []string
	args    []string
	ask     []string
}

func starts(t *testing.T) map[string]start {
	t.Helper()
	dir := t.TempDir()
	config := dir + "/configuration.yml"
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	// Authelia without its database shows that the shim, the translation and
	// the real program's own check work together.
	text := `session: {cookies: [{domain: example.com, authelia_url: 'https://auth.example.com'}]}
authentication_backend: {file: {path: /users.yml}}
access_control: {default_policy: deny, rules: [{domain: '*.example.com', policy: two_factor}]}
storage: {postgres: {address: 'tcp://127.0.0.1:5432', database: a, username: a, password: a}}
notifier: {filesystem: {filename: /tmp/n}}
`
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	wget := func(url string) []string { return []string{"wget", "-q", "-O", "/dev/null", url} }
	return map[string]start{
		"traefik": {options: []string{"--user=65532:65532", "--tmpfs=/tmp"}, args: []string{"--ping", "--entrypoints.web.address=:8081"},
			ask: []string{"traefik", "healthcheck", "--ping", "--entrypoints.web.address=:8081"}},
		"socket-proxy": {options: []string{"--user=0:0", "--volume=/var/run/docker.sock:/var/run/docker.sock"},
			args: []string{"-allowhealthcheck", "-allowGET=/_ping"}, ask: []string{"/healthcheck"}},
		"authelia": {options: []string{"--user=1000:1000", "--tmpfs=/tmp", "--volume=" + dir + ":/config:ro",
			"--env=AUTHELIA_SESSION_SECRET=12345678901234567890", "--env=AUTHELIA_STORAGE_ENCRYPTION_KEY=12345678901234567890",
			"--env=AUTHELIA_IDENTITY_VALIDATION_RESET_PASSWORD_JWT_SECRET=12345678901234567890"},
			args: []string{"sleep", "60"}, ask: []string{"authelia", "config", "validate", "--config", "/config/configuration.yml"}},
		"nginx": {options: []string{"--tmpfs=/tmp"}, ask: wget("http://127.0.0.1:8080/")},
		"postgres": {options: []string{"--user=999:999", "--tmpfs=/tmp", "--tmpfs=/var/run/postgresql", "--env=POSTGRES_PASSWORD=x"},
			ask: []string{"pg_isready", "-q", "-h", "127.0.0.1", "-U", "postgres"}},
		"valkey":            {options: []string{"--user=999:999"}, ask: []string{"valkey-cli", "ping"}},
		"prometheus":        {ask: []string{"/bin/promtool", "check", "healthy", "--url=http://127.0.0.1:9090"}},
		"alertmanager":      {ask: wget("http://127.0.0.1:9093/-/healthy")},
		"node-exporter":     {ask: wget("http://127.0.0.1:9100/metrics")},
		"blackbox-exporter": {options: []string{"--user=65534:65534"}, ask: wget("http://127.0.0.1:9115/-/healthy")},
		"echo":              {ask: []string{"/usr/local/bin/echo", "check", "http://127.0.0.1:8080/healthz"}},
	}
}

func run(ctx context.Context, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, "docker", args...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// Every image starts hardened, answers, and stops when it is told to.
func TestEveryImageStartsAndAnswers(t *testing.T) {
	how := starts(t)
	for _, e := range Manifest() {
		t.Run(e.Name, func(t *testing.T) {
			s, ok := how[e.Name]
			if !ok {
				t.Fatal("nobody has said how the stacks run it")
			}
			ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
			defer cancel()
			args := append([]string{"run", "--detach", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"}, s.options...)
			id, err := run(ctx, append(append(args, e.Reference()), s.args...)...)
			if err != nil {
				t.Fatalf("%v (was imagefarm build run?): %s", err, id)
			}
			defer func() {
				if out, err := run(context.Background(), "rm", "--force", "--volumes", id); err != nil {
					t.Errorf("%v: %s", err, out)
				}
			}()
			for {
				out, err := run(ctx, append([]string{"exec", id}, s.ask...)...)
				if err == nil {
					break
				}
				select {
				case <-ctx.Done():
					logs, _ := run(context.Background(), "logs", id)
					t.Fatalf("%v: %s\n%s", err, out, logs)
				case <-time.After(300 * time.Millisecond):
				}
			}
			if e.Name == "authelia" {
				return // here it only sleeps
			}
			if out, err := run(ctx, "stop", "--time", "10", id); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if code, _ := run(ctx, "inspect", "--format", "{{.State.ExitCode}}", id); code == "137" {
				t.Error("it had to be killed")
			}
		})
	}
}
