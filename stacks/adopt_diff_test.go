package stacks

import (
	"strings"
	"testing"
)

// adoptedWorld is a plain adopted project that runs exactly what is written; side
// shares the network space of web.
func adoptedWorld() (Rendered, State) {
	compose := []byte("services:\n  web:\n    image: web:1\n    environment: {A: one}\n  side:\n    image: side:1\n")
	web, side := ComposeText(`{"image":"web:1"}`), ComposeText(`{"image":"side:1","network_mode":"container:`+ContainerPlace("web")+`"}`)
	sideNow := `{"image":"side:1","network_mode":"container:c1"}`
	want := Rendered{Platform: "home", Stacks: []RenderedStack{{
		Name: "blog", Project: "oldblog", Adopted: true, Plain: true,
		Files: []RenderedFile{{Path: ComposeFile, Content: compose}},
		Services: []RenderedService{
			{Name: "web", Image: "web:1", Compose: web, Replicas: 1, Volumes: []string{"blog/rows"}, Networks: []string{"oldblog_default"}},
			{Name: "side", Image: "side:1", Compose: side, Replicas: 1, Follows: []string{"web"}},
		},
		Volumes: []RenderedVolume{{Key: "blog/rows", Name: "oldblog_rows", Kept: true}},
		Hashes:  []ComposeNetwork{{Name: "oldblog_default", Hash: "n1"}},
	}}}
	have := State{
		Containers: []Container{
			{ID: "c1", Name: "oldblog-web-1", Project: "oldblog", Stack: "blog", Service: "web", Image: "web:1", ImageID: "i1", State: "running",
				Labels: map[string]string{LabelComposeHash: ContentSum([]byte(web)), LabelComposeVersion: "2.24.5"}, Networks: []string{"oldblog_default"}},
			{ID: "c2", Name: "oldblog-side-1", Project: "oldblog", Stack: "blog", Service: "side", Image: "side:1", ImageID: "i2", State: "running",
				Labels: map[string]string{LabelComposeHash: ContentSum([]byte(sideNow))}},
		},
		Networks:    []Network{{Name: "oldblog_default", Labels: map[string]string{LabelComposeHash: "n1"}}},
		Volumes:     []Volume{{Name: "oldblog_rows", Driver: "local", Mountpoint: "/var/lib/docker/volumes/oldblog_rows/_data"}},
		Images:      map[string]string{"web:1": "i1", "side:1": "i2"},
		Live:        map[string]map[string]string{"blog": {ComposeFile: ContentSum(compose)}},
		LiveCompose: map[string][]byte{"blog": compose},
	}
	return want, have
}

func TestDiffOfAdoptedStacks(t *testing.T) {
	edited := func(r *Rendered, text string) {
		r.Stacks[0].Services[0].Compose = `{"image":"web:1","x":1}`
		r.Stacks[0].Files[0].Content = []byte(text)
	}
	const copied = "data blog/rows: copy (web gets another image)\n"
	const follows = "blog/side: recreate, risk restart (it shares a space of web, which is replaced)\n"
	tests := []struct {
		name   string
		change func(*Rendered, *State)
		want   string
	}{
		{"as it runs", func(*Rendered, *State) {}, ""},
		{"made again by docker compose", func(_ *Rendered, s *State) { s.Made = map[string][]string{"blog/web": {"c0"}} }, ""},
		{"an edit, by its words", func(r *Rendered, _ *State) {
			edited(r, "services:\n  web:\n    image: web:1\n    environment: {A: two}\n  side:\n    image: side:1\n")
		}, "blog/web: recreate, risk restart (environment changed: A)\n" + follows},
		{"made from something else", func(_ *Rendered, s *State) { s.Containers[0].Labels[LabelComposeHash] = "other" },
			"blog/web: recreate, risk restart (its container was made from another definition, by docker compose 2.24.5)\n" + follows},
		{"decorated before", func(_ *Rendered, s *State) {
			s.Containers[0].Labels = map[string]string{LabelComposeHash: "other", LabelSpec: "w1"}
		}, "blog/web: recreate, risk restart (croft's decoration is taken off)\n" + follows},
		{"the namespace it shares is another's", func(_ *Rendered, s *State) { s.Containers[0].ID = "c9" },
			"blog/side: recreate, risk restart (its container was made from another definition)\n"},
		{"a new image here", func(_ *Rendered, s *State) { s.Images["side:1"] = "i9" },
			"data blog/rows: copy (side gets another image)\nblog/web: restart, risk restart (it stops while blog/rows is copied)\n" +
				"blog/side: recreate, risk data (image side:1 is another one now (i2 -> i9))\n"},
		{"a name of docker-compose of old", func(_ *Rendered, s *State) { s.Containers[0].Name = "oldblog_web_1" }, ""},
		{"renamed", func(_ *Rendered, s *State) { s.Containers[0].Name = "other" },
			"blog/web: recreate, risk restart (its container was renamed to other)\n" + follows},
		{"off its network", func(_ *Rendered, s *State) { s.Containers[0].Networks = nil },
			"blog/web: recreate, risk restart (it is not on network oldblog_default)\n" + follows},
		{"its network is written otherwise", func(r *Rendered, _ *State) { r.Stacks[0].Hashes[0].Hash = "n2" },
			"blog/web: recreate, risk restart (network oldblog_default is defined otherwise now)\n" + follows},
		{"a network of an older engine has no hash", func(r *Rendered, s *State) { s.Networks[0].Labels = nil }, ""},
		{"stopped by hand", func(_ *Rendered, s *State) { s.Containers[1].State = "exited" }, "blog/side: start, risk none (it is exited)\n"},
		{"its work is done", func(_ *Rendered, s *State) {
			s.Containers[1].State, s.Ended = "exited", map[string]bool{"blog/side": true}
		}, ""},
		{"gone", func(_ *Rendered, s *State) { s.Containers = s.Containers[:1] }, "blog/side: create, risk none (its container is gone)\n"},
		{"a service less", func(r *Rendered, _ *State) { r.Stacks[0].Services = r.Stacks[0].Services[:1] }, ""},
		{"data that can be copied", func(_ *Rendered, s *State) { s.Images["web:1"] = "i9" },
			copied + "blog/web: recreate, risk data (image web:1 is another one now (i1 -> i9))\n" + follows},
		{"data that only a driver knows", func(_ *Rendered, s *State) { s.Images["web:1"], s.Volumes[0].Driver = "i9", "nfs" },
			copied + "blog/web: recreate, risk data (image web:1 is another one now (i1 -> i9))\n" + follows +
				"blocked data blog/rows: a new image would meet it (web gets another image), and it is held by the driver nfs, where croft cannot copy it aside\n"},
		{"data without a name", func(r *Rendered, s *State) {
			s.Images["web:1"], r.Stacks[0].Services[0].Volumes = "i9", []string{"blog/"}
			s.Containers[0].Mounts = []Mount{{Volume: "4f2a", Target: "/rows"}}
			s.Places = map[string]string{"4f2a": "/var/lib/docker/volumes/4f2a/_data"}
		}, "data blog/web:/rows: copy (web gets another image)\nblog/web: recreate, risk data (image web:1 is another one now (i1 -> i9))\n" + follows},
		{"to be decorated", func(r *Rendered, s *State) {
			r.Stacks[0].Plain = false
			r.Stacks[0].Services = r.Stacks[0].Services[:1]
		}, "blog/web: recreate, risk restart (croft decorates it from now on: labels, log bounds, and what x-croft says)\n"},
		{"held while its data could not be copied", func(r *Rendered, s *State) {
			s.Images["web:1"], s.Volumes[0].Driver, s.Stopped = "i9", "nfs", []string{"blog"}
		}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want, have := adoptedWorld()
			tt.change(&want, &have)
			plan := Diff(want, have, DiffOptions{})
			if got := plan.String(); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
			if told := strings.Join(plan.NotChecked, ";"); want.Stacks[0].Plain != strings.Contains(told, "files that blog mounts") {
				t.Errorf("not checked: %s", told)
			}
		})
	}
}

func TestDataPath(t *testing.T) {
	for want, v := range map[string]Volume{
		"/var/lib/x": {Driver: "local", Mountpoint: "/var/lib/x"},
		"/srv/x":     {Driver: "local", Mountpoint: "/var/lib/x", Options: map[string]string{"type": "none", "o": "rw,bind", "device": "/srv/x"}},
		"":           {Driver: "local", Mountpoint: "/var/lib/x", Options: map[string]string{"type": "nfs", "o": "addr=10.0.0.1", "device": ":/x"}},
	} {
		if got := v.DataPath(); got != want {
			t.Errorf("%+v: %q, want %q", v, got, want)
		}
	}
}
