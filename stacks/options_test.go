package stacks

import "testing"

func TestCheckAnswer(t *testing.T) {
	tests := []struct{ check, value, want string }{
		{"", "anything goes", ""},
		{"", "two\nlines", "must be one line without control characters"},
		{"port", "2222", ""},
		{"port", "0", `"0" is not a port from 1 to 65535`},
		{"port", "65536", `"65536" is not a port from 1 to 65535`},
		{"port", "022", `"022" is not a port from 1 to 65535`},
		{"port", "+22", `"+22" is not a port from 1 to 65535`},
		{"host", "db-1.example.com", ""},
		{"host", "::1", ""},
		{"host", "a b", `"a b" is not a host name or an IP address`},
		{"duration", "1h30m", ""},
		{"duration", "soon", `"soon" is not a duration, as in 90s, 10m or 1h30m`},
		{"duration", "-1s", `"-1s" is not a duration, as in 90s, 10m or 1h30m`},
		{"size", "1.5GiB", ""},
		{"size", "big", `"big" is not a size, as in 512m or 2g`},
		{"number", "-1.5", ""},
		{"number", "1e3", `"1e3" is not a number`},
		{"boolean", "true", ""},
		{"boolean", "yes", `"yes" is not true or false`},
		{"email", "ada@example.com", ""},
		{"email", "Ada <ada@example.com>", `"Ada <ada@example.com>" is not an e-mail address`},
		{"url", "https://example.com/x", ""},
		{"url", "https://u:p@example.com", `"https://u:p@example.com" is not a URL, as in https://example.com, without a password`},
		{"url", "example.com", `"example.com" is not a URL, as in https://example.com, without a password`},
		{"one-of:a|b", "b", ""},
		{"one-of:a|b", "c", `"c" is none of a, b`},
		{"match:[a-z]+|x1", "abc", ""},
		{"match:[a-z]+|x1", "x1", ""},
		{"match:[a-z]+", "abc1", `"abc1" does not match [a-z]+`},
		{"colour", "red", `the check "colour" is not known`},
	}
	for _, test := range tests {
		got := ""
		if err := CheckAnswer(test.check, test.value); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("CheckAnswer(%q, %q) = %q, want %q", test.check, test.value, got, test.want)
		}
	}
}

func TestNearest(t *testing.T) {
	known := []string{"name", "domain", "timezone", "stacks", "admin"}
	for word, want := range map[string]string{
		"nmae": "name", "Domain": "domain", "time": "timezone", "stack": "stacks", "zzz": "", "": "", "adminstrator": "admin",
	} {
		if got := nearest(word, known); got != want {
			t.Errorf("nearest(%q) = %q, want %q", word, got, want)
		}
	}
}
