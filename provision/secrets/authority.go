package secrets

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"net"
	"time"

	"github.com/croft-sh/croft/stacks"
)

const (
	// People install the authority by hand on every device, so it lasts.
	authorityLife = 10 * 365 * 24 * time.Hour
	// 397 days is what every client takes: browsers refuse more than 398 of
	// public authorities, Apple more than 825 of any.
	leafLife = 397 * 24 * time.Hour
	// Renewed by any apply or pass of the agent within the last 30 days.
	renewBefore = 30 * 24 * time.Hour
	// Clocks of phones run behind; a certificate that begins now is refused there.
	backdate = time.Hour

	organization = "croft"
)

// authority signs the platform's own certificates, for its domain only: whoever
// installs it does not trust it for anything else.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func (a authority) certPEM() []byte {
	if a.cert == nil {
		return nil
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// authority gives the one in the store, or makes one where there is none, it
// ends soon, or it is for another domain (its constraint cannot be changed, so
// devices have to trust the new one).
func (m *maker) authority() (authority, error) {
	if m.domain == "" {
		return authority{}, errors.New("the platform has no domain to make certificates for")
	}
	if old, ok := m.store.Get(authorityName); ok {
		a, err := parseAuthority(old)
		if err != nil {
			return authority{}, err
		}
		if a.covers(m.domain) && m.now.Add(renewBefore).Before(a.cert.NotAfter) {
			return a, nil
		}
	}
	a, err := newAuthority(m.domain, m.now)
	if err != nil {
		return authority{}, err
	}
	key, err := keyPEM(a.key)
	if err != nil {
		return authority{}, err
	}
	return a, m.set(authorityName, stacks.NewSecret(string(a.certPEM())+key))
}

func (a authority) covers(domain string) bool {
	return len(a.cert.PermittedDNSDomains) == 1 && a.cert.PermittedDNSDomains[0] == domain
}

func newAuthority(domain string, now time.Time) (authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return authority{}, err
	}
	_, v4, _ := net.ParseCIDR("0.0.0.0/0") // constants: cannot fail
	_, v6, _ := net.ParseCIDR("::/0")
	template := &x509.Certificate{
		Subject:                     pkix.Name{Organization: []string{organization}, CommonName: "croft authority of " + domain},
		NotBefore:                   now.Add(-backdate),
		NotAfter:                    now.Add(authorityLife),
		IsCA:                        true,
		BasicConstraintsValid:       true,
		MaxPathLenZero:              true, // it signs leaves, no further authority
		KeyUsage:                    x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		PermittedDNSDomainsCritical: true,
		PermittedDNSDomains:         []string{domain}, // and all below it
		// A constraint on names alone would leave addresses free.
		ExcludedIPRanges: []*net.IPNet{v4, v6},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return authority{}, err
	}
	cert, err := x509.ParseCertificate(der)
	return authority{cert: cert, key: key}, err
}

// issue makes a certificate with its key for the domain and everything one
// label below it. Both are in one PEM file, which serves as certificate file and
// as key file alike.
func (a authority) issue(domain string, now time.Time) (stacks.Secret, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return stacks.Secret{}, err
	}
	end := now.Add(leafLife)
	if end.After(a.cert.NotAfter) { // a leaf that outlives its authority is trusted by nobody
		end = a.cert.NotAfter
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{Organization: []string{organization}, CommonName: commonName(domain)},
		DNSNames:    []string{domain, "*." + domain},
		NotBefore:   now.Add(-backdate),
		NotAfter:    end,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return stacks.Secret{}, err
	}
	private, err := keyPEM(key)
	if err != nil {
		return stacks.Secret{}, err
	}
	return stacks.NewSecret(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})) + private), nil
}

// commonName is for people; X.509 allows it 64 characters, and the names that
// count are elsewhere.
func commonName(domain string) string { return domain[:min(len(domain), 64)] }

// certificateDue tells whether a certificate has to be made anew: it ends soon,
// is for another domain, or is by another authority of croft. One that somebody
// else issued was brought by the admin and is left alone.
func (m *maker) certificateDue(value stacks.Secret) (bool, error) {
	block, _ := pem.Decode([]byte(stacks.Reveal(value)))
	if block == nil || block.Type != "CERTIFICATE" {
		return false, nil
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil || len(cert.Issuer.Organization) != 1 || cert.Issuer.Organization[0] != organization {
		return false, nil
	}
	a, err := m.authority()
	if err != nil {
		return false, err
	}
	return cert.CheckSignatureFrom(a.cert) != nil ||
		cert.VerifyHostname(m.domain) != nil ||
		!m.now.Add(renewBefore).Before(cert.NotAfter), nil
}

func parseAuthority(value stacks.Secret) (authority, error) {
	unreadable := failed(ErrDamaged, "secret "+authorityName, "is not a certificate and its key", "restore secrets.age from a backup")
	first, rest := pem.Decode([]byte(stacks.Reveal(value)))
	if first == nil {
		return authority{}, unreadable
	}
	second, _ := pem.Decode(rest)
	if second == nil {
		return authority{}, unreadable
	}
	cert, err := x509.ParseCertificate(first.Bytes)
	if err != nil {
		return authority{}, unreadable
	}
	parsed, err := x509.ParsePKCS8PrivateKey(second.Bytes)
	key, ok := parsed.(*ecdsa.PrivateKey)
	if err != nil || !ok {
		return authority{}, unreadable
	}
	return authority{cert: cert, key: key}, nil
}
