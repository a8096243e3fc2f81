package secrets

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// scramVerifier is what PostgreSQL stores for a role (RFC 5803), so that the
// password itself never goes into SQL.
func scramVerifier(password string, salt []byte) (string, error) {
	for i := range len(password) {
		// Other text is normalised before it is hashed (SASLprep), which is not
		// worth a library: generated passwords are letters and digits.
		if password[i] < 0x20 || password[i] > 0x7e {
			return "", errors.New("a database password may have printable ASCII only")
		}
	}
	const iterations = 4096 // PostgreSQL's default
	salted, err := pbkdf2.Key(sha256.New, password, salt, iterations, sha256.Size)
	if err != nil {
		return "", err
	}
	mac := func(text string) []byte {
		m := hmac.New(sha256.New, salted)
		m.Write([]byte(text))
		return m.Sum(nil)
	}
	stored := sha256.Sum256(mac("Client Key"))
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", iterations, b64(salt), b64(stored[:]), b64(mac("Server Key"))), nil
}

// argon2idHash has the parameters of Authelia's default.
func argon2idHash(password string, salt []byte) string {
	const memory, time, threads, size = 64 << 10, 3, 4, 32
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, memory, time, threads,
		b64(salt), b64(argon2.IDKey([]byte(password), salt, time, memory, threads, size)))
}

// pbkdf2Hash is for secrets of OIDC clients: Authelia checks one at every call
// for a token, where argon2 would take 64 MiB each time. Its base64 is the one
// of crypt: "." for "+", and no padding.
func pbkdf2Hash(password string, salt []byte) (string, error) {
	const iterations = 310000
	key, err := pbkdf2.Key(sha512.New, password, salt, iterations, sha512.Size)
	if err != nil {
		return "", err
	}
	b64 := func(raw []byte) string {
		return strings.ReplaceAll(base64.RawStdEncoding.EncodeToString(raw), "+", ".")
	}
	return fmt.Sprintf("$pbkdf2-sha512$%d$%s$%s", iterations, b64(salt), b64(key)), nil
}

func sha256Hex(value string) string {
	sum := sha256.Sum256([]byte(value))
	return hex.EncodeToString(sum[:])
}
