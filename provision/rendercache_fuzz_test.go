package provision

import (
	"bytes"
	"crypto/sha256"
	"reflect"
	"testing"

	"github.com/croft-sh/croft/stacks"
)

// FuzzKeptRender reads what may lie in the place of a kept render: once as it
// is, once with a sum that is right. Nothing else than what was encoded may be
// taken for it, and nothing may end the program.
func FuzzKeptRender(f *testing.F) {
	k := keptRender{Key: "key", Stacks: []string{"a"}, Secrets: []string{"a/s"}}
	good, err := encodeRender(k, stacks.Rendered{Platform: "home", Stacks: []stacks.RenderedStack{{
		Name: "a", Files: []stacks.RenderedFile{{Path: "compose.yaml", Content: []byte("services: {}\n"), Mode: 0o600}},
		Services: []stacks.RenderedService{{Name: "s", Replicas: 1, Grants: []stacks.Grant{{Secret: "a/s", UID: 70}}}},
	}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add([]byte(renderMagic))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, text []byte) {
		if _, _, err := decodeKept(text); err == nil && !summed(text) {
			t.Errorf("taken though its sum is wrong: %q", text)
		}
		sum := sha256.Sum256(text)
		again, rest, err := decodeKept(append(append([]byte(renderMagic), sum[:]...), text...))
		if err != nil {
			return
		}
		var r stacks.Rendered
		if rest.Decode(&r) != nil {
			return
		}
		encoded, err := encodeRender(again, r)
		if err != nil {
			t.Fatal(err)
		}
		twice, rest, err := decodeKept(encoded)
		var r2 stacks.Rendered
		if err != nil || rest.Decode(&r2) != nil || !reflect.DeepEqual(again, twice) || r.Hash() != r2.Hash() {
			t.Errorf("%+v comes back as %+v (%v)", r, r2, err)
		}
	})
}

// summed tells whether the sum is that of the rest.
func summed(text []byte) bool {
	body, ok := bytes.CutPrefix(text, []byte(renderMagic))
	if !ok || len(body) < sha256.Size {
		return false
	}
	sum := sha256.Sum256(body[sha256.Size:])
	return bytes.Equal(sum[:], body[:sha256.Size])
}
