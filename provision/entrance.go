package provision

// Entrance is where a container answers the requests that its route brings it.
type Entrance struct {
	Service string
	Port    uint16
	Scheme  string // http where nothing else was said
	URL     string // where the route leads to it
}

// Entrances gives the routed services of a stack as they were applied last.
func (p *Provisioner) Entrances(stack string) ([]Entrance, error) {
	var a applied
	if err := readJSON(p.appliedPath(), &a); err != nil {
		return nil, err
	}
	var out []Entrance
	for _, s := range a.Stacks {
		if s.Name != stack {
			continue
		}
		for _, svc := range s.Services {
			if svc.Port == 0 {
				continue
			}
			e := Entrance{Service: svc.Name, Port: svc.Port, Scheme: svc.Scheme, URL: svc.URL}
			if e.Scheme == "" {
				e.Scheme = "http"
			}
			out = append(out, e)
		}
	}
	return out, nil
}
