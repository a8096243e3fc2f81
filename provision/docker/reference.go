package docker

import (
	"strings"

	"github.com/distribution/reference"
)

// Reference gives an image reference the one form under which State.Images
// keeps it: the familiar one, with a tag or a digest. An image ID stays as it
// is, and so does what is no reference. A tag beside a digest is dropped, as
// the engine does: the digest alone decides.
func Reference(s string) string {
	if isImageID(s) {
		return s
	}
	named, err := reference.ParseNormalizedNamed(s)
	if err != nil {
		return s
	}
	if d, ok := named.(reference.Digested); ok {
		return reference.FamiliarName(named) + "@" + d.Digest().String()
	}
	return reference.FamiliarString(reference.TagNameOnly(named))
}

// registryOf names the registry that a reference is pulled from.
func registryOf(ref string) string {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return ""
	}
	return reference.Domain(named)
}

// isImageID tells "sha256:<64 hex>" from a repository named sha256.
func isImageID(s string) bool {
	hex, ok := strings.CutPrefix(s, "sha256:")
	return ok && len(hex) == 64 && strings.Trim(hex, "0123456789abcdef") == ""
}
