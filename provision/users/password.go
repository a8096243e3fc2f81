package users

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/croft-sh/croft/stacks"
	"golang.org/x/crypto/argon2"
)

// readable leaves out what people mix up: 0 o, 1 l i. 20 characters of 31 are
// 99 bits.
const readable = "23456789abcdefghjkmnpqrstuvwxyz"

const (
	groupsOfPassword = 5
	groupSize        = 4
)

// GeneratePassword gives a password that can be read out and typed, as in
// "k7mn-4hxe-pq2w-9rtz-c3vd".
func GeneratePassword() stacks.Secret {
	var b strings.Builder
	for n := 0; n < groupsOfPassword*groupSize; {
		var buf [1]byte
		rand.Read(buf[:]) // never fails: the runtime stops the program instead
		// 248 is the largest multiple of 31 in a byte: above it some characters
		// would come more often.
		if buf[0] >= 248 {
			continue
		}
		if n > 0 && n%groupSize == 0 {
			b.WriteByte('-')
		}
		b.WriteByte(readable[int(buf[0])%len(readable)])
		n++
	}
	return stacks.NewSecret(b.String())
}

// hashPassword gives the PHC string with the parameters of Authelia's default.
func hashPassword(user string, password stacks.Secret) (string, error) {
	raw := stacks.Reveal(password)
	if len(raw) < minPassword {
		return "", failed(nil, "user "+user, fmt.Sprintf("the password is shorter than %d characters", minPassword), "croft makes one where none is given")
	}
	const memory, time, threads, size = 64 << 10, 3, 4, 32
	salt := make([]byte, 16)
	rand.Read(salt)
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, memory, time, threads,
		b64(salt), b64(argon2.IDKey([]byte(raw), salt, time, memory, threads, size))), nil
}
