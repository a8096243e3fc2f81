package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"strconv"
	"strings"
	"text/template"
)

// execute is 4.39's filter "template", with the functions our configurations
// may use; any other is an error when the file is read.
func execute(name string, text []byte, environ []string) ([]byte, error) {
	t, err := template.New(name).Funcs(functions(environ)).Parse(string(text))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := t.Execute(&out, nil); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func functions(environ []string) template.FuncMap {
	return template.FuncMap{
		"env": func(name string) (string, error) { return variableOf(environ, name) },
		"mustEnv": func(name string) (string, error) {
			value, err := variableOf(environ, name)
			if err == nil && value == "" {
				err = fmt.Errorf("the variable %s is not set", name)
			}
			return value, err
		},
		"secret":      secret,
		"fileContent": func(path string) (string, error) { b, err := os.ReadFile(path); return string(b), err },
		"indent":      indent,
		"nindent":     func(n int, s string) string { return "\n" + indent(n, s) },
		"mindent":     multilineIndent,
		"quote":       strconv.Quote,
		"squote":      func(s string) string { return "'" + s + "'" },
		"mquote":      func(s string) string { return unlessMultiline(s, '"') },
		"msquote":     func(s string) string { return unlessMultiline(s, '\'') },
		"trim":        strings.TrimSpace,
		"upper":       strings.ToUpper,
		"lower":       strings.ToLower,
		"b64enc":      func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
		"default": func(standard, value string) string {
			if value == "" {
				return standard
			}
			return value
		},
	}
}

// variableOf hides secrets from templates, as Authelia does.
func variableOf(environ []string, name string) (string, error) {
	upper := strings.ToUpper(name)
	if strings.HasPrefix(upper, "AUTHELIA_") || strings.HasPrefix(upper, "X_AUTHELIA_") {
		for _, suffix := range []string{"KEY", "SECRET", "PASSWORD", "TOKEN", "CERTIFICATE_CHAIN"} {
			if strings.HasSuffix(upper, suffix) {
				return "", fmt.Errorf("the variable %s holds a secret", name)
			}
		}
	}
	return lookup(environ, name), nil
}

func secret(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}

func indent(n int, s string) string {
	pad := strings.Repeat(" ", n)
	return pad + strings.ReplaceAll(s, "\n", "\n"+pad)
}

// multilineIndent makes a block of a value with several lines, and leaves a
// single line alone.
func multilineIndent(n int, block, s string) string {
	if !strings.Contains(s, "\n") {
		return s
	}
	return block + "\n" + indent(n, s)
}

func unlessMultiline(s string, quote rune) string {
	if strings.Contains(s, "\n") {
		return s
	}
	return string(quote) + s + string(quote)
}
