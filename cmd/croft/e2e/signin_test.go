//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
)

func TestProtectedAddressLeadsToThePortal(t *testing.T) {
	p := shared(t)
	for _, host := range []string{"echo", "login", "admins", "hook", "hello", "prometheus", "alerts"} {
		got := p.browser(t).get(t, p.url(host, "/some/page?q=1"))
		if got.served() {
			t.Errorf("%s was served without a session", host)
		}
		if got.status != http.StatusFound && got.status != http.StatusSeeOther {
			t.Errorf("%s: %s, want a redirect", host, got)
			continue
		}
		location, err := url.Parse(got.header.Get("Location"))
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		if want := strings.TrimPrefix(p.url("auth", ""), "https://"); location.Scheme != "https" || location.Host != want {
			t.Errorf("%s redirects to %s, want the portal %s", host, location, want)
		}
		if want := p.url(host, "/some/page?q=1"); location.Query().Get("rd") != want {
			t.Errorf("%s: the portal is to return to %q, want %q", host, location.Query().Get("rd"), want)
		}
	}
}

func TestWrongCredentialsAreRefused(t *testing.T) {
	p := shared(t)
	for name, credentials := range map[string][2]string{
		"wrong password": {"ada", "not the password"},
		"nobody":         {"eve", p.password(t)},
	} {
		b := p.browser(t)
		got := b.post(t, p.url("auth", "/api/firstfactor"), map[string]any{"username": credentials[0], "password": credentials[1]})
		if got.status != http.StatusUnauthorized && got.status != http.StatusForbidden {
			t.Errorf("%s: %s", name, got)
		}
		if page := b.get(t, p.url("login", "/")); page.served() {
			t.Errorf("%s: got in all the same", name)
		}
	}
	b := p.browser(t)
	p.firstFactor(t, b)
	got := b.post(t, p.url("auth", "/api/secondfactor/totp"), map[string]any{"token": "000000"})
	if got.status == http.StatusOK && strings.Contains(got.body, `"OK"`) {
		t.Errorf("a wrong code: %s", got)
	}
	if page := b.get(t, p.url("echo", "/")); page.served() {
		t.Error("a wrong code got in all the same")
	}
}

func (p *platform) firstFactor(t *testing.T, b *browser) {
	t.Helper()
	got := b.post(t, p.url("auth", "/api/firstfactor"), map[string]any{"username": "ada", "password": p.password(t), "keepMeLoggedIn": false})
	if got.status != http.StatusOK || !strings.Contains(got.body, `"OK"`) {
		t.Fatalf("the first factor of the generated account was refused: %s", got)
	}
}

// signedIn is a browser with both factors. There is one for all tests: a code
// is good once, and sign-ins are rate limited.
func (p *platform) signedIn(t *testing.T) *browser {
	t.Helper()
	if signedInBrowser != nil {
		return signedInBrowser
	}
	b := p.browser(t)
	p.firstFactor(t, b)
	secret := p.totpSecret(t)
	for try := range 3 {
		code, err := totp.GenerateCode(secret, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		got := b.post(t, p.url("auth", "/api/secondfactor/totp"), map[string]any{"token": code})
		if got.status == http.StatusOK && strings.Contains(got.body, `"OK"`) {
			signedInBrowser = b
			return b
		}
		// The code may have been used in the same half minute, by the wizard's check.
		t.Logf("try %d: %s", try+1, got)
		time.Sleep(11 * time.Second)
	}
	t.Fatal("the second factor of the generated account was refused")
	return nil
}

var signedInBrowser *browser

func TestOneFactorOpensOnlyWhatAsksForOne(t *testing.T) {
	p := shared(t)
	b := p.browser(t)
	p.firstFactor(t, b)
	if got := b.get(t, p.url("login", "/")); got.echoed(t).Headers["Remote-User"][0] != "ada" {
		t.Errorf("access login: %s", got)
	}
	for _, host := range []string{"echo", "admins", "prometheus"} {
		if got := b.get(t, p.url(host, "/")); got.status == http.StatusOK {
			t.Errorf("%s opens with a password alone: %s", host, got)
		}
	}
}

func TestSignedInIsServedAndNamed(t *testing.T) {
	p := shared(t)
	b := p.signedIn(t)
	got := b.get(t, p.url("echo", "/a/b?c=d")).echoed(t)
	for header, want := range map[string]string{"Remote-User": "ada", "Remote-Email": "ada@example.com"} {
		if !slices.Equal(got.Headers[header], []string{want}) {
			t.Errorf("the program sees %s %q, want %q", header, got.Headers[header], want)
		}
	}
	if groups := strings.Join(got.Headers["Remote-Groups"], ","); !strings.Contains(groups, "admins") {
		t.Errorf("the program sees the groups %q", groups)
	}
	if got.Path != "/a/b?c=d" {
		t.Errorf("the program sees the path %q", got.Path)
	}
	for _, host := range []string{"admins", "hello", "prometheus", "alerts"} {
		if page := b.get(t, p.url(host, "/")); page.status >= 400 || strings.Contains(page.header.Get("Location"), "auth.") {
			t.Errorf("%s: %s", host, page)
		}
	}
}

func TestPublicPathsAreOpenAndOnlyThose(t *testing.T) {
	p := shared(t)
	for _, path := range []string{"/hook", "/hook/push?x=1"} {
		if got := p.browser(t).get(t, p.url("hook", path)); !got.served() {
			t.Errorf("%s: %s", path, got)
		}
	}
	for _, path := range []string{"/", "/hooks", "/hookx", "/HOOK", "/a/hook", "/hook/../secret", "/hook/..%2fsecret", "//hook/../secret", "/hook/%2e%2e/secret"} {
		got := p.browser(t).get(t, p.url("hook", path))
		if got.served() && !strings.HasPrefix(got.echoed(t).Path, "/hook/") {
			t.Errorf("%s was served without a session as %s", path, got.echoed(t).Path)
		}
	}
}

func TestAnAddressNobodyDeclaredGetsNothing(t *testing.T) {
	p := shared(t)
	b := p.signedIn(t) // even with a session
	for _, host := range []string{"echo", "auth"} {
		if got := b.get(t, p.url(host, "/")); got.status >= http.StatusInternalServerError {
			t.Fatalf("%s: %s", host, got)
		}
	}
	// Over a connection to a declared name, with the header of another.
	for _, host := range []string{"nobody", "echo.echo", "traefik", "postgres", "neighbour", "ledger"} {
		req, err := http.NewRequest(http.MethodGet, p.url("open", "/"), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = fmt.Sprintf("%s.%s.localhost:%d", host, p.name, p.https)
		got := b.do(t, req)
		if got.status != http.StatusNotFound && got.status != http.StatusMisdirectedRequest || got.served() {
			t.Errorf("%s: %s", host, got)
		}
	}
	for _, host := range []string{"127.0.0.1", "localhost", p.name + ".localhost", "example.com", "10.0.0.1", ""} {
		req, err := http.NewRequest(http.MethodGet, p.url("open", "/"), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		if host == "" {
			continue
		}
		if got := b.do(t, req); got.status != http.StatusNotFound && got.status != http.StatusMisdirectedRequest || got.served() {
			t.Errorf("host %q: %s", host, got)
		}
	}
	// As the name of the connection too.
	res, err := b.client.Get(p.url("nobody", "/"))
	if err == nil {
		defer res.Body.Close()
		if res.StatusCode != http.StatusNotFound {
			t.Errorf("nobody: %s", res.Status)
		}
	}
}

// forged are headers by which a client might claim to be somebody or to come
// from somewhere.
var forged = []string{
	"Remote-User: forged", "Remote_User: forged", "remote_user: forged", "REMOTE-USER: forged", "Remote-user: forged",
	"Remote-Groups: forged", "Remote_Groups: forged", "Remote-Email: forged", "Remote_Email: forged",
	"Remote-Name: forged", "Remote_Name: forged",
	"X-Forwarded-For: 203.0.113.9", "X-Forwarded-Host: forged.example.com", "X-Forwarded-Proto: forged",
	"X-Forwarded-Port: 6666", "X-Forwarded-Server: forged", "X-Forwarded-Uri: /forged", "X-Forwarded-Method: FORGED",
	"X-Forwarded-User: forged", "X-Forwarded-Prefix: /forged", "X-Real-Ip: 203.0.113.9",
	"X_Forwarded_For: 203.0.113.9", "X_Forwarded_Host: forged.example.com", "X_Real_Ip: 203.0.113.9",
	"X-Forwarded_For: 203.0.113.9", "X-Forwarded-Groups: forged", "X-Forwarded-Email: forged", "X-Remote-User: forged",
	"X-Forwarded-Ssl: forged", "X-Original-Url: /forged", "X-Rewrite-Url: /forged", "Forwarded: for=203.0.113.9;host=forged.example.com",
}

func TestForgedHeadersDoNotGetIn(t *testing.T) {
	p := shared(t)
	for name, visit := range map[string]func() echoed{
		"public":      func() echoed { return p.browser(t).get(t, p.url("open", "/"), forged...).echoed(t) },
		"public path": func() echoed { return p.browser(t).get(t, p.url("hook", "/hook"), forged...).echoed(t) },
		"signed in":   func() echoed { return p.signedIn(t).get(t, p.url("echo", "/"), forged...).echoed(t) },
	} {
		got := visit()
		for header, values := range got.Headers {
			for _, v := range values {
				low := strings.ToLower(v)
				if strings.Contains(low, "forged") || strings.Contains(low, "203.0.113.9") || strings.Contains(low, "6666") {
					t.Errorf("%s: the program sees %s: %s", name, header, v)
				}
			}
		}
		user := got.Headers["Remote-User"]
		if name == "signed in" && !slices.Equal(user, []string{"ada"}) || name != "signed in" && len(user) > 0 {
			t.Errorf("%s: the program sees Remote-User %q", name, user)
		}
		if proto := got.Headers["X-Forwarded-Proto"]; !slices.Equal(proto, []string{"https"}) {
			t.Errorf("%s: the program sees X-Forwarded-Proto %q", name, proto)
		}
	}
	// Nor do they open a door.
	if page := p.browser(t).get(t, p.url("echo", "/"), forged...); page.served() {
		t.Errorf("forged headers opened a protected address: %s", page)
	}
	// A header that names another address must not borrow its openness.
	borrowed := []string{"X-Forwarded-Host: " + strings.TrimPrefix(p.url("hook", ""), "https://"), "X-Forwarded-Uri: /hook", "X-Original-Url: " + p.url("login", "/")}
	if page := p.browser(t).get(t, p.url("echo", "/"), borrowed...); page.served() {
		t.Errorf("a borrowed address opened a protected one: %s", page)
	}
}

func TestSecurityHeaders(t *testing.T) {
	p := shared(t)
	for _, host := range []string{"open", "auth", "echo"} {
		got := p.browser(t).get(t, p.url(host, "/"))
		if v := got.header.Get("X-Content-Type-Options"); v != "nosniff" {
			t.Errorf("%s: X-Content-Type-Options %q", host, v)
		}
		for _, name := range []string{"Server", "X-Powered-By"} {
			if v := got.header.Get(name); v != "" {
				t.Errorf("%s: %s %q", host, name, v)
			}
		}
	}
	// The session's cookie is for the browser alone.
	b := p.browser(t)
	got := b.post(t, p.url("auth", "/api/firstfactor"), map[string]any{"username": "ada", "password": p.password(t)})
	for _, cookie := range got.header.Values("Set-Cookie") {
		low := strings.ToLower(cookie)
		if !strings.Contains(low, "; secure") || !strings.Contains(low, "; httponly") || !strings.Contains(low, "; samesite=") {
			t.Errorf("the session's cookie: %s", cookie[strings.Index(cookie, ";"):])
		}
	}
	if len(got.header.Values("Set-Cookie")) == 0 {
		t.Errorf("no session: %s", got)
	}
}

func TestPlainHTTPLeadsToHTTPS(t *testing.T) {
	p := shared(t)
	got := p.browser(t).get(t, fmt.Sprintf("http://echo.%s.localhost:%d/a?b=c", p.name, p.http))
	if got.status < 300 || got.status > 308 || got.header.Get("Location") != p.url("echo", "/a?b=c") {
		t.Errorf("%s", got)
	}
	if got.served() {
		t.Error("served without TLS")
	}
}

// TestRateLimitIsPerClient: one client is told to slow down while another is
// served. The second comes from another address, straight to Traefik.
func TestRateLimitIsPerClient(t *testing.T) {
	p := shared(t)
	flood, calm := p.browser(t), p.browser(t)
	traefik := p.container(t, "traefik", "traefik")
	front, ok := traefik.addresses()[p.name+"-quiet-front"]
	if !ok {
		t.Fatalf("Traefik is not on the front network of quiet: %v", traefik.addresses())
	}
	calm.dials = front.String() + ":443"
	if got := calm.get(t, p.url("open", "/")); !got.served() {
		t.Fatalf("another client: %s", got)
	}
	const most = 3000
	limited := make(chan int, 8)
	for range cap(limited) {
		go func() {
			for n := range most / cap(limited) {
				res, err := flood.client.Get(p.url("open", "/"))
				if err != nil {
					continue
				}
				_ = res.Body.Close()
				if res.StatusCode == http.StatusTooManyRequests {
					limited <- n
					return
				}
			}
			limited <- -1
		}()
	}
	hit := false
	for range cap(limited) {
		hit = <-limited >= 0 || hit
	}
	if !hit {
		t.Errorf("%d requests at once, and none was too many", most)
	}
	if got := calm.get(t, p.url("open", "/")); got.status != http.StatusOK {
		t.Errorf("another client, while one floods: %s", got)
	}
	// So that the tests after this one are not the flood's victims.
	time.Sleep(3 * time.Second)
}
