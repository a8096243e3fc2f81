//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// recorder stands between croft and the engine and notes every call. It hands on
// what takes a connection over, as exec and attach do.
type recorder struct {
	socket string

	mu    sync.Mutex
	calls []call
}

// call is one request as it was made.
type call struct {
	method, path, query string // path without the API's version
	header              http.Header
	body                *bytes.Buffer
}

func (c call) String() string { return strings.TrimSuffix(c.method+" "+c.path+"?"+c.query, "?") }

var apiVersion = regexp.MustCompile(`^/v1\.\d+`)

func newRecorder(t *testing.T) *recorder {
	t.Helper()
	r := &recorder{socket: filepath.Join(scratch, "recorder.sock")}
	listener, err := net.Listen("unix", r.socket)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) { p.Out.URL.Scheme, p.Out.URL.Host = "http", "docker" },
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", "/var/run/docker.sock")
		}},
		FlushInterval: -1, // logs, events and builds are read as they come
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.note(req)
		proxy.ServeHTTP(w, req)
	})}
	go func() { _ = server.Serve(listener) }() // ends with Close, which it then tells
	t.Cleanup(func() { _ = server.Close(); _ = os.Remove(r.socket) })
	return r
}

// note records a call before it is made; its body as it passes.
func (r *recorder) note(req *http.Request) {
	c := call{method: req.Method, path: apiVersion.ReplaceAllString(req.URL.Path, ""), query: req.URL.RawQuery, header: req.Header.Clone(), body: &bytes.Buffer{}}
	r.mu.Lock()
	r.calls = append(r.calls, c)
	r.mu.Unlock()
	if req.Body != nil && req.Body != http.NoBody {
		req.Body = struct {
			io.Reader
			io.Closer
		}{io.TeeReader(req.Body, lockedWriter{&r.mu, c.body}), req.Body}
	}
}

type lockedWriter struct {
	mu *sync.Mutex
	to *bytes.Buffer
}

func (w lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.to.Write(p)
}

// take gives the calls so far and forgets them.
func (r *recorder) take() []call {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.calls
	r.calls = nil
	return out
}

// croft runs croft against the recorder.
func (r *recorder) croft(t *testing.T, p *platform, args ...string) result {
	t.Helper()
	binary, err := croftBinary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, args...)
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), "CROFT_STATE="+p.state, "CROFT_DIR="+p.dir, "NO_COLOR=1", "DOCKER_HOST=unix://"+r.socket)
	res, err := start(cmd, args)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// removals gives the calls that remove a volume, or could. The anonymous volumes
// of a container go with it where it says v.
func removals(calls []call) []string {
	var out []string
	for _, c := range calls {
		with := regexp.MustCompile(`(^|&)v=(1|true|on|yes)(&|$)`).MatchString(c.query)
		switch {
		case c.method == http.MethodDelete && strings.HasPrefix(c.path, "/volumes/"),
			c.method == http.MethodPost && (c.path == "/volumes/prune" || c.path == "/system/prune"),
			c.method == http.MethodDelete && strings.HasPrefix(c.path, "/containers/") && with:
			out = append(out, c.String())
		}
	}
	return out
}
