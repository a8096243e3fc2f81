package secrets

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/croft-sh/croft/stacks"
)

// Secrets of croft's own. No stack can name one, and none is ever delivered.
const (
	reserved       = "croft/"
	authorityName  = "croft/ca"
	fingerprintKey = "croft/fingerprint-key"
)

// Event is one thing done to one secret, for the journal. There is no value in it.
type Event struct {
	Action string `json:"action"` // create, renew, set, delete, read, deliver
	Secret string `json:"secret"`
}

// Keeper keeps the platform's secrets. It opens the file at each call, so a long
// running agent sees what the command line changed. The caller holds the
// platform's lock around everything that writes.
type Keeper struct {
	File    string                 // secrets.age
	HostKey string                 // path of the host key
	Dir     string                 // <run>/secrets, on a tmpfs
	Domain  string                 // what certificates are for
	Write   Write                  // host.WriteFile
	Guard   func(dir string) error // asked before anything is delivered: host.OnTmpfs; may be nil
	Audit   func(Event)            // may be nil
	Now     func() time.Time       // nil: time.Now

	mu sync.Mutex
}

// Ensure makes the missing secrets of specs (keys "<stack>/<name>") and renews
// certificates that end soon. It saves before it returns: a value that was
// handed out exists on disk. Killed before that: nothing was made, and the next
// run makes other values, which nobody has seen.
func (k *Keeper) Ensure(specs map[string]stacks.SecretSpec) (created []string, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s, err := k.forWriting()
	if err != nil {
		return nil, err
	}
	m := maker{store: s, domain: k.Domain, now: k.now()}
	if err := m.ensureFingerprintKey(); err != nil {
		return nil, err
	}
	for _, name := range sortedKeys(specs) {
		made, err := m.ensure(name, specs[name])
		if err != nil {
			return nil, err
		}
		if made {
			created = append(created, name)
		}
	}
	if err := s.Save(); err != nil {
		return nil, err
	}
	k.audit(m.events...)
	return created, nil
}

// Renew makes a new value in place of the one that is there.
func (k *Keeper) Renew(name string, spec stacks.SecretSpec) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	s, err := k.forWriting()
	if err != nil {
		return err
	}
	m := maker{store: s, domain: k.Domain, now: k.now()}
	if err := m.ensureFingerprintKey(); err != nil {
		return err
	}
	if err := m.renew(name, spec); err != nil {
		return err
	}
	if err := s.Save(); err != nil {
		return err
	}
	k.audit(m.events...)
	return nil
}

// Fingerprints gives a keyed fingerprint of each secret among names that exists.
// It writes nothing: before the first apply there is nothing to fingerprint.
// Keyed, because a label on a container is read by many, and a plain hash of a
// password can be guessed at leisure.
func (k *Keeper) Fingerprints(names []string) (map[string]string, error) {
	out := map[string]string{}
	s, err := Open(k.File, k.HostKey, k.Write)
	if err != nil {
		return nil, err
	}
	key, ok := s.Get(fingerprintKey)
	if !ok {
		return out, nil
	}
	for _, name := range names {
		if value, ok := s.Get(name); ok {
			out[name] = hex.EncodeToString(keyed(key, "fingerprint", name, stacks.Reveal(value))[:8])
		}
	}
	return out, nil
}

// keyed is HMAC-SHA256 over parts that none can be moved into the next.
func keyed(key stacks.Secret, parts ...string) []byte {
	m := hmac.New(sha256.New, []byte(stacks.Reveal(key)))
	for _, p := range parts {
		fmt.Fprintf(m, "%d:%s", len(p), p)
	}
	return m.Sum(nil)
}

// Get gives one secret and writes down that it was read.
func (k *Keeper) Get(name string) (stacks.Secret, bool, error) {
	s, err := Open(k.File, k.HostKey, k.Write)
	if err != nil {
		return stacks.Secret{}, false, err
	}
	value, ok := s.Get(name)
	if ok {
		k.audit(Event{Action: "read", Secret: name})
	}
	return value, ok, nil
}

// Set puts a value that the admin brings.
func (k *Keeper) Set(name string, value stacks.Secret) error {
	if err := notReserved(name); err != nil {
		return err
	}
	return k.edit(func(s *Store) error { return s.Set(name, value) }, Event{Action: "set", Secret: name})
}

// Delete forgets a secret. One that is not there is no error.
func (k *Keeper) Delete(name string) error {
	if err := notReserved(name); err != nil {
		return err
	}
	return k.edit(func(s *Store) error { s.Delete(name); return nil }, Event{Action: "delete", Secret: name})
}

func (k *Keeper) edit(do func(*Store) error, done Event) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	s, err := k.forWriting()
	if err != nil {
		return err
	}
	if err := do(s); err != nil {
		return err
	}
	changed := s.dirty
	if err := s.Save(); err != nil {
		return err
	}
	if changed {
		k.audit(done)
	}
	return nil
}

// Names gives the names of the stacks' secrets, sorted, without croft's own.
func (k *Keeper) Names() ([]string, error) {
	s, err := Open(k.File, k.HostKey, k.Write)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, name := range s.Names() {
		if !strings.HasPrefix(name, reserved) {
			out = append(out, name)
		}
	}
	return out, nil
}

// CACert gives the certificate of the platform's authority, PEM, for people to
// trust. It is no secret.
func (k *Keeper) CACert() ([]byte, error) {
	s, err := Open(k.File, k.HostKey, k.Write)
	if err != nil {
		return nil, err
	}
	value, ok := s.Get(authorityName)
	if !ok {
		return nil, failed(ErrUnknown, k.File, "there is no authority yet", "it is made by the first croft apply of a stack that needs certificates")
	}
	a, err := parseAuthority(value)
	if err != nil {
		return nil, err
	}
	return a.certPEM(), nil
}

// forWriting opens the store; before there is one it makes the host key. If
// there is a store, a missing host key is an error: a new one could not open it.
func (k *Keeper) forWriting() (*Store, error) {
	s, err := Open(k.File, k.HostKey, k.Write)
	if err != nil || s.Exists() {
		return s, err
	}
	// Killed after this: a key without secrets, used by the next run.
	if _, err := EnsureHostKey(k.HostKey); err != nil {
		return nil, err
	}
	return s, nil
}

func (k *Keeper) now() time.Time {
	if k.Now != nil {
		return k.Now()
	}
	return time.Now()
}

func (k *Keeper) audit(events ...Event) {
	if k.Audit == nil {
		return
	}
	for _, e := range events {
		k.Audit(e)
	}
}

func notReserved(name string) error {
	if strings.HasPrefix(name, reserved) {
		return failed(nil, "secret "+name, "belongs to croft itself", "no stack may be named croft")
	}
	return nil
}
