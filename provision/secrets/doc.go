// Package secrets keeps the platform's secrets in one readable file, makes the
// missing ones, and delivers each as a file in memory to the one service that
// reads it.
//
// # The file
//
// secrets.age is a small line format, also valid YAML:
//
//	version: 1
//	recipients:
//	  - age1...            who can open it: this machine's host key, the recovery key
//	key: <base64>          32 random bytes, age-encrypted to the recipients
//	mac: <base64>          HMAC-SHA256 over recipients, names and values
//	values:
//	  gitea/db_password: <base64 of nonce and ciphertext>
//
// Each value is sealed with XChaCha20-Poly1305 under a key derived from the
// file key, with its name as associated data: a changed, cut or swapped value is
// refused by name. What that cannot see is a whole line that was removed, put
// back from an older file, or a recipient slipped in, who would be handed the
// next file key. A removed line is the worst: Ensure would make a new value, and
// a program's data could not be read any more. So there is a MAC over all of it.
// Comments and order are outside of the MAC: people may edit those. Not
// detected: an older file put back as a whole, and a file made anew by somebody
// who may write in the state directory; that is root, or the owner.
//
// # What it may not do
//
// It never puts a value into an error, a log, an argument or the environment,
// and writes values in the clear only below the directory in memory that it was
// given. It reads no environment and starts no program. Of croft it may import
// stacks alone; the durable write is handed in.
package secrets
