package enginetest

import (
	"os"
	"strings"
	"testing"

	"github.com/croft-sh/croft/provision"
)

// adoptedProject is one whose containers carry no label of croft and whose name
// does not begin like the platform's.
func adoptedProject(t *testing.T, s *scene) {
	project := "blog" + strings.ReplaceAll(s.Platform, "-", "")
	file := s.write(t, "1")
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(raw), "croft.platform: "+s.Platform+", croft.stack: shop", "a: b")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(text, s.Platform+"-", project+"-")), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Engine.Up(s.ctx, provision.UpRequest{File: file, Project: project, Services: []string{"side"}}, nil); err != nil {
		t.Fatal(err)
	}
	if got := s.observe(t); len(got.Containers)+len(got.Networks)+len(got.Volumes) != 0 {
		t.Errorf("nobody adopted it, and it is shown: %+v", got)
	}
	s.Engine.Adopt(map[string]string{project: "blog"})
	defer s.Engine.Adopt(nil)
	got := s.observe(t)
	var ids []string
	for _, c := range got.Containers {
		ids = append(ids, c.ID)
	}
	defer func() {
		if err := s.Engine.Remove(s.ctx, ids); err != nil {
			t.Error(err)
		}
		for _, n := range got.Networks {
			if err := s.Engine.RemoveNetwork(s.ctx, n.Name); err != nil {
				t.Error(err)
			}
		}
	}()
	if len(got.Containers) != 1 || got.Containers[0].Stack != "blog" || got.Containers[0].Owned(s.Platform) {
		t.Errorf("containers: %+v", got.Containers)
	}
	if len(got.Networks) != 1 {
		t.Errorf("networks: %+v", got.Networks)
	}
}
