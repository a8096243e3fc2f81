package secrets

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"

	"filippo.io/age"
	"golang.org/x/crypto/chacha20poly1305"
)

const fileKeySize = 32

// veiled holds something that must not be printed. Printers call no methods on
// unexported fields and follow pointers below them; of a function they print the
// address.
type veiled[T any] func() T

func veil[T any](v T) veiled[T] { return func() T { return v } }

// keys are what the file key gives: one for values, one for the MAC.
type keys struct {
	file, value, mac veiled[[]byte]
}

func newFileKey() (keys, error) {
	file := make([]byte, fileKeySize)
	rand.Read(file) // never fails: the runtime stops the program instead
	return deriveKeys(file)
}

func deriveKeys(file []byte) (keys, error) {
	value, err := hkdf.Expand(sha256.New, file, "croft secrets v1 value", chacha20poly1305.KeySize)
	if err != nil {
		return keys{}, err
	}
	mac, err := hkdf.Expand(sha256.New, file, "croft secrets v1 mac", sha256.Size)
	if err != nil {
		return keys{}, err
	}
	return keys{file: veil(file), value: veil(value), mac: veil(mac)}, nil
}

// wrapKey encrypts the file key to every recipient.
func wrapKey(file []byte, recipients []string) ([]byte, error) {
	var to []age.Recipient
	for _, r := range recipients {
		parsed, err := age.ParseX25519Recipient(r)
		if err != nil {
			return nil, fmt.Errorf("recipient %s: %w", r, err)
		}
		to = append(to, parsed)
	}
	var out bytes.Buffer
	w, err := age.Encrypt(&out, to...)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(file); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// unwrapKey opens the file key. ErrWrongKey means that the file is whole and
// belongs to somebody else.
func unwrapKey(wrapped []byte, id age.Identity) (keys, error) {
	r, err := age.Decrypt(bytes.NewReader(wrapped), id)
	var other *age.NoIdentityMatchError
	if errors.As(err, &other) {
		return keys{}, ErrWrongKey
	}
	if err != nil {
		return keys{}, errors.New("the file key is cut off or changed")
	}
	file, err := io.ReadAll(io.LimitReader(r, fileKeySize+1))
	if err != nil || len(file) != fileKeySize {
		return keys{}, errors.New("the file key is cut off or changed")
	}
	return deriveKeys(file)
}

// seal binds a value to its name. 24 random bytes of nonce never meet again.
func (k keys) seal(name, value string) ([]byte, error) {
	a, err := chacha20poly1305.NewX(k.value())
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, a.NonceSize(), a.NonceSize()+len(value)+a.Overhead())
	rand.Read(nonce)
	return a.Seal(nonce, nonce, []byte(value), associated(name)), nil
}

func (k keys) open(name string, sealed []byte) (string, error) {
	a, err := chacha20poly1305.NewX(k.value())
	if err != nil {
		return "", err
	}
	if len(sealed) < a.NonceSize() {
		return "", errors.New("cut off")
	}
	value, err := a.Open(nil, sealed[:a.NonceSize()], sealed[a.NonceSize():], associated(name))
	return string(value), err
}

func associated(name string) []byte { return []byte("croft secret v1\x00" + name) }

// sum is the MAC over who can open the file and what is in it. Names hold no
// line break and base64 no space, so one text has one meaning.
func (k keys) sum(d document) []byte {
	m := hmac.New(sha256.New, k.mac())
	fmt.Fprintln(m, "croft secrets v1")
	recipients := slices.Sorted(slices.Values(d.recipients))
	for _, r := range recipients {
		fmt.Fprintln(m, "recipient", r)
	}
	for _, name := range sortedKeys(d.sealed) {
		fmt.Fprintln(m, "value", name, base64.StdEncoding.EncodeToString(d.sealed[name]))
	}
	return m.Sum(nil)
}
