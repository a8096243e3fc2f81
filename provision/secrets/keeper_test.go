package secrets

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/croft-sh/croft/stacks"
)

// keeps is provision.Secrets, which this package may not import.
type keeps interface {
	Ensure(specs map[string]stacks.SecretSpec) (created []string, err error)
	Fingerprints(keys []string) (map[string]string, error)
	Deliver(grants []stacks.Grant) error
}

var _ keeps = (*Keeper)(nil)

// bench is a keeper with a clock and what it wrote down.
type bench struct {
	*Keeper
	now    time.Time
	events []string
}

func newBench(t testing.TB) *bench {
	dir := t.TempDir()
	b := &bench{now: time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)}
	b.Keeper = &Keeper{
		File: filepath.Join(dir, "state", "secrets.age"), HostKey: filepath.Join(dir, "etc", "home.key"),
		Dir: filepath.Join(dir, "run", "secrets"), Domain: "home.localhost", Write: plainWrite,
		Audit: func(e Event) { b.events = append(b.events, e.Action+" "+e.Secret) },
		Now:   func() time.Time { return b.now },
	}
	if err := os.MkdirAll(filepath.Join(dir, "state"), 0o700); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) value(t testing.TB, name string) string {
	t.Helper()
	s, err := Open(b.File, b.HostKey, plainWrite)
	if err != nil {
		t.Fatal(err)
	}
	return reveal(t, s, name)
}

func (b *bench) ensure(t testing.TB, specs map[string]stacks.SecretSpec) []string {
	t.Helper()
	created, err := b.Ensure(specs)
	if err != nil {
		t.Fatal(err)
	}
	return created
}

func TestPlanWritesNothing(t *testing.T) {
	b := newBench(t)
	got, err := b.Fingerprints([]string{"a/b"})
	if err != nil || got == nil || len(got) != 0 {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := b.CACert(); !errors.Is(err, ErrUnknown) {
		t.Errorf("CACert: %v", err)
	}
	if names, err := b.Names(); err != nil || len(names) != 0 {
		t.Errorf("names %v, %v", names, err)
	}
	for _, path := range []string{b.File, b.HostKey, b.Dir} {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s was made", path)
		}
	}
}

func TestEnsure(t *testing.T) {
	b := newBench(t)
	specs := map[string]stacks.SecretSpec{
		"gitea/db_password": {Generate: 32}, "auth/jwk": {Kind: "rsa"}, "auth/config": {Template: "config.yml"},
		"traefik/tls": {Kind: "tls"}, "app/ca": {Kind: "ca"},
	}
	created := b.ensure(t, specs)
	if want := []string{"app/ca", "auth/jwk", "gitea/db_password", "traefik/tls"}; !slices.Equal(created, want) {
		t.Errorf("created %v, want %v", created, want)
	}
	before, _ := os.ReadFile(b.File)
	if again := b.ensure(t, specs); len(again) != 0 {
		t.Errorf("again %v", again)
	}
	if after, _ := os.ReadFile(b.File); string(before) != string(after) {
		t.Error("the file was written again")
	}
	for _, want := range []string{"create croft/ca", "create croft/fingerprint-key", "create gitea/db_password"} {
		if !slices.Contains(b.events, want) {
			t.Errorf("no event %q in %v", want, b.events)
		}
	}
	if v := b.value(t, "gitea/db_password"); len(v) != 32 || strings.Trim(v, letters) != "" {
		t.Errorf("%d characters", len(v))
	}
	block, rest := pem.Decode([]byte(b.value(t, "auth/jwk")))
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if k, ok := key.(*rsa.PrivateKey); err != nil || !ok || k.N.BitLen() != 3072 || len(rest) != 0 {
		t.Errorf("rsa: %T, %v", key, err)
	}
	names, err := b.Names()
	if err != nil || slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, "croft/") }) || len(names) != 4 {
		t.Errorf("names %v, %v", names, err)
	}
}

func TestEnsureRefuses(t *testing.T) {
	for name, spec := range map[string]stacks.SecretSpec{
		"a/none": {}, "a/kind": {Kind: "dsa"}, "a/long": {Generate: 1 << 20}, "a/negative": {Generate: -1},
		"croft/ca": {Generate: 8}, "no-slash": {Generate: 8},
	} {
		b := newBench(t)
		if _, err := b.Ensure(map[string]stacks.SecretSpec{"a/good": {Generate: 8}, name: spec}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(b.File); err == nil {
			t.Errorf("%s: something was saved", name)
		}
	}
	b := newBench(t)
	b.Domain = ""
	if _, err := b.Ensure(map[string]stacks.SecretSpec{"a/tls": {Kind: "tls"}}); err == nil || !strings.Contains(err.Error(), "domain") {
		t.Errorf("no domain: %v", err)
	}
}

func TestEnsureNeverMakesASecondKey(t *testing.T) {
	b := newBench(t)
	b.ensure(t, map[string]stacks.SecretSpec{"a/b": {Generate: 8}})
	if err := os.Remove(b.HostKey); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Ensure(map[string]stacks.SecretSpec{"a/c": {Generate: 8}}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(b.HostKey); err == nil {
		t.Error("a new host key was made over secrets that it cannot open")
	}
}

func TestEnsureSavesOrMakesNothing(t *testing.T) {
	b := newBench(t)
	b.Write = func(string, []byte, fs.FileMode) error { return errors.New("disk full") }
	created, err := b.Ensure(map[string]stacks.SecretSpec{"a/b": {Generate: 8}})
	if err == nil || created != nil || len(b.events) != 0 {
		t.Errorf("%v, %v, %v", created, err, b.events)
	}
}

func TestRandomIsEven(t *testing.T) {
	const n = 62 * 4000
	var counts [256]int
	for range n / maxLength {
		for _, c := range []byte(stacks.Reveal(randomSecret(maxLength))) {
			counts[c]++
		}
	}
	total := n / maxLength * maxLength
	chi := 0.0
	expected := float64(total) / 62
	for _, c := range []byte(letters) {
		d := float64(counts[c]) - expected
		chi += d * d / expected
	}
	// 61 degrees of freedom: beyond 150 once in 10^9 runs. With a plain modulo
	// eight letters come 25 % more often, which gives over 1000.
	if chi > 150 || math.IsNaN(chi) {
		t.Errorf("chi squared %f", chi)
	}
}

func TestCertificates(t *testing.T) {
	b := newBench(t)
	specs := map[string]stacks.SecretSpec{"traefik/tls": {Kind: "tls"}, "app/ca": {Kind: "ca"}}
	b.ensure(t, specs)
	verify := func(host string) error {
		t.Helper()
		text := []byte(b.value(t, "traefik/tls"))
		pair, err := tls.X509KeyPair(text, text) // one file serves as both
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		ca, err := b.CACert()
		if err != nil || !roots.AppendCertsFromPEM(ca) || string(ca) != b.value(t, "app/ca") || strings.Contains(string(ca), "PRIVATE") {
			t.Fatalf("authority: %v", err)
		}
		_, err = pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: host, CurrentTime: b.now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
		return err
	}
	for _, host := range []string{"home.localhost", "git.home.localhost"} {
		if err := verify(host); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	if verify("example.com") == nil || verify("a.b.home.localhost") == nil {
		t.Error("verifies for too much")
	}

	first := b.value(t, "traefik/tls")
	b.now = b.now.Add(leafLife - renewBefore - time.Minute)
	if got := b.ensure(t, specs); len(got) != 0 {
		t.Errorf("renewed too early: %v", got)
	}
	b.now = b.now.Add(2 * time.Minute)
	if got := b.ensure(t, specs); !slices.Equal(got, []string{"traefik/tls"}) || b.value(t, "traefik/tls") == first {
		t.Errorf("not renewed: %v", got)
	}
	if err := verify("home.localhost"); err != nil || !slices.Contains(b.events, "renew traefik/tls") {
		t.Errorf("renewed: %v, %v", err, b.events)
	}
	b.Domain = "example.com"
	if got := b.ensure(t, specs); !slices.Equal(got, []string{"app/ca", "traefik/tls"}) {
		t.Errorf("another domain: %v", got)
	}
	if err := verify("git.example.com"); err != nil {
		t.Error(err)
	}
	b.now = b.now.Add(authorityLife - renewBefore)
	if got := b.ensure(t, specs); !slices.Equal(got, []string{"app/ca", "traefik/tls"}) {
		t.Errorf("authority ends: %v", got)
	}
	if err := verify("git.example.com"); err != nil {
		t.Error(err)
	}
	last := b.value(t, "traefik/tls")
	if err := b.Renew("traefik/tls", specs["traefik/tls"]); err != nil || b.value(t, "traefik/tls") == last {
		t.Errorf("Renew: %v", err)
	}
}

func TestAuthorityIsConstrained(t *testing.T) {
	now := time.Now()
	a, err := newAuthority("home.localhost", now)
	if err != nil {
		t.Fatal(err)
	}
	c := a.cert
	if !c.IsCA || c.MaxPathLen != 0 || !c.MaxPathLenZero || !c.PermittedDNSDomainsCritical || c.PublicKey.(*ecdsa.PublicKey).Curve.Params().BitSize != 256 {
		t.Errorf("%+v", c)
	}
	stolen, err := a.issue("bank.example", now)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair([]byte(stacks.Reveal(stolen)), []byte(stacks.Reveal(stolen)))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(c)
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "bank.example"}); err == nil {
		t.Error("the authority vouches for another domain")
	}
}

func TestAdminsCertificateIsLeftAlone(t *testing.T) {
	b := newBench(t)
	other, err := newAuthority("home.localhost", b.now)
	if err != nil {
		t.Fatal(err)
	}
	other.cert.RawSubject, other.cert.Subject.Organization = nil, []string{"Ada's CA"}
	theirs, err := other.issue("home.localhost", b.now)
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{stacks.Reveal(theirs), "not a certificate"} {
		if err := b.Set("traefik/tls", stacks.NewSecret(value)); err != nil {
			t.Fatal(err)
		}
		b.now = b.now.Add(20 * 365 * 24 * time.Hour)
		if got := b.ensure(t, map[string]stacks.SecretSpec{"traefik/tls": {Kind: "tls"}}); len(got) != 0 || b.value(t, "traefik/tls") != value {
			t.Errorf("replaced what the admin brought: %v", got)
		}
	}
}

func TestFingerprints(t *testing.T) {
	b, other := newBench(t), newBench(t)
	set := func(b *bench, name, value string) {
		t.Helper()
		b.ensure(t, nil)
		if err := b.Set(name, stacks.NewSecret(value)); err != nil {
			t.Fatal(err)
		}
	}
	set(b, "a/one", "same")
	set(b, "a/two", "same")
	set(other, "a/one", "same")
	first, err := b.Fingerprints([]string{"a/one", "a/two", "a/missing"})
	if err != nil || len(first) != 2 || len(first["a/one"]) != 16 {
		t.Fatalf("%v, %v", first, err)
	}
	if first["a/one"] == first["a/two"] {
		t.Error("equal values of two secrets can be told to be equal")
	}
	theirs, _ := other.Fingerprints([]string{"a/one"})
	if theirs["a/one"] == first["a/one"] {
		t.Error("is not keyed")
	}
	again, _ := b.Fingerprints([]string{"a/one"})
	set(b, "a/one", "changed")
	changed, _ := b.Fingerprints([]string{"a/one"})
	if again["a/one"] != first["a/one"] || changed["a/one"] == first["a/one"] {
		t.Error("must be stable and must follow the value")
	}
}

func TestKeeperEditsAndAudit(t *testing.T) {
	b := newBench(t)
	if err := b.Set("a/b", stacks.NewSecret("v")); err != nil {
		t.Fatal(err)
	}
	if err := b.Set("a/b", stacks.NewSecret("v")); err != nil {
		t.Fatal(err)
	}
	if v, ok, err := b.Get("a/b"); !ok || err != nil || stacks.Reveal(v) != "v" {
		t.Errorf("%v, %v", ok, err)
	}
	if _, ok, err := b.Get("a/none"); ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
	if err := b.Delete("a/b"); err != nil {
		t.Fatal(err)
	}
	if want := []string{"set a/b", "read a/b", "delete a/b"}; !slices.Equal(b.events, want) {
		t.Errorf("events %v, want %v", b.events, want)
	}
	for _, name := range []string{authorityName, fingerprintKey} {
		if b.Set(name, stacks.NewSecret("x")) == nil || b.Delete(name) == nil {
			t.Errorf("%s can be changed by hand", name)
		}
	}
	if text := fmt.Sprintf("%+v", b.events); strings.Contains(text, "=") {
		t.Error(text)
	}
}
