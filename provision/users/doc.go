// Package users keeps the people of the platform: Authelia's users file, and
// second factors as far as they are made outside of Authelia (reading what its
// command says, checking a code, drawing the QR code).
//
// Authelia writes the same file when somebody resets a password, so every
// change reads it anew, edits the text's tree (fields and comments it does not
// know stay), and writes only if nobody else wrote meanwhile.
//
// It may not talk to Authelia or start anything: commands are run by whoever
// has the engine. A password comes in as stacks.Secret and leaves as a hash; no
// password, hash or TOTP address is ever in an error or a log. Of croft it may
// import stacks alone; the durable write is handed in.
package users
