package enginetest

import "testing"

// haltAndBack: a halted container stays, and nothing but Up starts it.
func haltAndBack(t *testing.T, s *scene) {
	s.up(t, "1", "db")
	id := s.id(t, "db")
	if err := s.Engine.Unhalt(s.ctx, map[string]string{id: "on-failure:3"}); err != nil {
		t.Fatal(err)
	}
	policy := func() (string, int) {
		seen, err := s.Engine.Inspect(s.ctx, []string{id})
		if err != nil {
			t.Fatal(err)
		}
		return seen[0].RestartPolicy, seen[0].RestartMax
	}
	if name, most := policy(); name != "on-failure" || most != 3 {
		t.Errorf("the policy is %s:%d", name, most)
	}
	if err := s.Engine.Halt(s.ctx, []string{id, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}); err != nil {
		t.Fatal(err)
	}
	if name, _ := policy(); name != "no" || s.observe(t).Of(s.project, "db")[0].Running() {
		t.Errorf("halted, it runs or has policy %s", name)
	}
	s.up(t, "1", "db")
	if c := s.observe(t).Of(s.project, "db")[0]; c.ID != id || !c.Running() {
		t.Errorf("up made it %s", c.State)
	}
	if mounts := s.observe(t).Of(s.project, "db")[0].Mounts; len(mounts) != 1 || mounts[0].Volume != s.Platform+"-data" || mounts[0].Target != "/data" {
		t.Errorf("it can write %+v", mounts)
	}
}
