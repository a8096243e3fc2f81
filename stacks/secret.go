package stacks

import (
	"encoding/json"
	"fmt"
	"log/slog"
)

// redacted is what every way of printing a Secret gives.
const redacted = "[secret]"

// Secret is a value that must not be seen. It redacts itself under every
// formatting verb, in JSON, YAML, text and slog; Reveal alone gives it out.
//
// The value lies in a closure: fmt calls no methods on what is in an unexported
// field or wrapped by %w, and would print a plain field there.
type Secret struct{ value func() string }

// NewSecret wraps a value.
func NewSecret(value string) Secret { return Secret{value: func() string { return value }} }

// Reveal gives the value out. A test lists the places that may call it.
func Reveal(s Secret) string {
	if s.value == nil {
		return ""
	}
	return s.value()
}

// IsZero tells whether there is no value.
func (s Secret) IsZero() bool { return Reveal(s) == "" }

// Equal tells whether two secrets hold the same value.
func (s Secret) Equal(o Secret) bool { return Reveal(s) == Reveal(o) }

func (s Secret) String() string               { return redacted }
func (s Secret) GoString() string             { return redacted }
func (s Secret) Format(f fmt.State, _ rune)   { _, _ = f.Write([]byte(redacted)) }
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(redacted) }
func (s Secret) MarshalYAML() (any, error)    { return redacted, nil }
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
func (s Secret) LogValue() slog.Value         { return slog.StringValue(redacted) }
