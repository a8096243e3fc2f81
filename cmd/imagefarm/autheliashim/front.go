package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// serve runs the real program and the proxy before it, passes signals on, and
// ends with the real program's exit code.
func serve(t *translation, config string) (int, error) {
	listener, err := net.Listen("tcp", t.listen)
	if err != nil {
		return 1, err
	}
	fmt.Fprintln(os.Stderr, "image farm: this is Authelia v4.37.5; a shim gives it 4.39's configuration and forward-auth endpoint")
	child := exec.Command(realProgram, "--config", config)
	child.Env = t.environ
	child.Stdout, child.Stderr = os.Stdout, os.Stderr
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT)
	if err := child.Start(); err != nil {
		return 1, err
	}
	ended := make(chan struct{})
	var gaveUp atomic.Bool
	go passOn(child.Process, signals, ended, &gaveUp)
	f := newFront(t)
	server := &http.Server{Handler: f.handler(), ReadHeaderTimeout: 10 * time.Second}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			fmt.Fprintln(os.Stderr, "image farm:", err)
			_ = child.Process.Signal(syscall.SIGTERM)
		}
	}()
	err = child.Wait()
	close(ended)
	_ = server.Close() // the process ends with it
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return 1, err
	}
	if gaveUp.Load() {
		return 0, nil // it had stopped all but its own waiting
	}
	return exitCode(child.ProcessState), nil
}

// passOn gives signals to the real program. Told to stop while it watches the
// users file, 4.37.5 closes everything and then waits for its own watcher for
// ever; it is ended after that.
func passOn(child *os.Process, signals <-chan os.Signal, ended <-chan struct{}, gaveUp *atomic.Bool) {
	const enough = 2 * time.Second
	var end <-chan time.Time
	for {
		select {
		case s := <-signals:
			_ = child.Signal(s) // it may have ended just now
			if s == syscall.SIGTERM || s == syscall.SIGINT {
				end = time.After(enough)
			}
		case <-end:
			gaveUp.Store(true)
			_ = child.Kill()
		case <-ended:
			return
		}
	}
}

// exitCode is the shell's: 128 and the signal's number for a killed process.
func exitCode(state *os.ProcessState) int {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return state.ExitCode()
}

// front is the face of 4.39: its authorisation endpoints, and everything else
// as the real program answers it.
type front struct {
	*translation
	real      *url.URL
	ask       http.RoundTripper
	usersFile string // looked at for every request; empty where nobody watches it
}

// newFront keeps no connection open: the real program waits for all of them
// when it is told to stop.
func newFront(t *translation) front {
	return front{translation: t, real: &url.URL{Scheme: "http", Host: childAddress},
		ask:       &http.Transport{DisableKeepAlives: true, DisableCompression: true},
		usersFile: watchedUsers(t.out)}
}

func (f front) handler() http.Handler {
	mux := http.NewServeMux()
	for name, e := range f.endpoints {
		mux.HandleFunc("/api/authz/"+name, func(w http.ResponseWriter, r *http.Request) { f.forwardAuth(w, r, e) })
	}
	mux.Handle("/", &httputil.ReverseProxy{Transport: f.ask, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(f.real)
		r.Out.Host = r.In.Host
		r.Out.Header = forwarded(r.In)
	}})
	return mux
}

// forwarded are the headers as they came: Authelia judges by X-Forwarded-*,
// which a proxy of Go would remove. Without them the peer is the client.
func forwarded(r *http.Request) http.Header {
	h := r.Header.Clone()
	for _, hop := range []string{"Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade"} {
		h.Del(hop)
	}
	if h.Get("X-Forwarded-For") == "" {
		if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
			h.Set("X-Forwarded-For", host)
		}
	}
	return h
}

// forwardAuth asks the real program's /api/verify and answers as 4.39 does.
// 4.39 answers 400 where the request names no target it can judge.
func (f front) forwardAuth(w http.ResponseWriter, r *http.Request, e endpoint) {
	portal, ok := f.portalFor(r)
	if !ok || !f.judgeable(r) {
		http.Error(w, http.StatusText(http.StatusBadRequest), http.StatusBadRequest)
		return
	}
	query := url.Values{"rd": {portal}}
	h := forwarded(r)
	h.Del("X-Original-Url") // forward-auth of 4.39 does not look at it, 4.37 does first
	h.Del("X-Original-Method")
	h.Del("Proxy-Authorization")
	if e.basic && strings.HasPrefix(strings.ToLower(h.Get("Authorization")), "basic ") {
		query.Set("auth", "basic")
	}
	res, err := f.verify(r, h, query)
	if err != nil {
		http.Error(w, http.StatusText(http.StatusBadGateway), http.StatusBadGateway)
		return
	}
	defer func() { _ = res.Body.Close() }() // read to its end below
	for name, values := range res.Header {
		w.Header()[name] = values
	}
	status := res.StatusCode
	if status == http.StatusSeeOther && h.Get("X-Forwarded-Method") == http.MethodHead {
		status = http.StatusFound // as for GET, since 4.38
	}
	w.WriteHeader(status)
	_, _ = io.Copy(w, res.Body) // the asking proxy may have gone
}

// verify asks the real program; an answer from an outdated session does not
// count.
func (f front) verify(r *http.Request, h http.Header, query url.Values) (*http.Response, error) {
	question := &http.Request{Method: http.MethodGet, Host: r.Host, Header: h,
		URL: f.real.ResolveReference(&url.URL{Path: "/api/verify", RawQuery: query.Encode()})}
	res, err := f.ask.RoundTrip(question.WithContext(r.Context()))
	if err != nil || res.StatusCode != http.StatusOK || query.Has("auth") {
		return res, err
	}
	outdated, err := f.outdated(res.Header)
	if err != nil {
		return nil, errors.Join(err, res.Body.Close())
	}
	if !outdated {
		return res, nil
	}
	if err := res.Body.Close(); err != nil {
		return nil, err
	}
	question.Header = h.Clone()
	question.Header.Del("Cookie")
	return f.ask.RoundTrip(question.WithContext(r.Context()))
}

// portalFor is where a stranger is sent: the configured address, or one under
// the cookies' domain that the proxy's configuration names.
func (f front) portalFor(r *http.Request) (string, bool) {
	portal := *f.portal
	if asked := r.URL.Query().Get("authelia_url"); asked != "" {
		u, err := url.ParseRequestURI(asked)
		if err != nil || u.Scheme != "https" || !f.inDomain(u.Hostname()) {
			return "", false
		}
		portal = *u
	}
	if portal.Path == "" {
		portal.Path = "/"
	}
	return portal.String(), true
}

func (f front) judgeable(r *http.Request) bool {
	proto, host := r.Header.Get("X-Forwarded-Proto"), r.Header.Get("X-Forwarded-Host")
	method := r.Header.Get("X-Forwarded-Method")
	if proto == "" || host == "" || method == "" || strings.Trim(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return false
	}
	target, err := url.ParseRequestURI(proto + "://" + host + r.Header.Get("X-Forwarded-Uri"))
	return err == nil && (target.Scheme == "https" || target.Scheme == "wss") && f.inDomain(target.Hostname())
}

func (f front) inDomain(host string) bool {
	return host == f.domain || strings.HasSuffix(host, "."+f.domain)
}
