package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

func traefikFlags() []string {
	return []string{"-listenip=0.0.0.0", "-allowfrom=traefik,10.9.0.0/16", "-allowhealthcheck", "-watchdoginterval=60",
		"-stoponwatchdog", "-shutdowngracetime=5", "-allowHEAD=/_ping", "-allowGET=/_ping",
		`-allowGET=/v1\.\d+/(version|containers/json|containers/[0-9a-zA-Z_.-]+/json|events)`}
}

func TestGate(t *testing.T) {
	o, err := parseOptions(traefikFlags(), nil)
	if err != nil {
		t.Fatal(err)
	}
	g := gate{options: o, log: slog.New(slog.DiscardHandler),
		resolve: func(_ context.Context, host string) ([]net.IPAddr, error) {
			if host != "traefik" {
				return nil, errors.New("no such host")
			}
			return []net.IPAddr{{IP: net.ParseIP("172.18.0.7")}}, nil
		},
		next: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "docker") })}
	tests := []struct {
		name, client, method, path string
		want                       int
	}{
		{"list", "172.18.0.7:1", "GET", "/v1.41/containers/json?all=1", 200},
		{"query does not matter", "172.18.0.7:1", "GET", "/v1.41/events?filters=%7B%7D", 200},
		{"network", "10.9.3.4:1", "HEAD", "/_ping", 200},
		{"one container", "172.18.0.7:1", "GET", "/v1.41/containers/a_b.c-1/json", 200},
		{"archive", "172.18.0.7:1", "GET", "/v1.41/containers/abc/archive", 403},
		{"anchored in front", "172.18.0.7:1", "GET", "/x/_ping", 403},
		{"anchored at the end", "172.18.0.7:1", "GET", "/_pings", 403},
		{"escaped slash in the name", "172.18.0.7:1", "GET", "/v1.41/containers/a%2Fb/json", 403},
		{"other version form", "172.18.0.7:1", "GET", "/v2.41/version", 403},
		{"no rule for the method", "172.18.0.7:1", "POST", "/v1.41/containers/json", 405},
		{"head is not get", "172.18.0.7:1", "HEAD", "/v1.41/version", 403},
		{"stranger", "172.18.0.8:1", "GET", "/_ping", 403},
		{"stranger with a forbidden method", "172.18.0.8:1", "POST", "/_ping", 403},
		{"no address", "@", "GET", "/_ping", 403},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(tt.method, tt.path, nil)
			r.RemoteAddr = tt.client
			w := httptest.NewRecorder()
			g.ServeHTTP(w, r)
			if w.Code != tt.want {
				t.Errorf("%s %s = %d, want %d", tt.method, tt.path, w.Code, tt.want)
			}
		})
	}
}

func TestOptions(t *testing.T) {
	tests := []struct {
		name      string
		args, env []string
		want      string // part of the error, empty for none
	}{
		{"traefik", traefikFlags(), nil, ""},
		{"unknown flag", []string{"-proxycontainername=x"}, nil, "not defined"},
		{"bad pattern", []string{"-allowGET=("}, nil, "invalid regex"},
		{"bad level", []string{"-loglevel=LOUD"}, nil, "invalid log level"},
		{"bad address", []string{"-listenip=localhost"}, nil, "invalid IP"},
		{"bad port", []string{"-proxyport=0"}, nil, "port number"},
		{"argument", []string{"traefik"}, nil, "unexpected argument"},
		{"environment", nil, []string{"SP_LISTENIP=0.0.0.0", "SP_ALLOW_GET=/_ping", "SP_ALLOW_GET_1=/version"}, ""},
		{"unknown variable", nil, []string{"SP_PROXYCONTAINERNAME=x"}, "SP_PROXYCONTAINERNAME"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parseOptions(tt.args, tt.env)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error = %v, want %q", err, tt.want)
			}
		})
	}
}

func TestFlagsWinOverEnvironment(t *testing.T) {
	o, err := parseOptions([]string{"-allowGET=/a", "-proxyport=99"}, []string{"SP_ALLOW_GET=/b", "SP_ALLOW_POST=/c", "SP_PROXYPORT=98"})
	if err != nil {
		t.Fatal(err)
	}
	if len(o.allowed["GET"]) != 1 || o.allowed["GET"][0].String() != "^/a$" || len(o.allowed["POST"]) != 1 || o.listen != "127.0.0.1:99" {
		t.Errorf("options = %+v", o)
	}
}

func TestForwardsToTheSocketAndStreams(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	next := make(chan struct{})
	engine := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "first\n")
		w.(http.Flusher).Flush()
		<-next
	})}}
	engine.Start()
	defer engine.Close()
	front := httptest.NewServer(socketProxy(socket))
	defer front.Close()
	defer close(next)
	res, err := http.Get(front.URL + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	line := make([]byte, 6)
	if _, err := io.ReadFull(res.Body, line); err != nil || string(line) != "first\n" {
		t.Errorf("got %q, %v", line, err)
	}
	health := httptest.NewServer(healthHandler(socket))
	defer health.Close()
	if err := healthcheck(health.URL + "/health"); err != nil {
		t.Error(err)
	}
	if healthcheck(health.URL+"/other") == nil {
		t.Error("a wrong path counts as healthy")
	}
}
