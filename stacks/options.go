package stacks

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// CheckAnswer tells whether a value is a possible answer to a question with
// this check (Option.Check). An empty check takes any one line of text. The
// expression of match: must fit the whole answer.
func CheckAnswer(check, value string) error {
	if strings.ContainsFunc(value, unicode.IsControl) {
		return errors.New("must be one line without control characters")
	}
	if check == "" {
		return nil
	}
	kind, argument, _ := strings.Cut(check, ":")
	if kind == "one-of" {
		choices := strings.Split(argument, "|")
		if !slices.Contains(choices, value) {
			return fmt.Errorf("%q is none of %s", value, strings.Join(choices, ", "))
		}
		return nil
	}
	if kind == "match" {
		re, err := regexp.Compile(`\A(?:` + argument + `)\z`)
		if err != nil {
			return fmt.Errorf("the check %q is no regular expression: %w", check, err)
		}
		if !re.MatchString(value) {
			return fmt.Errorf("%q does not match %s", value, argument)
		}
		return nil
	}
	return checkKind(check, value)
}

func checkKind(kind, value string) error {
	ok, want := false, ""
	switch kind {
	case "port":
		n, err := strconv.ParseUint(value, 10, 16)
		ok, want = err == nil && n > 0 && strconv.FormatUint(n, 10) == value, "a port from 1 to 65535"
	case "host":
		_, err := netip.ParseAddr(value)
		ok, want = err == nil || isLabel(value) || isDomain(value), "a host name or an IP address"
	case "duration":
		d, err := time.ParseDuration(value)
		ok, want = err == nil && d >= 0, "a duration, as in 90s, 10m or 1h30m"
	case "size":
		ok, want = matches(`^[0-9]+(\.[0-9]+)?([kmgtKMGT]([iI]?[bB])?|[bB])?$`, value), "a size, as in 512m or 2g"
	case "number":
		ok, want = matches(`^-?[0-9]+(\.[0-9]+)?$`, value), "a number"
	case "boolean":
		ok, want = value == "true" || value == "false", "true or false"
	case "email":
		ok, want = checkEmail(value) == nil, "an e-mail address"
	case "url":
		u, err := url.Parse(value)
		ok, want = err == nil && u.Host != "" && matches(`^[a-z][a-z0-9+.-]*$`, u.Scheme) && u.User == nil, "a URL, as in https://example.com, without a password"
	default:
		return fmt.Errorf("the check %q is not known", kind)
	}
	if !ok {
		return fmt.Errorf("%q is not %s", value, want)
	}
	return nil
}

// knownChecks are the words that Option.Check begins with.
func knownChecks() []string {
	return []string{"port", "host", "duration", "size", "number", "boolean", "email", "url", "one-of", "match"}
}

// checkQuestion tells whether Option.Check is one that CheckAnswer knows.
func checkQuestion(check string) error {
	if check == "" {
		return nil
	}
	kind, argument, has := strings.Cut(check, ":")
	if !slices.Contains(knownChecks(), kind) {
		return fmt.Errorf("the check %q is not known", kind)
	}
	if takes := kind == "one-of" || kind == "match"; takes && argument == "" {
		return fmt.Errorf("the check %q needs something behind the colon", kind)
	} else if !takes && has {
		return fmt.Errorf("the check %q takes nothing behind a colon", kind)
	}
	if kind == "match" {
		if _, err := regexp.Compile(argument); err != nil {
			return fmt.Errorf("the check %q is no regular expression: %w", check, err)
		}
	}
	return nil
}
