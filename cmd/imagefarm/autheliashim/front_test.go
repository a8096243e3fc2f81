package main

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"testing"
)

// fakeReal answers like 4.37's /api/verify: who has the cookie or the password
// is ada, anybody else is sent to the portal.
func fakeReal(t *testing.T) *url.URL {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Seen-For", r.Header.Get("X-Forwarded-For"))
		w.Header().Set("X-Seen-Original", r.Header.Get("X-Original-Url"))
		w.Header().Set("X-Seen-Path", r.URL.Path)
		_, _, basic := r.BasicAuth()
		_, err := r.Cookie("s")
		switch {
		case r.URL.Path != "/api/verify":
		case err == nil || basic && r.URL.Query().Get("auth") == "basic":
			w.Header().Set("Remote-User", "ada")
			w.Header().Set("Remote-Groups", "admins,users")
		case r.Header.Get("X-Forwarded-Method") == "GET":
			w.Header().Set("Location", r.URL.Query().Get("rd"))
			w.WriteHeader(http.StatusFound)
		default:
			w.Header().Set("Location", r.URL.Query().Get("rd"))
			w.WriteHeader(http.StatusSeeOther)
		}
	}))
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func testFront(t *testing.T, config string) front {
	t.Helper()
	tr, err := translate(tree(t, cookies, config), nil)
	if err != nil {
		t.Fatal(err)
	}
	f := newFront(tr)
	f.real = fakeReal(t)
	return f
}

func ask(f front, path string, headers map[string]string) *http.Response {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for name, value := range map[string]string{"X-Forwarded-Proto": "https", "X-Forwarded-Host": "app.example.com",
		"X-Forwarded-Uri": "/", "X-Forwarded-Method": "GET", "X-Forwarded-For": "203.0.113.9"} {
		r.Header.Set(name, value)
	}
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	f.handler().ServeHTTP(w, r)
	return w.Result()
}

func TestForwardAuth(t *testing.T) {
	const path = "/api/authz/forward-auth"
	f := testFront(t, "")
	tests := []struct {
		name     string
		path     string
		headers  map[string]string
		status   int
		location string
		user     string
	}{
		{"anonymous", path, nil, 302, "https://auth.example.com/", ""},
		{"anonymous post", path, map[string]string{"X-Forwarded-Method": "POST"}, 303, "https://auth.example.com/", ""},
		{"anonymous head", path, map[string]string{"X-Forwarded-Method": "HEAD"}, 302, "https://auth.example.com/", ""},
		{"session", path, map[string]string{"Cookie": "s=1"}, 200, "", "ada"},
		{"password", path, map[string]string{"Authorization": "Basic YWRhOng="}, 200, "", "ada"},
		{"token is not a password", path, map[string]string{"Authorization": "Bearer x"}, 302, "https://auth.example.com/", ""},
		{"http", path, map[string]string{"X-Forwarded-Proto": "http"}, 400, "", ""},
		{"other domain", path, map[string]string{"X-Forwarded-Host": "app.example.org"}, 400, "", ""},
		{"domain as a suffix", path, map[string]string{"X-Forwarded-Host": "badexample.com"}, 400, "", ""},
		{"no method", path, map[string]string{"X-Forwarded-Method": ""}, 400, "", ""},
		{"strange method", path, map[string]string{"X-Forwarded-Method": "get"}, 400, "", ""},
		{"portal in the query", path + "?authelia_url=https://sso.example.com", nil, 302, "https://sso.example.com/", ""},
		{"foreign portal", path + "?authelia_url=https://evil.example.org", nil, 400, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			res := ask(f, tt.path, tt.headers)
			if res.StatusCode != tt.status || res.Header.Get("Location") != tt.location || res.Header.Get("Remote-User") != tt.user {
				t.Errorf("%d %v", res.StatusCode, res.Header)
			}
		})
	}
}

func TestHeadersReachTheRealProgram(t *testing.T) {
	f := testFront(t, "")
	res := ask(f, "/api/authz/forward-auth", map[string]string{"Cookie": "s=1", "X-Original-Url": "https://public.example.com/"})
	if res.Header.Get("X-Seen-For") != "203.0.113.9" || res.Header.Get("X-Seen-Original") != "" {
		t.Errorf("seen: %v", res.Header)
	}
	res = ask(f, "/api/firstfactor", nil)
	if res.StatusCode != 200 || res.Header.Get("X-Seen-Path") != "/api/firstfactor" || res.Header.Get("X-Seen-For") != "203.0.113.9" {
		t.Errorf("proxied: %d %v", res.StatusCode, res.Header)
	}
	res = ask(f, "/api/firstfactor", map[string]string{"X-Forwarded-For": ""})
	if res.Header.Get("X-Seen-For") != "192.0.2.1" {
		t.Errorf("without the header the peer should be the client: %v", res.Header)
	}
}

func TestCookieSessionOnly(t *testing.T) {
	f := testFront(t, "server: {endpoints: {authz: {own: {implementation: ForwardAuth, authn_strategies: [{name: CookieSession}]}}}}")
	if res := ask(f, "/api/authz/own", map[string]string{"Authorization": "Basic YWRhOng="}); res.StatusCode != 302 {
		t.Errorf("a password was taken: %d", res.StatusCode)
	}
}

func TestOutdatedSessionsCountAsNone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "users.yml")
	f := testFront(t, "authentication_backend: {file: {path: "+file+", watch: true}}")
	for users, want := range map[string]int{
		"users: {ada: {groups: [users, admins]}}":                 200,
		"users: {ada: {groups: [users, admins], disabled: true}}": 302,
		"users: {ada: {groups: [users]}}":                         302,
		"users: {bob: {groups: [users, admins]}}":                 302,
		"users: [": 502,
	} {
		if err := os.WriteFile(file, []byte(users), 0o600); err != nil {
			t.Fatal(err)
		}
		if res := ask(f, "/api/authz/forward-auth", map[string]string{"Cookie": "s=1"}); res.StatusCode != want {
			t.Errorf("%s: %d, want %d", users, res.StatusCode, want)
		}
	}
}
