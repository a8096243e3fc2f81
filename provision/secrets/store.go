package secrets

import (
	"bytes"
	"crypto/hmac"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"filippo.io/age"
	"github.com/croft-sh/croft/stacks"
)

// Write replaces a file durably, whole or not at all: host.WriteFile.
type Write func(path string, data []byte, mode fs.FileMode) error

// maxValue bounds a value: everything delivered must fit a small tmpfs.
const maxValue = 256 << 10

// Store is an opened secrets file. It is not safe for use by several
// goroutines. Nothing is written before Save.
type Store struct {
	path    string
	hostKey string
	write   Write
	doc     document
	keys    keys
	values  map[string]veiled[stacks.Secret]
	loaded  []byte // the file as it was read; nil if there was none
	dirty   bool
}

// Open reads and checks the whole file: every value is opened, so damage shows
// now and not when the value is needed. A missing file is an empty store.
func Open(path, hostKeyPath string, write Write) (*Store, error) {
	s := &Store{path: path, hostKey: hostKeyPath, write: write, doc: newDocument(), values: map[string]veiled[stacks.Secret]{}}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, failed(err, path, "cannot read the secrets: "+err.Error(), "run as root, or as the user who owns the state directory")
	}
	id, err := readHostKey(hostKeyPath)
	if err != nil {
		return nil, err
	}
	s.loaded = data
	if err := s.decrypt(data, id); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Store) decrypt(data []byte, id age.Identity) error {
	doc, err := parseDocument(s.path, data)
	if err != nil {
		return err
	}
	k, err := unwrapKey(doc.key, id)
	if errors.Is(err, ErrWrongKey) {
		return failed(ErrWrongKey, s.path, "is not encrypted to "+s.hostKey,
			"use the host key of the machine that wrote it (docs/runbooks/lost-host-key.md)")
	}
	if err != nil {
		return damaged(s.path, err.Error())
	}
	for _, name := range sortedKeys(doc.sealed) {
		value, err := k.open(name, doc.sealed[name])
		if err != nil {
			return damaged(s.path, fmt.Sprintf("secret %s was changed, cut off, renamed or swapped with another", name))
		}
		s.values[name] = veil(stacks.NewSecret(value))
	}
	if !hmac.Equal(doc.mac, k.sum(doc)) {
		return damaged(s.path, "a secret was removed or put back from an older file, or the recipients were changed")
	}
	s.doc, s.keys = doc, k
	return nil
}

// Exists tells whether there was a file when the store was opened.
func (s *Store) Exists() bool { return s.loaded != nil }

// Get gives a secret.
func (s *Store) Get(name string) (stacks.Secret, bool) {
	v, ok := s.values[name]
	if !ok {
		return stacks.Secret{}, false
	}
	return v(), true
}

// Names gives all names, sorted.
func (s *Store) Names() []string { return sortedKeys(s.values) }

// Set puts a value; the same value again changes nothing.
func (s *Store) Set(name string, value stacks.Secret) error {
	if !nameForm.MatchString(name) {
		return failed(nil, "secret "+name, "is no name of the form stack/name", "letters, digits, _ . and - are allowed")
	}
	raw := stacks.Reveal(value)
	if raw == "" || len(raw) > maxValue {
		return failed(nil, "secret "+name, fmt.Sprintf("a value has 1 to %d bytes, this one %d", maxValue, len(raw)), "")
	}
	if s.holds(name, raw) {
		return nil
	}
	delete(s.doc.sealed, name) // sealed anew by Save
	s.values[name] = veil(value)
	s.dirty = true
	return nil
}

// holds tells whether a secret has exactly this value.
func (s *Store) holds(name, value string) bool {
	old, ok := s.values[name]
	return ok && stacks.Reveal(old()) == value
}

// Delete forgets a secret; one that is not there is no error.
func (s *Store) Delete(name string) {
	if _, ok := s.values[name]; ok {
		delete(s.values, name)
		delete(s.doc.sealed, name)
		s.dirty = true
	}
}

// Recipients gives who can open the file.
func (s *Store) Recipients() []string { return slices.Clone(s.doc.recipients) }

// SetRecipients replaces who can open the file, the host key aside, which always
// can. A new file key is made and every value is sealed anew: who is left out
// cannot open what is written from now on.
func (s *Store) SetRecipients(others []string) error {
	id, err := readHostKey(s.hostKey)
	if err != nil {
		return err
	}
	all := []string{id.Recipient().String()}
	for _, r := range others {
		if _, err := age.ParseX25519Recipient(r); err != nil {
			return failed(nil, "recipient "+r, "is no age public key", "it begins with age1")
		}
		if !slices.Contains(all, r) {
			all = append(all, r)
		}
	}
	s.doc.recipients = all
	s.doc.sealed = map[string][]byte{}
	s.keys = keys{}
	s.dirty = true
	return nil
}

// Save writes what changed. What it wrote is opened again in memory first, so a
// file that could not be read is never put in place of one that can. Killed at
// any point: the old file or the new one is there.
func (s *Store) Save() error {
	if !s.dirty {
		return nil
	}
	id, err := readHostKey(s.hostKey)
	if err != nil {
		return err
	}
	if err := s.seal(id); err != nil {
		return failed(err, s.path, "cannot encrypt: "+err.Error(), "")
	}
	data := s.doc.text()
	if err := s.verify(data, id); err != nil {
		return err
	}
	if err := s.unchanged(); err != nil {
		return err
	}
	if err := s.write(s.path, data, 0o600); err != nil {
		return err
	}
	s.loaded, s.dirty = data, false
	return s.reload(data)
}

// seal brings the document up to date with the values.
func (s *Store) seal(id *age.X25519Identity) error {
	if len(s.doc.recipients) == 0 {
		s.doc.recipients = []string{id.Recipient().String()}
	}
	if s.keys.file == nil {
		k, err := newFileKey()
		if err != nil {
			return err
		}
		if s.doc.key, err = wrapKey(k.file(), s.doc.recipients); err != nil {
			return err
		}
		s.keys = k
	}
	for name, value := range s.values {
		if _, ok := s.doc.sealed[name]; ok {
			continue
		}
		sealed, err := s.keys.seal(name, stacks.Reveal(value()))
		if err != nil {
			return err
		}
		s.doc.sealed[name] = sealed
	}
	s.doc.mac = s.keys.sum(s.doc)
	return nil
}

func (s *Store) verify(data []byte, id age.Identity) error {
	again := &Store{path: s.path, hostKey: s.hostKey, values: map[string]veiled[stacks.Secret]{}}
	if err := again.decrypt(data, id); err != nil {
		return fmt.Errorf("the new file was not written, it could not be read back: %w", err)
	}
	if !slices.Equal(again.Names(), s.Names()) {
		return damaged(s.path, "the new file was not written, it would not hold every secret")
	}
	return nil
}

// unchanged is a net below the platform's lock, which the caller holds: a change
// by somebody who did not take it is not overwritten.
func (s *Store) unchanged() error {
	now, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) && s.loaded == nil {
		return nil
	}
	if err != nil || s.loaded == nil || !bytes.Equal(now, s.loaded) {
		return failed(ErrChanged, s.path, "was changed by another run meanwhile; nothing was written", "run the command again")
	}
	return nil
}

// reload takes over the lines as written, so that a second Save keeps them.
func (s *Store) reload(data []byte) error {
	doc, err := parseDocument(s.path, data)
	if err != nil {
		return err
	}
	s.doc = doc
	return nil
}

// Format says what this is. It is not what keeps values in: see veiled.
func (s *Store) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "secrets of %s: %d", s.path, len(s.values))
}
