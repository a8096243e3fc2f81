package users

import (
	"regexp"
	"strings"
	"time"

	"github.com/mdp/qrterminal/v3"
	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"
)

// Authelia 4.37 to 4.39 put the address in single quotes; within it net/url has
// escaped those.
var totpURI = regexp.MustCompile(`'(otpauth://totp/[^'\s]+)'`)

// ParseTOTP finds the address in what `authelia storage user totp generate NAME`
// printed. The address holds the secret: it is shown to the person, never logged.
func ParseTOTP(output string) (uri string, err error) {
	m := totpURI.FindAllStringSubmatch(output, -1)
	switch {
	case len(m) == 0 && strings.Contains(output, "already has a TOTP configuration"):
		return "", failed(ErrHasTOTP, "second factor", "this user has one already", "--force replaces it; the old app entry then stops working")
	case len(m) != 1:
		// The output is not repeated: it may hold a secret.
		return "", failed(nil, "second factor", "Authelia did not print one address", "croft logs authelia says why")
	}
	if _, ok := totpKey(m[0][1]); !ok {
		return "", failed(nil, "second factor", "Authelia printed an address that is not understood", "")
	}
	return m[0][1], nil
}

func totpKey(uri string) (*otp.Key, bool) {
	key, err := otp.NewKeyFromURL(uri)
	if err != nil || key.Type() != "totp" || key.Secret() == "" || key.Period() == 0 || key.Period() > 3600 {
		return nil, false
	}
	if d := key.Digits(); d != otp.DigitsSix && d != otp.DigitsEight {
		return nil, false
	}
	return key, true
}

// VerifyTOTP tells whether the code is the address' at that time, or within one
// period before or after it, as Authelia accepts.
func VerifyTOTP(uri, code string, at time.Time) bool {
	key, ok := totpKey(uri)
	if !ok {
		return false
	}
	valid, err := totp.ValidateCustom(strings.ReplaceAll(code, " ", ""), key.Secret(), at.UTC(), totp.ValidateOpts{
		Period: uint(key.Period()), Skew: 1, Digits: key.Digits(), Algorithm: key.Algorithm(),
	})
	return err == nil && valid
}

// maxQR bounds what is drawn: at level L this is version 15, 77 modules, which
// with the border fits 80 columns.
const maxQR = 500

// QR draws an address with half blocks, light on dark. It gives "" for one that
// would not fit a terminal; the address itself can then be typed.
func QR(uri string) string {
	if uri == "" || len(uri) > maxQR {
		return ""
	}
	var b strings.Builder
	qrterminal.GenerateWithConfig(uri, qrterminal.Config{
		Level: qrterminal.L, Writer: &b, HalfBlocks: true, QuietZone: 1,
		BlackChar: qrterminal.BLACK_BLACK, WhiteChar: qrterminal.WHITE_WHITE,
		BlackWhiteChar: qrterminal.BLACK_WHITE, WhiteBlackChar: qrterminal.WHITE_BLACK,
	})
	return b.String()
}
