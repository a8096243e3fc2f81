package stacks

import (
	"strings"
	"testing"
)

func TestDigestOf(t *testing.T) {
	a, b, c := "sha256:"+strings.Repeat("a", 64), "sha256:"+strings.Repeat("b", 64), "sha256:"+strings.Repeat("c", 64)
	images := map[string]string{
		"gitea:1": "i1", "gitea@" + b: "i1", "gitea@" + a: "i1", "mirror.example/gitea@" + c: "i1",
		"built:1": "i2", "other@" + c: "i2", "gitea@" + c: "i3",
	}
	for _, tt := range []struct{ name, ref, id, locked, want string }{
		{"the first of several", "gitea:1", "i1", "", a},
		{"the locked one of several", "gitea:1", "i1", b, b},
		{"a lock that is not among them", "gitea:1", "i1", c, a},
		{"another registry's digest is not this one's", "mirror.example/gitea:1", "i1", "", c},
		{"the long form", "docker.io/library/gitea:1", "i1", "", a},
		{"one that came from no registry", "built:1", "i2", "", ""},
		{"a pinned reference is its own", "gitea@" + c, "i3", "", c},
	} {
		if got := DigestOf(images, tt.ref, tt.id, tt.locked); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestAtDigestTakesOnlyWhatIsADigest(t *testing.T) {
	d := "sha256:" + strings.Repeat("a", 64)
	for ref, want := range map[string]string{
		"gitea:1": "gitea@" + d, "127.0.0.1:5000/x/y": "127.0.0.1:5000/x/y@" + d, "gitea:1@" + d: "gitea@" + d, "Not A Ref": "",
	} {
		if got := AtDigest(ref, d); got != want {
			t.Errorf("%q gives %q, want %q", ref, got, want)
		}
	}
	if got := AtDigest("gitea:1", "sha256:short"); got != "" {
		t.Errorf("half a digest gives %q", got)
	}
	if got := ShortDigest(d); got != "sha256:aaaaaaaaaaaa" {
		t.Errorf("short is %q", got)
	}
}

func TestForFindsImagesAsTheyAreWritten(t *testing.T) {
	r := Rendered{Stacks: []RenderedStack{{Services: []RenderedService{{Image: "docker.io/library/web:1"}, {Image: "db:1"}}}}}
	got := State{Images: map[string]string{"web:1": "i1", "db:1": "i2", "else:1": "i3"},
		Locked: map[string]ImageLock{"db:1": {ID: "i2"}, "else:1": {ID: "i3"}}}.For(r)
	if len(got.Images) != 2 || got.Images["docker.io/library/web:1"] != "i1" || got.Images["db:1"] != "i2" {
		t.Errorf("images are %v", got.Images)
	}
	if len(got.Locked) != 1 || got.Locked["db:1"].ID != "i2" {
		t.Errorf("the lock is %v", got.Locked)
	}
}
