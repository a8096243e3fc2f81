package stacks

import (
	"strings"
	"testing"
)

// TestDrift changes the state behind croft's back and wants each change in words,
// what is done about it, and that it is told from what croft.yaml asks for.
func TestDrift(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Rendered, *State)
		plan   string // exact
		drift  string // exact, a line each
	}{
		{"nothing", func(*Rendered, *State) {}, "", ""},
		{"a wish is no drift", func(r *Rendered, _ *State) {
			r.Stacks[0].Services[1].Spec = "w2"
			r.Stacks[0].Files[0].Content = []byte("services: {web: {image: web:2}, db: {image: db:1}}")
		}, "app/web: recreate, risk downtime (environment changed: A, B; image web:1 -> web:2)\n", ""},
		{"container gone", func(_ *Rendered, s *State) { s.Containers = s.Containers[:1] },
			"app/web: create, risk none (its container is gone)\n", "app/web: its container is gone"},
		{"another in its place", func(_ *Rendered, s *State) { s.Containers[1].ID = "x" },
			"app/web: recreate, risk downtime (its container is not the one croft made)\n", "app/web: its container is not the one croft made"},
		{"one beside it", func(_ *Rendered, s *State) {
			extra := s.Containers[1]
			extra.ID, extra.Name = "c3", "home-app-web-2"
			s.Containers = append(s.Containers, extra)
		}, "app/web: remove, risk none (container home-app-web-2 beside it is not croft's)\n", "app/web: container home-app-web-2 beside it is not croft's"},
		{"on a foreign network", func(_ *Rendered, s *State) { s.Containers[1].Networks = append(s.Containers[1].Networks, "other") },
			"network other: disconnect (app/web is on it and does not ask for it)\n", "network other: app/web is on it and does not ask for it"},
		{"on a network whose stack is gone", func(_ *Rendered, s *State) {
			s.Networks = append(s.Networks, Network{Name: "home-old-front", Labels: map[string]string{LabelPlatform: "home", LabelNetwork: "old-front"}})
			s.Containers[0].Networks = append(s.Containers[0].Networks, "home-old-front")
		}, "", ""},
		{"network made again by hand", func(_ *Rendered, s *State) { s.Networks[0].ID, s.Networks[0].Subnet = "n9", "10.9.0.0/24" },
			"network home-app-front: recreate (it was made again by hand; it exists with subnet 10.9.0.0/24, not 10.213.0.0/27)\n" +
				"app/web: recreate, risk downtime (network home-app-front is made anew)\n",
			"network home-app-front: it was made again by hand\nnetwork home-app-front: it exists with subnet 10.9.0.0/24, not 10.213.0.0/27"},
		{"network made again without labels, before croft knew it", func(_ *Rendered, s *State) { s.Networks[0].Labels, s.KnownNetworks = nil, nil },
			"network home-app-front: recreate (it was made again by hand)\napp/web: recreate, risk downtime (network home-app-front is made anew)\n",
			"network home-app-front: it was made again by hand"},
		{"network made again with somebody on it", func(_ *Rendered, s *State) {
			s.Networks[0].ID, s.Networks[0].Guests, s.Containers[1].NetworkIDs["home-app-front"] = "n9", []string{"evil"}, "n9"
		},
			"blocked network home-app-front: it was made again by hand, and evil is on it\n",
			"network home-app-front: container evil is on it and is not croft's\nnetwork home-app-front: it was made again by hand"},
		{"network open to the outside", func(r *Rendered, s *State) { r.Networks[0].Internal, s.Networks[0].ID = true, "n9" },
			"network home-app-front: recreate (it was made again by hand; it leads outside, and must be internal)\n" +
				"app/web: recreate, risk downtime (network home-app-front is made anew)\n",
			"network home-app-front: it was made again by hand\nnetwork home-app-front: it leads outside, and must be internal"},
		{"a stopped hub holds on to a network that is gone", func(_ *Rendered, s *State) {
			s.Containers[0].State, s.Containers[0].NetworkIDs = "exited", map[string]string{"home-app-front": "n0"}
		}, "app/db: recreate, risk downtime (it holds on to a network home-app-front that is gone)\n",
			"app/db: it holds on to a network home-app-front that is gone"},
		{"shares the network of a dead one", func(r *Rendered, s *State) {
			r.Stacks[0].Services[1].Follows, r.Stacks[0].Services[1].Networks = []string{"db"}, nil
			s.Containers[1].NetworkMode, s.Containers[1].Networks, s.Containers[1].NetworkIDs = "container:gone", nil, nil
		}, "app/web: recreate, risk downtime (it shares the network of a container that is gone)\n",
			"app/web: it shares the network of a container that is gone"},
		{"live file edited", func(_ *Rendered, s *State) { s.Live["app"]["conf/web.conf"] = "x" },
			"app/web: recreate, risk downtime (file conf/web.conf was changed on disk)\n",
			"file app/conf/web.conf: it was changed on disk\napp/web: file conf/web.conf was changed on disk"},
		{"live file removed", func(_ *Rendered, s *State) { delete(s.Live["app"], ComposeFile) }, "", "file app/compose.yaml: it is missing on disk"},
		{"live file opened", func(_ *Rendered, s *State) { s.LiveModes["app"]["conf/web.conf"] = 0o666 }, "", "file app/conf/web.conf: it has mode 0666, not 0644"},
		{"a file that is to have another mode is no drift", func(r *Rendered, _ *State) { r.Stacks[0].Files[1].Mode = 0o600 }, "", ""},
		{"secret edited", func(r *Rendered, s *State) { s.Undelivered = map[string]Undelivered{"/run/s/pass": SecretChanged} },
			"app/web: recreate, risk downtime (secret pass was changed in memory)\n", "app/web: secret pass was changed in memory"},
		{"secret unprotected", func(r *Rendered, s *State) {
			s.Undelivered = map[string]Undelivered{"/run/s/pass": "it has mode 0644, not 0400"}
		},
			"", "file /run/s/pass: it has mode 0644, not 0400"},
		{"image gone while it runs", func(_ *Rendered, s *State) { delete(s.Images, "web:1") },
			"image web:1: tag (it is gone from this machine, and app/web runs on it)\n", "image web:1: it is gone from this machine, and app/web runs on it"},
		{"kept tag gone", func(_ *Rendered, s *State) { s.Kept = s.Kept[:1] },
			"image croft-keep/home:i2: tag (it is gone, and keeps the image of app/web for the way back)\n",
			"image croft-keep/home:i2: it is gone, and keeps the image of app/web for the way back"},
		{"volume gone", func(_ *Rendered, s *State) { s.Volumes = nil },
			"volume home-app_data: create (it is gone; its data lies at /srv/app/data)\n", "volume home-app_data: it is gone; its data lies at /srv/app/data"},
		{"volume of another driver", func(_ *Rendered, s *State) { s.Volumes[0].Driver = "nfs" },
			"blocked volume home-app_data: its driver is nfs, not local\n", "volume home-app_data: its driver is nfs, not local"},
		{"data gone", func(_ *Rendered, s *State) { s.Data["app/data"] = DataState{Missing: true} },
			"blocked data of app/data: its directory /srv/app/data is gone\n", "data of app/data: its directory /srv/app/data is gone"},
		{"data gone between two renames of a way back", func(_ *Rendered, s *State) {
			s.Data["app/data"], s.Interrupted = DataState{Missing: true}, map[string][]string{"app": {"db"}}
		}, "app/db: start, risk none (the last apply was interrupted here)\n", ""},
		{"data emptied", func(_ *Rendered, s *State) { s.Data["app/data"] = DataState{Emptied: true} },
			"", "data of app/data: /srv/app/data is empty, and was not when croft last applied"},
		{"data given to another", func(_ *Rendered, s *State) { s.Data["app/data"] = DataState{Owner: "1:1", Was: "0:0"} },
			"", "data of app/data: /srv/app/data belongs to 1:1, and belonged to 0:0"},
		{"unhealthy", func(_ *Rendered, s *State) { s.Containers[1].Health = "unhealthy" }, "", "app/web: it runs, and its health check fails"},
		{"crash loop", func(_ *Rendered, s *State) { s.Containers[1].State, s.Containers[1].ExitCode = "restarting", 3 },
			"", "app/web: it crashes again and again, last with exit code 3"},
		{"a stranger in the project", func(_ *Rendered, s *State) {
			s.Containers = append(s.Containers, Container{ID: "c9", Name: "intruder", Project: "home-app", Service: "extra", State: "running"})
		}, "", "container intruder: it says it is of project home-app, and croft did not make it"},
		{"memory lost", func(_ *Rendered, s *State) { s.Made, s.Lost = nil, []string{"memory.json"} },
			"", "file memory.json: it is gone from the state directory"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want, have := applied()
			tt.change(&want, &have)
			plan := Diff(want, have, DiffOptions{})
			if got := plan.String(); got != tt.plan {
				t.Errorf("plan:\n%swant:\n%s", got, tt.plan)
			}
			if got := strings.Join(plan.Drift, "\n"); got != tt.drift {
				t.Errorf("drift:\n%s\nwant:\n%s", got, tt.drift)
			}
		})
	}
}

// applied is world as an apply leaves it, with all that croft remembers of it.
// web is on the network by its own Compose file, db is its hub.
func applied() (Rendered, State) {
	want, have := world()
	want.Stacks[0].Services[1].Networks = []string{"home-app-front"}
	want.Stacks[0].Services[1].Grants = []Grant{{Secret: "app/pass", Path: "/run/s/pass"}}
	have.Containers[1].Networks = []string{"home-app-front"}
	have.Containers[1].NetworkIDs = map[string]string{"home-app-front": "n1"}
	have.Made = map[string][]string{"app/db": {"c1"}, "app/web": {"c2"}}
	have.Ran = map[string]string{"app/db": "i1", "app/web": "i2"}
	have.Kept = []string{"croft-keep/home:i1", "croft-keep/home:i2"}
	have.KnownNetworks = map[string]string{"home-app-front": "n1"}
	have.Data = map[string]DataState{"app/data": {}}
	have.Wrote = map[string]string{}
	have.LiveModes = map[string]map[string]uint32{"app": {}}
	for i := range want.Stacks[0].Files {
		f := &want.Stacks[0].Files[i]
		f.Mode = 0o644
		have.Wrote["app/"+f.Path], have.LiveModes["app"][f.Path] = f.Written(), f.Mode
	}
	return want, have
}
