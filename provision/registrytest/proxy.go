package registrytest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"strings"
	"sync"
	"testing"
	"time"
)

// Manners is how a proxy behaves. The zero value hands everything on.
type Manners struct {
	Rate    int    // bytes a second of each layer; 0: as they come
	Stall   int    // a layer stops after so many bytes; 0: never
	Status  int    // the answer to every question for a manifest, in place of the registry's
	Message string // the registry's words beside Status
	Fail    int    // so many questions are answered with 503 first
}

// Proxy stands in front of a registry, under an address of its own.
type Proxy struct {
	Addr string

	mu      sync.Mutex
	manners Manners
	asked   []string
	ended   chan struct{}
}

// Front puts a proxy before a registry.
func Front(t *testing.T, r *Registry) *Proxy {
	t.Helper()
	p := &Proxy{ended: make(chan struct{})}
	forward := &httputil.ReverseProxy{
		// The Host header stays the proxy's, so that uploads come back to it.
		Rewrite: func(q *httputil.ProxyRequest) {
			q.Out.URL.Scheme, q.Out.URL.Host = "http", r.Addr
			q.Out.Host = q.In.Host
		},
		ModifyResponse: p.slow,
		FlushInterval:  -1,
		ErrorHandler:   func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if status, text := p.rude(q); status != 0 {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, text) // a reader that went away is no matter
			return
		}
		forward.ServeHTTP(w, q)
	}))
	t.Cleanup(func() {
		close(p.ended)
		server.Close()
	})
	p.Addr = strings.TrimPrefix(server.URL, "http://")
	return p
}

// Behave changes the manners from now on.
func (p *Proxy) Behave(m Manners) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.manners = m
}

// Asked gives the questions since the last call, as "GET /v2/...".
func (p *Proxy) Asked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := p.asked
	p.asked = nil
	return out
}

// rude gives the answer that the registry does not get to give.
func (p *Proxy) rude(q *http.Request) (int, string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, q.Method+" "+q.URL.Path)
	if p.manners.Fail > 0 {
		p.manners.Fail--
		return http.StatusServiceUnavailable, ""
	}
	if p.manners.Status != 0 && strings.Contains(q.URL.Path, "/manifests/") {
		return p.manners.Status, p.manners.Message
	}
	return 0, ""
}

func (p *Proxy) slow(res *http.Response) error {
	p.mu.Lock()
	m := p.manners
	p.mu.Unlock()
	if strings.Contains(res.Request.URL.Path, "/blobs/") && res.Request.Method == http.MethodGet && (m.Rate > 0 || m.Stall > 0) {
		res.Body = &slowBody{ReadCloser: res.Body, manners: m, ended: p.ended, done: res.Request.Context().Done()}
	}
	return nil
}

// slowBody is a layer on a bad line.
type slowBody struct {
	io.ReadCloser
	manners Manners
	sent    int
	ended   <-chan struct{} // the test
	done    <-chan struct{} // the reader went away
}

func (b *slowBody) Read(into []byte) (int, error) {
	if b.manners.Stall > 0 && b.sent >= b.manners.Stall {
		select {
		case <-b.ended:
		case <-b.done:
		}
		return 0, io.ErrUnexpectedEOF
	}
	if limit := 32 << 10; len(into) > limit {
		into = into[:limit]
	}
	n, err := b.ReadCloser.Read(into)
	b.sent += n
	if b.manners.Rate > 0 {
		time.Sleep(time.Duration(n) * time.Second / time.Duration(b.manners.Rate))
	}
	return n, err
}
