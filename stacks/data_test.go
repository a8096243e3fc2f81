package stacks

import (
	"strings"
	"testing"
)

// shop is a stack that ran at version 1: app, and a store with the data.
func shop() (Rendered, State) {
	compose := []byte("services: {}\n")
	want := Rendered{Platform: "home", Stacks: []RenderedStack{{
		Name: "shop", Project: "home-shop", Files: []RenderedFile{{Path: ComposeFile, Content: compose}},
		Services: []RenderedService{
			{Name: "store", Image: "store:1", Spec: "s1", Replicas: 1, Volumes: []string{"shop/data"}, Networks: []string{"home-shop_b"}},
			{Name: "pool", Image: "pool:1", Spec: "p1", Replicas: 1, Networks: []string{"home-shop_a", "home-shop_b"}},
			{Name: "app", Image: "app:1", Spec: "a1", Replicas: 1, Networks: []string{"home-shop_a"}},
			{Name: "alone", Image: "alone:1", Spec: "l1", Replicas: 1},
		},
		Volumes: []RenderedVolume{{Key: "shop/data", Name: "home-shop_data", Path: "/srv/shop/data"}},
	}}}
	have := State{
		Volumes: []Volume{{Name: "home-shop_data", Options: map[string]string{"device": "/srv/shop/data"}}},
		Images:  map[string]string{}, Ran: map[string]string{}, Places: map[string]string{"anon": "/var/lib/anon/_data"},
		Live: map[string]map[string]string{"shop": {ComposeFile: ContentSum(compose)}},
	}
	for _, svc := range want.Stacks[0].Services {
		id := "i" + svc.Name
		have.Images[svc.Image], have.Ran["shop/"+svc.Name] = id, id
		have.Containers = append(have.Containers, Container{ID: "c" + svc.Name, Name: "home-shop-" + svc.Name + "-1", Project: "home-shop", Stack: "shop",
			Service: svc.Name, Image: svc.Image, ImageID: id, State: "running", Labels: map[string]string{LabelSpec: svc.Spec}, Networks: svc.Networks})

	}
	return want, have
}

// change gives a service another image.
func (r *Rendered) change(service string) {
	for i, svc := range r.Stacks[0].Services {
		if svc.Name == service {
			r.Stacks[0].Services[i].Image, r.Stacks[0].Services[i].Spec = service+":2", "new"
		}
	}
}

func TestWhatANewImageMeets(t *testing.T) {
	service := func(r *Rendered, name string) *RenderedService {
		for i := range r.Stacks[0].Services {
			if r.Stacks[0].Services[i].Name == name {
				return &r.Stacks[0].Services[i]
			}
		}
		return nil
	}
	for _, tt := range []struct {
		name   string
		change func(*Rendered, *State)
		o      DiffOptions
		data   string // lines of the plan that begin with data or blocked
		risk   Risk   // of app
	}{
		{"nothing without a change", func(*Rendered, *State) {}, DiffOptions{}, "", RiskNone},
		{"the store behind a pooler", func(r *Rendered, _ *State) { r.change("app") }, DiffOptions{},
			"data shop/data: copy (app gets another image)", RiskData},
		{"nothing where nothing is reached", func(r *Rendered, _ *State) { r.change("alone") }, DiffOptions{}, "", RiskNone},
		{"all from the host's network", func(r *Rendered, _ *State) { r.change("alone"); service(r, "alone").HostNet = true }, DiffOptions{},
			"data shop/data: copy (alone gets another image)", RiskNone},
		{"what is declared to be needed", func(r *Rendered, _ *State) { r.change("alone"); service(r, "alone").DependsOn = []string{"store"} }, DiffOptions{},
			"data shop/data: copy (alone gets another image)", RiskNone},
		{"no other's from a stateless service", func(r *Rendered, _ *State) { r.change("app"); service(r, "app").Stateless = true }, DiffOptions{}, "", RiskRestart},
		{"no disposable volume of another", func(r *Rendered, _ *State) { r.change("app"); r.Stacks[0].Disposable = []string{"data"} }, DiffOptions{},
			"data shop/data: leave (app gets another image)", RiskRestart},
		{"its own volume even if disposable", func(r *Rendered, _ *State) { r.change("store"); r.Stacks[0].Disposable = []string{"data"} }, DiffOptions{},
			"data shop/data: copy (store gets another image)", RiskNone},
		{"no data without another image", func(r *Rendered, _ *State) { service(r, "app").Spec = "new" }, DiffOptions{}, "", RiskRestart},
		{"a tag that moved", func(_ *Rendered, s *State) { s.Images["app:1"] = "i9" }, DiffOptions{},
			"data shop/data: copy (app gets another image)", RiskData},
		{"an image that is not here", func(r *Rendered, s *State) { service(r, "app").Spec = "new"; delete(s.Images, "app:1") }, DiffOptions{},
			"data shop/data: copy (app gets another image)", RiskData},
		{"nothing where it comes again by its digest", func(r *Rendered, s *State) {
			service(r, "app").Spec = "new"
			delete(s.Images, "app:1")
			s.Locked = map[string]ImageLock{"app:1": {ID: "iapp", Digest: "sha256:1"}}
		}, DiffOptions{}, "", RiskRestart},
		{"an image that was built again", func(r *Rendered, s *State) { service(r, "app").Build = true; s.Images["app:1"] = "i9" }, DiffOptions{},
			"data shop/data: copy (app gets another image)", RiskData},
		{"a container that is gone", func(r *Rendered, s *State) { r.change("app"); s.Containers = s.Containers[:2] }, DiffOptions{},
			"data shop/data: copy (app gets another image)", RiskData},
		{"nothing where the gone one ran the same", func(_ *Rendered, s *State) { s.Containers = s.Containers[:2] }, DiffOptions{}, "", RiskNone},
		{"a stack that was stopped waits", func(r *Rendered, s *State) { r.change("app"); s.Stopped = []string{"shop"} }, DiffOptions{}, "", RiskNone},
		{"a directory outside", func(r *Rendered, _ *State) {
			r.change("alone")
			service(r, "alone").Mounts = []RenderedMount{{Key: "/srv/x", Path: "/srv/x"}}
		}, DiffOptions{}, "data /srv/x: copy (alone gets another image)", RiskNone},
		{"nothing that is no data", func(r *Rendered, s *State) {
			r.change("alone")
			service(r, "alone").Mounts, s.NoData = []RenderedMount{{Key: "/run/x", Path: "/run/x"}}, map[string]bool{"/run/x": true}
		}, DiffOptions{}, "", RiskNone},
		{"what lies elsewhere blocks", func(r *Rendered, _ *State) {
			r.change("alone")
			service(r, "alone").Mounts = []RenderedMount{{Key: "shop/nas", Volume: "home-shop_nas", Remote: "a file system of kind nfs"}}
		}, DiffOptions{}, "data shop/nas: copy (alone gets another image)\nblocked data shop/nas: a new image would meet it (alone gets another image), " +
			"and it is held by a file system of kind nfs, where croft cannot copy it aside", RiskNone},
		{"what lies elsewhere passes where a person says so", func(r *Rendered, _ *State) {
			r.change("alone")
			service(r, "alone").Mounts = []RenderedMount{{Key: "shop/nas", Volume: "home-shop_nas", Remote: "a file system of kind nfs"}}
		}, DiffOptions{WithoutCopy: []string{"shop/nas"}}, "data shop/nas: leave (alone gets another image)", RiskNone},
		{"a volume without a name", func(r *Rendered, s *State) {
			r.change("alone")
			s.Containers[3].Mounts = []Mount{{Volume: "anon", Path: "/var/lib/anon/_data", Target: "/cache"}}
		}, DiffOptions{}, "data shop/alone:/cache: copy (alone gets another image)", RiskNone},
		{"a database on a shared server", func(r *Rendered, _ *State) {
			r.change("alone")
			r.Stacks[0].Databases = []RenderedDatabase{{Name: "a", Engine: "postgres", Service: "alone", Server: "postgres", Hub: "postgres"},
				{Name: "v", Engine: "valkey", Service: "alone", Server: "valkey", Hub: "valkey"}, {Name: "x", Engine: "postgres", Service: "app", Server: "postgres", Hub: "postgres"}}
		}, DiffOptions{}, "data shop/postgres/a: copy (alone gets another image)\n" +
			"data shop/valkey/v: leave (alone gets another image; what is kept in valkey stays as it is: sessions, queues and caches)", RiskNone},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want, have := shop()
			tt.change(&want, &have)
			plan := Diff(want, have, tt.o)
			var lines []string
			for _, line := range strings.Split(plan.String(), "\n") {
				if strings.HasPrefix(line, "data ") || strings.HasPrefix(line, "blocked ") {
					lines = append(lines, line)
				}
			}
			if got := strings.Join(lines, "\n"); got != tt.data {
				t.Errorf("got:\n%s\nwant:\n%s", got, tt.data)
			}
			for _, c := range plan.Changes {
				if c.Service == "app" && c.Risk != tt.risk {
					t.Errorf("app has risk %s, want %s", c.Risk, tt.risk)
				}
			}
		})
	}
}

// TestWhoStopsForACopyIsInThePlan: with everybody who shares a space with it.
func TestWhoStopsForACopyIsInThePlan(t *testing.T) {
	want, have := shop()
	want.change("app")
	want.Stacks[0].Services[1].Follows = []string{"store"}
	got := Diff(want, have, DiffOptions{}).String()
	for _, line := range []string{"shop/store: restart, risk restart (it stops while shop/data is copied)",
		"shop/pool: restart, risk restart (it shares a space of store, which stops while data is copied)", "shop/app: recreate, risk data"} {
		if !strings.Contains(got, line) {
			t.Errorf("the plan lacks %q:\n%s", line, got)
		}
	}
	if strings.Contains(got, "shop/alone") {
		t.Errorf("who has no part in it is touched:\n%s", got)
	}
}

func TestANetworkOfOthersIsNamed(t *testing.T) {
	want, have := shop()
	want.change("app")
	want.Stacks[0].Services[2].Networks = append(want.Stacks[0].Services[2].Networks, "theirs")
	if got := strings.Join(Diff(want, have, DiffOptions{}).NotChecked, "; "); !strings.Contains(got, "shop/app reaches over network theirs") {
		t.Errorf("not checked: %s", got)
	}
}
