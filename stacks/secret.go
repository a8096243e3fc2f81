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
type Secret struct{ value string }

// NewSecret wraps a value.
func NewSecret(value string) Secret { return Secret{value: value} }

// Reveal gives the value out. A test lists the places that may call it.
func Reveal(s Secret) string { return s.value }

// IsZero tells whether there is no value.
func (s Secret) IsZero() bool { return s.value == "" }

func (s Secret) String() string               { return redacted }
func (s Secret) GoString() string             { return redacted }
func (s Secret) Format(f fmt.State, _ rune)   { _, _ = f.Write([]byte(redacted)) }
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(redacted) }
func (s Secret) MarshalYAML() (any, error)    { return redacted, nil }
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
func (s Secret) LogValue() slog.Value         { return slog.StringValue(redacted) }
