package stacks

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
)

// LoadOptions says where the platform lies and what is known of the machine.
type LoadOptions struct {
	Dir string // absolute directory of the platform; only for path arithmetic
	// Facts are further variables of Compose files: CROFT_DOCKER_GID, CROFT_USERS_DIR.
	Facts map[string]string
	// Instead gives stacks from elsewhere: the inputs of an earlier revision, laid
	// out as a platform is. Their answers come from the croft.yaml there.
	Instead map[string]fs.FS
	// Machine is the root of the machine's files: adopted projects are read where
	// they lie.
	Machine fs.FS
}

// LoadDesired reads croft.yaml and every stack it names, brings in what those
// need, and resolves it. Every problem is reported at once; with an error among
// them Desired must not be used.
func LoadDesired(fsys fs.FS, o LoadOptions) (Desired, Problems) {
	config, problem := readRegular(fsys, PlatformFile, maxYAMLBytes)
	if problem != nil {
		return Desired{}, Problems{*problem}
	}
	p, problems := readPlatform(config)
	if problems.Err() != nil {
		return Desired{}, problems
	}
	facts := maps.Clone(o.Facts)
	if facts == nil {
		facts = map[string]string{}
	}
	facts["CROFT_NAME"] = p.Name
	facts["CROFT_DOMAIN"] = p.BaseDomain()
	facts["CROFT_TIMEZONE"] = p.Timezone
	facts["CROFT_BIND"] = "127.0.0.1"
	if p.Expose == ExposeLAN {
		facts["CROFT_BIND"] = "0.0.0.0"
	}

	b := bringer{fsys: fsys, o: o, p: p, facts: facts, loaded: map[string]*Stack{}, wantedBy: map[string]string{}}
	for names := slices.Sorted(maps.Keys(p.Stacks)); len(names) > 0; {
		names = b.bring(names)
	}
	problems = append(problems, b.problems...)
	loaded := b.loaded
	if problems.Err() != nil {
		return Desired{}, problems
	}
	d, ps := Resolve(p, slices.Collect(maps.Values(loaded)))
	if len(o.Instead) == 0 {
		d.Inputs = inputSum(config, d.Stacks, o)
	}
	return d, append(problems, ps...)
}

// bringer loads stacks and then those they need.
type bringer struct {
	fsys     fs.FS
	o        LoadOptions
	p        Platform
	facts    map[string]string
	loaded   map[string]*Stack
	wantedBy map[string]string
	problems Problems
}

// bring loads the named stacks, each on its own, and gives the names that they
// need and that nobody has loaded yet.
func (b *bringer) bring(names []string) []string {
	list := make([]*Stack, len(names))
	problems := make([]Problems, len(names))
	var group sync.WaitGroup
	for i, name := range names {
		group.Go(func() { list[i], problems[i] = b.load(name) })
	}
	group.Wait()
	var next []string
	for i, name := range names {
		b.problems = append(b.problems, problems[i]...)
		b.loaded[name] = list[i]
	}
	for i, name := range names {
		if list[i] == nil || list[i].X == nil {
			continue
		}
		for _, need := range list[i].X.Needs {
			if _, known := b.wantedBy[need]; !known {
				b.wantedBy[need] = name
			}
			if _, done := b.loaded[need]; !done && !slices.Contains(next, need) {
				next = append(next, need)
			}
		}
	}
	return next
}

func (b *bringer) load(name string) (*Stack, Problems) {
	var problems Problems
	from, choice := b.fsys, b.p.Stacks[name]
	if earlier, ok := b.o.Instead[name]; ok {
		then, ps := LoadPlatform(earlier)
		problems = append(problems, ps...)
		from, choice = earlier, then.Stacks[name]
	}
	if choice.Adopt != nil {
		s, ps := b.adopted(name, choice)
		return s, append(problems, ps...)
	}
	if _, err := fs.Stat(from, path.Join("stacks", name)); err != nil {
		return nil, append(problems, missingStack(name, b.wantedBy[name]))
	}
	s, ps := LoadStack(from, name, LoadEnv{Dir: b.o.Dir, ProjectName: b.p.Name + "-" + name, Choice: choice, Facts: b.facts})
	return s, append(problems, ps...)
}

func missingStack(name, wantedBy string) Problem {
	pr := Problem{Severity: SeverityError, File: PlatformFile, Subject: "stacks." + name}
	pr.Message = fmt.Sprintf("there is no directory stacks/%s", name)
	if wantedBy != "" {
		pr.File, pr.Subject = "stacks/"+wantedBy, "needs"
		pr.Message = fmt.Sprintf("needs %s, and there is no directory stacks/%s", name, name)
	}
	if slices.Contains(CatalogNames(), name) {
		pr.Hint = "croft stack add " + name
	} else {
		pr.Hint = fmt.Sprintf("put its Compose file at stacks/%s/compose.yaml, or take the name out", name)
	}
	return pr
}

// Resolve puts the stacks in order and collects what they declare. It refuses
// cycles, routes that clash, ports published twice, and what nobody serves.
func Resolve(p Platform, list []*Stack) (Desired, Problems) {
	r := resolver{d: Desired{Platform: p, Stacks: slices.Clone(list)}}
	slices.SortFunc(r.d.Stacks, func(a, b *Stack) int { return cmp.Compare(a.Name, b.Name) })
	r.servers()
	r.order()
	r.routes()
	r.metrics()
	r.databases()
	r.ports()
	return r.d, r.problems
}

type resolver struct {
	d        Desired
	problems Problems
}

func (r *resolver) fail(s *Stack, at, hint, format string, args ...any) {
	r.problems = append(r.problems, s.problem(at, hint, fmt.Sprintf(format, args...)))
}

// problem places a message at a dotted path of the stack's Compose file, or at
// the nearest parent whose place is known.
func (s *Stack) problem(at, hint, message string) Problem {
	p := Problem{Severity: SeverityError, File: s.File, Subject: "stack " + s.Name, Message: message, Hint: hint}
	for probe := at; probe != ""; {
		if pos, ok := s.Index[probe]; ok {
			p.Line, p.Column = pos.Line, pos.Column
			break
		}
		i := strings.LastIndexByte(probe, '.')
		if i < 0 {
			break
		}
		probe = probe[:i]
	}
	return p
}

// servers refuses two stacks that serve the same thing and hubs that are missing.
func (r *resolver) servers() {
	by := map[string]string{}
	for _, s := range r.d.Stacks {
		if s.X == nil {
			continue
		}
		for _, what := range s.X.Serves {
			if other, taken := by[what]; taken {
				r.fail(s, "x-croft.serves", "keep one of them", "serves %s, and so does stack %s", what, other)
				continue
			}
			by[what] = s.Name
		}
	}
}

// edges gives the stacks that s must wait for, by name, sorted.
func (r *resolver) edges(s *Stack) []string {
	if s.X == nil {
		return nil
	}
	set := map[string]bool{}
	for _, n := range s.X.Needs {
		set[n] = true
	}
	for _, db := range s.X.Databases {
		if server, ok := r.d.Server(db.Engine); ok {
			set[server.Name] = true
		}
	}
	delete(set, s.Name)
	return slices.Sorted(maps.Keys(set))
}

// order sorts stacks into waves and names every cycle it meets.
func (r *resolver) order() {
	by := map[string]*Stack{}
	for _, s := range r.d.Stacks {
		by[s.Name] = s
	}
	const visiting, done = 1, 2
	state := map[string]int{}
	var trail []string
	var visit func(s *Stack) int
	visit = func(s *Stack) int {
		if state[s.Name] == done {
			return s.Wave
		}
		if state[s.Name] == visiting {
			cycle := append(slices.Clone(trail[slices.Index(trail, s.Name):]), s.Name)
			r.fail(s, "x-croft.needs", "take one of these needs out", "needs itself: %s", strings.Join(cycle, " -> "))
			return 0
		}
		state[s.Name] = visiting
		trail = append(trail, s.Name)
		s.Wave = 0
		for _, n := range r.edges(s) {
			if need, ok := by[n]; ok {
				s.Wave = max(s.Wave, visit(need)+1)
			}
		}
		trail = trail[:len(trail)-1]
		state[s.Name] = done
		return s.Wave
	}
	for _, s := range r.d.Stacks {
		visit(s)
	}
	slices.SortStableFunc(r.d.Stacks, func(a, b *Stack) int {
		return cmp.Or(cmp.Compare(a.Wave, b.Wave), cmp.Compare(a.Name, b.Name))
	})
}

func (r *resolver) routes() {
	owner := map[string]string{}
	domain := r.d.Platform.BaseDomain()
	_, auth := r.d.Server("auth")
	_, proxy := r.d.Server("routes")
	for _, s := range r.d.Stacks {
		if s.X == nil {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(s.X.Routes)) {
			spec := s.X.Routes[name]
			at := "x-croft.routes." + name
			host := strings.ToLower(spec.Host) + "." + domain
			if spec.Host == "@" {
				host = domain
			}
			if other, taken := owner[host]; taken {
				r.fail(s, at+".host", "give one of them another host", "route %s asks for %s, which is %s", name, host, other)
				continue
			}
			owner[host] = fmt.Sprintf("route %s of stack %s", name, s.Name)
			route := Route{
				Stack: s.Name, Name: name, Service: cmp.Or(spec.Service, s.only()), Host: host, URL: "https://" + host + r.publicPort(),
				Port: spec.Port, Access: cmp.Or(spec.Access, AccessTwoFactor), Paths: longestFirst(spec.Paths),
				Scheme: cmp.Or(spec.Scheme, "http"), Probe: cmp.Or(spec.Probe, "/"),
			}
			if !proxy {
				r.fail(s, at, "croft stack add traefik", "route %s needs a stack that serves routes", name)
			}
			if !auth && route.Protected() {
				r.fail(s, at+".access", "croft stack add authelia, or say access: public", "route %s is for signed-in people, and no stack serves auth", name)
			}
			r.d.Routes = append(r.d.Routes, route)
		}
	}
}

// longestFirst orders path exceptions as everybody must judge them: Authelia
// takes the first rule that matches, Traefik the longest prefix.
func longestFirst(paths []PathSpec) []PathSpec {
	out := slices.Clone(paths)
	slices.SortStableFunc(out, func(a, b PathSpec) int { return cmp.Compare(len(b.Prefix), len(a.Prefix)) })
	return out
}

// publicPort is ":port" where the proxy's HTTPS port is not 443, else "".
func (r *resolver) publicPort() string {
	s, ok := r.d.Server("routes")
	if !ok {
		return ""
	}
	if port := s.Options["HTTPS_PORT"]; port != "" && port != "443" {
		return ":" + port
	}
	return ""
}

// Protected tells whether people must sign in at the portal to pass.
func (r Route) Protected() bool {
	return r.Access != AccessPublic && r.Access != AccessAppLogin
}

// only gives the stack's single service, or "".
func (s *Stack) only() string {
	names := s.Project.ServiceNames()
	if len(names) == 1 {
		return names[0]
	}
	return ""
}

func (r *resolver) metrics() {
	for _, s := range r.d.Stacks {
		if s.X == nil {
			continue
		}
		for _, m := range s.X.Metrics {
			svc := cmp.Or(m.Service, s.only())
			r.d.Metrics = append(r.d.Metrics, Metric{
				Stack: s.Name, Service: svc, Path: cmp.Or(m.Path, "/metrics"),
				Target: fmt.Sprintf("%s:%d", InternalName(s.Name, svc), m.Port),
			})
		}
	}
}

// InternalName is how other stacks reach a service on the network they share.
// It is unique on the platform, so no neighbour can take it.
func InternalName(stack, service string) string { return service + "." + stack + ".internal" }

func (r *resolver) databases() {
	roles := map[string]string{}
	for _, s := range r.d.Stacks {
		if s.X == nil {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(s.X.Databases)) {
			spec := s.X.Databases[name]
			at := "x-croft.databases." + name
			if _, ok := r.d.Server(spec.Engine); !ok {
				r.fail(s, at+".engine", "croft stack add "+spec.Engine, "database %s needs a stack that serves %s", name, spec.Engine)
				continue
			}
			for _, key := range []string{spec.Engine + " database " + name, spec.Engine + " role " + spec.Owner} {
				if other, taken := roles[key]; taken && other != s.Name {
					r.fail(s, at, "choose another name", "%s belongs to stack %s", key, other)
				}
				roles[key] = s.Name
			}
			r.d.Databases = append(r.d.Databases, Database{
				Stack: s.Name, Name: name, Owner: spec.Owner, Engine: spec.Engine,
				Secret: s.Name + "/" + spec.Password, Service: cmp.Or(spec.Service, s.only()),
			})
		}
	}
}

// ports refuses a host port that two services publish.
func (r *resolver) ports() {
	owner := map[string]string{}
	for _, s := range r.d.Stacks {
		for _, svcName := range s.Project.ServiceNames() {
			for _, port := range s.Project.Services[svcName].Ports {
				if port.Published == "" || port.Published == "0" {
					continue
				}
				key := port.Published + "/" + cmp.Or(port.Protocol, "tcp")
				me := s.Name + "/" + svcName
				if other, taken := owner[key]; taken {
					r.fail(s, "services."+svcName+".ports", "change one of them", "%s publishes port %s, and so does %s", me, key, other)
					continue
				}
				owner[key] = me
			}
		}
	}
}
