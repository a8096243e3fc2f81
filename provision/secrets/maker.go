package secrets

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"time"

	"github.com/croft-sh/croft/stacks"
)

const (
	letters   = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	maxLength = 4096
	// 3072 bits: 128 bits of strength, and every client of OIDC takes it.
	rsaBits = 3072
)

// maker puts new values into a store.
type maker struct {
	store  *Store
	domain string
	now    time.Time
	events []Event
}

func (m *maker) set(name string, value stacks.Secret) error {
	action := "create"
	if _, ok := m.store.Get(name); ok {
		action = "renew"
	}
	if err := m.store.Set(name, value); err != nil {
		return err
	}
	m.events = append(m.events, Event{Action: action, Secret: name})
	return nil
}

func (m *maker) ensureFingerprintKey() error {
	if _, ok := m.store.Get(fingerprintKey); ok {
		return nil
	}
	return m.set(fingerprintKey, randomSecret(43)) // 256 bits
}

// ensure makes one secret if it is missing or, for certificates, due.
func (m *maker) ensure(name string, spec stacks.SecretSpec) (made bool, err error) {
	old, exists := m.store.Get(name)
	switch {
	case spec.Template != "":
		return false, nil // its parts are secrets of their own
	case exists && spec.Kind == "tls":
		due, err := m.certificateDue(old)
		if err != nil || !due {
			return false, err
		}
	case spec.Kind == "ca":
		a, err := m.authority()
		if err != nil || m.store.holds(name, string(a.certPEM())) {
			return false, err
		}
	case exists:
		return false, nil
	}
	return true, m.renew(name, spec)
}

// renew makes one secret, whatever is there.
func (m *maker) renew(name string, spec stacks.SecretSpec) error {
	if err := notReserved(name); err != nil {
		return err
	}
	value, err := m.make(spec)
	if err != nil {
		return failed(err, "secret "+name, "cannot be made: "+err.Error(), "")
	}
	return m.set(name, value)
}

func (m *maker) make(spec stacks.SecretSpec) (stacks.Secret, error) {
	switch {
	case spec.Kind == "rsa":
		return newRSA()
	case spec.Kind == "tls":
		a, err := m.authority()
		if err != nil {
			return stacks.Secret{}, err
		}
		return a.issue(m.domain, m.now)
	case spec.Kind == "ca":
		a, err := m.authority()
		return stacks.NewSecret(string(a.certPEM())), err
	case spec.Kind != "":
		return stacks.Secret{}, fmt.Errorf("kind %q is not known", spec.Kind)
	case spec.Generate < 1 || spec.Generate > maxLength:
		return stacks.Secret{}, fmt.Errorf("generate: %d is not a length from 1 to %d", spec.Generate, maxLength)
	}
	return randomSecret(spec.Generate), nil
}

// randomSecret takes each character with the same probability: bytes from 248 on
// are thrown away, because 256 is no multiple of 62.
func randomSecret(n int) stacks.Secret {
	const limit = 256 - 256%len(letters)
	out := make([]byte, 0, n)
	buf := make([]byte, n+n/8+8)
	for len(out) < n {
		rand.Read(buf) // never fails: the runtime stops the program instead
		for _, b := range buf {
			if int(b) < limit && len(out) < n {
				out = append(out, letters[int(b)%len(letters)])
			}
		}
	}
	return stacks.NewSecret(string(out))
}

func newRSA() (stacks.Secret, error) {
	key, err := rsa.GenerateKey(rand.Reader, rsaBits)
	if err != nil {
		return stacks.Secret{}, err
	}
	text, err := keyPEM(key)
	return stacks.NewSecret(text), err
}

// keyPEM gives a private key in the clear, on its way into a Secret.
func keyPEM(key any) (string, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", err
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), nil
}
