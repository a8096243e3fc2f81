package users

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/croft-sh/croft/stacks"
	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"
	"rsc.io/qr"
)

func decode64(t testing.TB, s string) []byte {
	t.Helper()
	raw, err := base64.RawStdEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

const uri = "otpauth://totp/home.localhost:ada?algorithm=SHA1&digits=6&issuer=home.localhost&period=30&secret=ALZ2HSDNMF4ZSQZVHQYOPWQLTQXHH3EJLSAE64BVLUKZ5MJ3QFAA"

func TestParseTOTP(t *testing.T) {
	for name, output := range map[string]string{
		// internal/commands/storage_run.go of Authelia 4.37.5 and of 4.39.
		"4.37": "Generated TOTP configuration for user 'ada' with URI '" + uri + "'\n",
		"4.39": "Successfully generated TOTP configuration for user 'ada' with URI '" + uri + "'\n",
		"png":  "Successfully generated TOTP configuration for user 'ada' with URI '" + uri + "' and saved it as a PNG image at the path '/tmp/x.png'\n",
		"logs": "time=\"2026-08-01\" level=warning msg=\"Configuration: it's deprecated\"\nSuccessfully generated TOTP configuration for user 'ada' with URI '" + uri + "'\n",
	} {
		if got, err := ParseTOTP(output); got != uri || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for name, output := range map[string]string{
		"nothing":   "",
		"two":       "'" + uri + "' '" + uri + "x'",
		"hotp":      "'otpauth://hotp/x?secret=ALZ2HSDNMF4ZSQZV'",
		"no secret": "'otpauth://totp/x?issuer=y'",
		"digits":    "'" + strings.Replace(uri, "digits=6", "digits=99", 1) + "'",
		"period":    "'" + strings.Replace(uri, "period=30", "period=0", 1) + "'",
		"no uri":    "'otpauth://totp/%zz?secret=ALZ2HSDNMF4ZSQZV'",
	} {
		if got, err := ParseTOTP(output); got != "" || err == nil || strings.Contains(err.Error(), "ALZ2") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if _, err := ParseTOTP("Error: ada already has a TOTP configuration, use --force to overwrite\n"); !errors.Is(err, ErrHasTOTP) {
		t.Errorf("has one: %v", err)
	}
}

func TestVerifyTOTP(t *testing.T) {
	at := time.Date(2026, 8, 1, 12, 0, 10, 0, time.UTC)
	for _, u := range []string{uri, strings.NewReplacer("SHA1", "SHA512", "digits=6", "digits=8", "period=30", "period=60").Replace(uri)} {
		key, ok := totpKey(u)
		if !ok {
			t.Fatal(u)
		}
		code, err := totp.GenerateCodeCustom(key.Secret(), at, totp.ValidateOpts{Period: uint(key.Period()), Digits: key.Digits(), Algorithm: key.Algorithm()})
		if err != nil {
			t.Fatal(err)
		}
		period := time.Duration(key.Period()) * time.Second
		for offset, want := range map[time.Duration]bool{0: true, period: true, -period: true, 3 * period: false, -3 * period: false} {
			if got := VerifyTOTP(u, code, at.Add(offset)); got != want {
				t.Errorf("at %v: %v", offset, got)
			}
		}
		if !VerifyTOTP(u, code[:3]+" "+code[3:], at) {
			t.Error("a code with a space, as apps show it")
		}
	}
	for _, code := range []string{"", "000", "abcdef", "1234567"} {
		if VerifyTOTP(uri, code, at) {
			t.Errorf("accepted %q", code)
		}
	}
	if VerifyTOTP("nonsense", "123456", at) {
		t.Error("accepted nonsense")
	}
	// RFC 6238, appendix B.
	if !VerifyTOTP("otpauth://totp/x?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&digits=8", "94287082", time.Unix(59, 0)) {
		t.Error("test vector")
	}
}

func TestQR(t *testing.T) {
	picture := QR(uri)
	rows := strings.Split(strings.TrimSuffix(picture, "\n"), "\n")
	for _, r := range rows {
		if w := utf8.RuneCountInString(r); w != utf8.RuneCountInString(rows[0]) || w > 80 {
			t.Fatalf("a row of %d columns", w)
		}
	}
	t.Logf("%d columns, %d rows", utf8.RuneCountInString(rows[0]), len(rows))
	if len(rows) > 30 {
		t.Errorf("%d rows", len(rows))
	}
	// Read the blocks back and compare with the code they stand for.
	code, err := qr.Encode(uri, qr.L)
	if err != nil {
		t.Fatal(err)
	}
	for y := range code.Size {
		row := []rune(rows[y/2+1]) // one row of border above
		for x := range code.Size {
			upper := y%2 == 0
			light := map[rune]bool{'█': true, '▀': upper, '▄': !upper}[row[x+1]]
			if light == code.Black(x, y) {
				t.Fatalf("module %d,%d is wrong:\n%s", x, y, picture)
			}
		}
	}
	long := QR("otpauth://totp/" + strings.Repeat("x", maxQR-15))
	if w := utf8.RuneCountInString(strings.SplitN(long, "\n", 2)[0]); w == 0 || w > 80 {
		t.Errorf("the longest has %d columns", w)
	}
	if QR("") != "" || QR(strings.Repeat("x", maxQR+1)) != "" {
		t.Error("drew what does not fit")
	}
}

func TestGeneratePassword(t *testing.T) {
	seen := map[string]bool{}
	counts := map[rune]int{}
	for range 2000 {
		p := stacks.Reveal(GeneratePassword())
		if parts := strings.Split(p, "-"); len(parts) != 5 || len(p) != 24 || seen[p] {
			t.Fatalf("%q", p)
		}
		seen[p] = true
		for _, r := range strings.ReplaceAll(p, "-", "") {
			counts[r]++
		}
	}
	if len(counts) != len(readable) {
		t.Errorf("%d different characters", len(counts))
	}
	for r, n := range counts {
		if n < 1000 || n > 1600 || !strings.ContainsRune(readable, r) { // 40000/31 = 1290
			t.Errorf("%q came %d times", r, n)
		}
	}
}

func FuzzParseTOTP(f *testing.F) {
	f.Add("Successfully generated TOTP configuration for user 'ada' with URI '" + uri + "'\n")
	f.Fuzz(func(t *testing.T, output string) {
		got, err := ParseTOTP(output)
		if (got == "") == (err == nil) {
			t.Fatalf("%q, %v", got, err)
		}
		if err == nil {
			QR(got)
			if _, err := otp.NewKeyFromURL(got); err != nil {
				t.Fatal(err)
			}
			VerifyTOTP(got, "123456", time.Unix(59, 0))
		}
	})
}
