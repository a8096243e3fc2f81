package stacks

import (
	"strings"

	"github.com/distribution/reference"
)

// Reference gives an image reference the one form under which State.Images
// keeps it: the familiar one, with a tag or a digest. An image ID stays as it
// is, and so does what is no reference. A tag beside a digest is dropped, as
// the engine does: the digest alone decides.
func Reference(s string) string {
	if IsImageID(s) {
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

// IsImageID tells "sha256:<64 hex>" from a repository named sha256.
func IsImageID(s string) bool {
	hex, ok := strings.CutPrefix(s, "sha256:")
	return ok && len(hex) == 64 && strings.Trim(hex, "0123456789abcdef") == ""
}

// AtDigest gives the reference of one exact image in the repository of ref. It
// gives "" where ref is none, or the digest has no known form.
func AtDigest(ref, digest string) string {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil || !IsImageID(digest) {
		return ""
	}
	return reference.FamiliarName(named) + "@" + digest
}

// DigestOf gives the digest under which the repository of ref knows an image,
// as the references of images tell it; "" for one that came from no registry.
// Of several it gives the one that was locked, so that a lock does not wander.
func DigestOf(images map[string]string, ref, id, locked string) string {
	if _, pinned, ok := strings.Cut(ref, "@"); ok {
		return pinned
	}
	best := ""
	for key, have := range images {
		_, digest, ok := strings.Cut(key, "@")
		if !ok || have != id || AtDigest(ref, digest) != key {
			continue
		}
		if digest == locked {
			return digest
		}
		if best == "" || digest < best {
			best = digest
		}
	}
	return best
}

// ShortDigest shortens an ID or digest to what people compare.
func ShortDigest(s string) string {
	const prefix, length = "sha256:", 12
	if !IsImageID(s) {
		return s
	}
	return s[:len(prefix)+length]
}
