// Package registrytest runs a real image registry for tests: Debian's
// docker-registry as a child process on a loopback port, where engines accept
// plain HTTP, and a proxy in front of it that makes it slow, stuck or rude.
package registrytest

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// Options says how a registry is set up.
type Options struct {
	Host           string // address to listen on; "" is 127.0.0.1
	User, Password string // asked for where they are set
}

// Registry is one registry. It goes away with its test.
type Registry struct {
	Addr string // host:port, the first part of its images' references

	t      *testing.T
	dir    string
	config string
	cmd    *exec.Cmd
	log    *os.File
}

// Start starts an empty registry.
func Start(t *testing.T, o Options) *Registry {
	t.Helper()
	if o.Host == "" {
		o.Host = "127.0.0.1"
	}
	r := &Registry{t: t, dir: t.TempDir(), Addr: freeAddr(t, o.Host)}
	text := fmt.Sprintf("version: 0.1\nlog: {level: warn}\nstorage:\n  filesystem: {rootdirectory: %q}\n  delete: {enabled: true}\nhttp: {addr: %q}\n",
		filepath.Join(r.dir, "data"), r.Addr)
	if o.User != "" {
		hash, err := bcrypt.GenerateFromPassword([]byte(o.Password), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		users := filepath.Join(r.dir, "htpasswd")
		r.write(users, o.User+":"+string(hash)+"\n")
		text += fmt.Sprintf("auth:\n  htpasswd: {realm: test, path: %q}\n", users)
	}
	r.config = filepath.Join(r.dir, "config.yml")
	r.write(r.config, text)
	t.Cleanup(r.Stop)
	r.Run()
	return r
}

func (r *Registry) write(path, text string) {
	r.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func freeAddr(t *testing.T, host string) string {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Run starts the registry again after Stop, with what it held.
func (r *Registry) Run() {
	r.t.Helper()
	path, err := program()
	if err != nil {
		r.t.Fatal(err)
	}
	if r.log, err = os.OpenFile(filepath.Join(r.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		r.t.Fatal(err)
	}
	r.cmd = exec.Command(path, "serve", r.config)
	r.cmd.Stdout, r.cmd.Stderr = r.log, r.log
	r.cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	// A test program that is killed takes its registry along.
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	for range 100 {
		if res, err := http.Get("http://" + r.Addr + "/v2/"); err == nil {
			_ = res.Body.Close()
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	said, _ := os.ReadFile(r.log.Name()) // all there is to say why
	r.t.Fatalf("the registry does not answer at %s:\n%s", r.Addr, said)
}

// Stop ends the registry; its address then refuses connections.
func (r *Registry) Stop() {
	if r.cmd == nil {
		return
	}
	_ = r.cmd.Process.Kill() // it may have ended by itself
	_ = r.cmd.Wait()
	_ = r.log.Close()
	r.cmd = nil
}

// Forget takes a tag away; the image stays there by its digest, as registries
// keep it that delete tags alone.
func (r *Registry) Forget(repository, tag string) {
	r.t.Helper()
	dir := filepath.Join(r.dir, "data/docker/registry/v2/repositories", repository, "_manifests/tags", tag)
	if _, err := os.Stat(dir); err != nil {
		r.t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		r.t.Fatal(err)
	}
}

// Delete takes an image away by its digest.
func (r *Registry) Delete(repository, digest string) {
	r.t.Helper()
	r.call(http.MethodDelete, "/v2/"+repository+"/manifests/"+digest, "", nil)
}

// manifestType is that of a list of manifests, one for each kind of machine.
const manifestType, listType = "application/vnd.docker.distribution.manifest.v2+json", "application/vnd.docker.distribution.manifest.list.v2+json"

// ForMachine makes tag a list with the one image at digest, said to be for
// machines of an architecture.
func (r *Registry) ForMachine(repository, tag, digest, architecture string) {
	r.t.Helper()
	size := len(r.call(http.MethodGet, "/v2/"+repository+"/manifests/"+digest, manifestType, nil))
	list := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"size":%d,"digest":%q,"platform":{"architecture":%q,"os":"linux"}}]}`,
		listType, manifestType, size, digest, architecture)
	r.call(http.MethodPut, "/v2/"+repository+"/manifests/"+tag, listType, []byte(list))
}

func (r *Registry) call(method, path, kind string, body []byte) []byte {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, "http://"+r.Addr+path, bytes.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	if kind != "" {
		req.Header.Set("Accept", kind)
		req.Header.Set("Content-Type", kind)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	said, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode >= 300 {
		r.t.Fatalf("%s %s: %s %v: %s", method, path, res.Status, err, strings.TrimSpace(string(said)))
	}
	return said
}
