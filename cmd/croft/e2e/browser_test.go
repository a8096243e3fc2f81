//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"testing"
	"time"
)

// browser is a client as a visitor has one: it keeps cookies, trusts the
// platform's authority and follows no redirect by itself.
type browser struct {
	p      *platform
	client *http.Client
	dials  string // where every name leads; "" is the published port
}

func (p *platform) browser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(p.authority(t)) {
		t.Fatal("the platform's authority is no certificate")
	}
	b := &browser{p: p}
	b.client = &http.Client{
		Jar:     jar,
		Timeout: 20 * time.Second,
		Transport: &http.Transport{
			TLSClientConfig:   &tls.Config{RootCAs: pool},
			ForceAttemptHTTP2: true,
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				host, port, err := net.SplitHostPort(addr)
				if err != nil {
					return nil, err
				}
				if b.dials != "" {
					addr = b.dials
				} else if strings.HasSuffix(host, ".localhost") {
					addr = net.JoinHostPort("127.0.0.1", port)
				}
				var d net.Dialer
				return d.DialContext(ctx, network, addr)
			},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	t.Cleanup(b.client.CloseIdleConnections)
	return b
}

// url is the address of a host of the platform.
func (p *platform) url(host, path string) string {
	return fmt.Sprintf("https://%s.%s.localhost:%d%s", host, p.name, p.https, path)
}

// page is an answer, read to its end.
type page struct {
	status int
	header http.Header
	body   string
}

func (p page) String() string {
	return fmt.Sprintf("%d, location %q, %s", p.status, p.header.Get("Location"), clip(p.body))
}

func (b *browser) do(t *testing.T, req *http.Request) page {
	t.Helper()
	res, err := b.client.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", req.Method, req.URL, err)
	}
	defer res.Body.Close()
	const most = 1 << 20
	body, err := io.ReadAll(io.LimitReader(res.Body, most))
	if err != nil {
		t.Fatalf("%s %s: %v", req.Method, req.URL, err)
	}
	return page{res.StatusCode, res.Header, string(body)}
}

// get asks as a browser does for a page, with headers "Name: value".
func (b *browser) get(t *testing.T, url string, headers ...string) page {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/html")
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		// Not Set: a name with an underscore must stay as it is.
		req.Header[name] = append(req.Header[name], value)
	}
	return b.do(t, req)
}

func (b *browser) post(t *testing.T, url string, body any) page {
	t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	return b.do(t, req)
}

// echoed is what the echo program says it got.
type echoed struct {
	Method, Host, Path string
	Headers            map[string][]string
	RemoteAddr         string `json:"remote_addr"`
}

func (p page) echoed(t *testing.T) echoed {
	t.Helper()
	if p.status != http.StatusOK {
		t.Fatalf("the program did not answer: %s", p)
	}
	e := decode[echoed](t, p.body)
	if e.Method == "" {
		t.Fatalf("this is not echo's answer: %s", p)
	}
	return e
}

// served tells whether an answer came from a program, and not from Traefik or
// Authelia on its behalf.
func (p page) served() bool { return strings.Contains(p.body, `"remote_addr"`) }
