//go:build e2e

package e2e

// remake removes a network and makes it again by hand.
func (s *driftScene) remake(name string, args ...string) {
	s.t.Helper()
	on := s.onNetwork(name)
	for _, id := range on {
		s.docker("network", "disconnect", "-f", name, id)
	}
	s.docker("network", "rm", name)
	s.docker(append(append([]string{"network", "create"}, args...), name)...)
	for _, id := range on {
		s.docker("network", "connect", name, id)
	}
}

func (s *driftScene) onNetwork(name string) []string {
	s.t.Helper()
	var out []string
	for _, c := range s.containers(s.t) {
		if _, on := c.NetworkSettings.Networks[name]; on {
			out = append(out, c.ID)
		}
	}
	return out
}

func (s *driftScene) subnet(name string) string {
	return s.docker("network", "inspect", "-f", "{{(index .IPAM.Config 0).Subnet}}", name)
}

func (s *driftScene) shared() string { return s.name + "-app-metrics" }
func (s *driftScene) own() string    { return s.name + "-app_own" }

// labels of the shared network, as one who copies them would write them.
func (s *driftScene) labels() []string {
	return []string{"--label", "croft.platform=" + s.name, "--label", "croft.network=app-metrics", "--label", "croft.subnet=" + s.subnet(s.shared())}
}

// reached wants the hub to reach web by the name it has on the shared network.
func (s *driftScene) reached() {
	s.t.Helper()
	if _, on := s.container(s.t, "hub", "scraper").NetworkSettings.Networks[s.shared()]; !on {
		s.t.Error("the hub is not on the shared network")
	}
	s.docker("exec", s.id("scraper"), "/usr/local/bin/echo", "check", "http://web.app.internal:8080/healthz")
	if s.docker("network", "inspect", "-f", "{{.Internal}}", s.shared()) != "true" {
		s.t.Error("the shared network leads outside")
	}
}

func networkDrift() []drift {
	remade := "network PLATFORM-app-metrics: it was made again by hand"
	return []drift{
		{name: "taken off its own network", do: func(s *driftScene) { s.docker("network", "disconnect", "-f", s.own(), s.id("web")) },
			want: []string{"app/web: it is not on network PLATFORM-app_own"}, changes: []string{"app/web recreate"}},
		{name: "joined to its own network again without its names", do: func(s *driftScene) {
			s.docker("network", "disconnect", "-f", s.own(), s.id("web"))
			s.docker("network", "connect", s.own(), s.id("web"))
		}, notChecked: "names and fixed addresses", undo: func(s *driftScene) {
			s.docker("network", "disconnect", "-f", s.own(), s.id("web"))
			s.docker("network", "connect", "--alias", "web", s.own(), s.id("web"))
		}},
		{name: "joined to a foreign network", do: func(s *driftScene) {
			s.docker("network", "create", "foreign-"+s.name)
			s.docker("network", "connect", "foreign-"+s.name, s.id("web"))
		}, want: []string{"network foreign-PLATFORM: app/web is on it and does not ask for it"}, after: func(s *driftScene) {
			s.docker("network", "rm", "foreign-"+s.name) // refused while somebody is on it
		}},
		{name: "joined to the network of another stack", do: func(s *driftScene) { s.docker("network", "connect", s.shared(), s.id("side")) },
			want: []string{"network PLATFORM-app-metrics: app/side is on it and does not ask for it"}, after: (*driftScene).reached},
		{name: "hub taken off a shared network", do: func(s *driftScene) { s.docker("network", "disconnect", "-f", s.shared(), s.id("scraper")) },
			want: []string{"network PLATFORM-app-metrics: hub/scraper is not on it"}, after: (*driftScene).reached},
		{name: "shared network removed", do: func(s *driftScene) {
			for _, id := range s.onNetwork(s.shared()) {
				s.docker("network", "disconnect", "-f", s.shared(), id)
			}
			s.docker("network", "rm", s.shared())
		}, want: []string{"network PLATFORM-app-metrics: it is gone", "app/web: it is not on network PLATFORM-app-metrics"},
			changes: []string{"app/web recreate"}, after: (*driftScene).reached},
		{name: "shared network removed while all was stopped", do: func(s *driftScene) {
			s.docker("stop", "-t", "1", s.id("web"), s.id("scraper"))
			s.docker("network", "rm", s.shared())
		}, want: []string{"network PLATFORM-app-metrics: it is gone", "app/web: it holds on to a network PLATFORM-app-metrics that is gone",
			"hub/scraper: it holds on to a network PLATFORM-app-metrics that is gone"},
			changes: []string{"app/web recreate", "hub/scraper recreate"}, after: (*driftScene).reached},
		{name: "shared network made again with another subnet", do: func(s *driftScene) {
			s.remake(s.shared(), append(s.labels(), "--internal", "--subnet", "10.119.77.0/28")...)
		}, want: []string{remade, "network PLATFORM-app-metrics: it exists with subnet 10.119.77.0/28, not SHARED"}, changes: []string{"app/web recreate"}, after: func(s *driftScene) {
			if now := s.subnet(s.shared()); now != s.sharedSubnet {
				s.t.Errorf("its subnet is %s, was %s", now, s.sharedSubnet)
			}
			s.reached()
		}},
		{name: "shared network made again open to the outside", do: func(s *driftScene) {
			s.remake(s.shared(), append(s.labels(), "--subnet", s.subnet(s.shared()))...)
		}, want: []string{remade, "network PLATFORM-app-metrics: it leads outside, and must be internal"}, changes: []string{"app/web recreate"}, after: (*driftScene).reached},
		{name: "shared network made again with other options", do: func(s *driftScene) {
			s.remake(s.shared(), append(s.labels(), "--internal", "--subnet", s.subnet(s.shared()), "-o", "com.docker.network.bridge.enable_icc=false")...)
		}, want: []string{remade}, changes: []string{"app/web recreate"}, after: (*driftScene).reached},
		{name: "shared network made again without labels", do: func(s *driftScene) {
			s.remake(s.shared(), "--internal", "--subnet", s.subnet(s.shared()))
		}, want: []string{remade}, changes: []string{"app/web recreate"}, after: (*driftScene).reached},
		{name: "a stranger on a shared network", do: func(s *driftScene) {
			s.docker("run", "-d", "--name", "stranger-"+s.name, "--network", s.shared(), s.name+"/echo:1")
		}, want: []string{"network PLATFORM-app-metrics: container stranger-PLATFORM is on it and is not croft's"},
			left: true, undo: func(s *driftScene) { s.docker("rm", "-f", "stranger-"+s.name) }},
		{name: "a stranger on a shared network made again", do: func(s *driftScene) {
			s.remake(s.shared(), "--internal", "--subnet", s.subnet(s.shared()))
			s.docker("run", "-d", "--name", "stranger-"+s.name, "--network", s.shared(), s.name+"/echo:1")
		}, want: []string{"network PLATFORM-app-metrics: container stranger-PLATFORM is on it and is not croft's", remade},
			changes: nil, blocked: "network PLATFORM-app-metrics", undo: func(s *driftScene) { s.docker("rm", "-f", "stranger-"+s.name) }, after: (*driftScene).reached},
		{name: "project network removed", do: func(s *driftScene) {
			for _, id := range s.onNetwork(s.own()) {
				s.docker("network", "disconnect", "-f", s.own(), id)
			}
			s.docker("network", "rm", s.own())
		}, want: []string{"network PLATFORM-app_own: it is gone", "app/web: it is not on network PLATFORM-app_own", "app/side: it is not on network PLATFORM-app_own"},
			changes: []string{"app/web recreate", "app/side recreate", "app/sharer recreate"}},
		{name: "project network made again without labels", do: func(s *driftScene) {
			s.remake(s.own(), "--subnet", s.subnet(s.own()))
		}, want: []string{"network PLATFORM-app_own: it was made again by hand"},
			changes: []string{"app/web recreate", "app/side recreate", "app/sharer recreate"}},
		{name: "project network made again internal, with another subnet", do: func(s *driftScene) {
			s.remake(s.own(), "--internal", "--subnet", "10.119.78.0/28")
		}, want: []string{"network PLATFORM-app_own: it was made again by hand", "network PLATFORM-app_own: it exists with subnet 10.119.78.0/28, not OWN",
			"network PLATFORM-app_own: it is internal, and must lead outside"},
			changes: []string{"app/web recreate", "app/side recreate", "app/sharer recreate"}, after: func(s *driftScene) {
				if now := s.subnet(s.own()); now != s.ownSubnet {
					s.t.Errorf("its subnet is %s, was %s", now, s.ownSubnet)
				}
			}},
	}
}
