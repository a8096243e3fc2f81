package enginetest

import (
	"context"
	"strings"
	"testing"

	"github.com/croft-sh/croft/provision"
	"github.com/croft-sh/croft/stacks"
)

func pullPresent(t *testing.T, s *scene) {
	before := s.observe(t).Images[s.Image]
	if err := s.Engine.Pull(s.ctx, []provision.PullRequest{{Reference: s.Image}, {Reference: s.Image}}, nil); err != nil {
		t.Fatal(err)
	}
	if s.observe(t).Images[s.Image] != before {
		t.Error("the image was changed")
	}
}

func pullUnknown(t *testing.T, s *scene) {
	err := s.Engine.Pull(s.ctx, []provision.PullRequest{{Reference: s.Image}, {Reference: s.Unknown}}, nil)
	if err == nil || !strings.Contains(err.Error(), s.Unknown) {
		t.Errorf("got %v", err)
	}
}

func pullLocked(t *testing.T, s *scene) {
	id := s.observe(t).Images[s.Image]
	gone := s.Platform + "/gone:1"
	want := provision.PullRequest{Reference: gone, Locked: stacks.ImageLock{ID: id, Digest: "sha256:" + strings.Repeat("a", 64)}}
	t.Cleanup(func() { _ = s.Engine.Untag(context.WithoutCancel(s.ctx), gone) }) // not there where this failed
	if err := s.Engine.Pull(s.ctx, []provision.PullRequest{want}, nil); err != nil {
		t.Fatal(err)
	}
	if got := s.observe(t).Images[gone]; got != id {
		t.Errorf("%s is %q, not the locked %q", gone, got, id)
	}
}
