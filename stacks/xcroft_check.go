package stacks

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// Patterns of names that become variables, files, roles and volumes.
const (
	variablePattern = `^[A-Z][A-Z0-9_]{0,62}$`
	secretPattern   = `^[a-z][a-z0-9_-]{0,62}$`
	databasePattern = `^[a-z][a-z0-9_]{0,62}$`
	servesPattern   = `^[a-z][a-z0-9-]{0,29}$`
)

// xCheck holds the rules of x-croft that a type cannot say. Without a project
// it looks only at the block itself.
type xCheck struct {
	stack    string
	x        *XCroft
	project  *types.Project
	files    []File
	at       *locator
	services []string
	problems Problems
}

func (c *xCheck) add(path, message, hint string) {
	c.problems = append(c.problems, c.at.problem(join(xKey, path), message, hint))
}

// block checks what the block says by itself.
func (c *xCheck) block() {
	for i, n := range c.x.Needs {
		switch {
		case !isStackName(n):
			c.add(fmt.Sprintf("needs.%d", i), fmt.Sprintf("%q is no name for a stack", n), "")
		case n == c.stack:
			c.add(fmt.Sprintf("needs.%d", i), "a stack cannot need itself", "remove it")
		}
	}
	for i, s := range c.x.Serves {
		if !matches(servesPattern, s) {
			c.add(fmt.Sprintf("serves.%d", i), fmt.Sprintf("%q is not a word", s), "as in routes, auth, metrics, postgres")
		}
	}
	c.variables()
	c.secrets()
	c.routes()
	for i, m := range c.x.Metrics {
		c.path(fmt.Sprintf("metrics.%d.path", i), m.Path)
	}
	for _, name := range slices.Sorted(maps.Keys(c.x.Databases)) {
		c.database(name, c.x.Databases[name])
	}
	for i, s := range c.x.Setup {
		if len(s.Command) == 0 {
			c.add(fmt.Sprintf("setup.%d", i), "the command is empty", "command: [program, argument]")
		}
	}
	if b := c.x.Backup; b != nil {
		for i, d := range b.Databases {
			if _, ok := c.x.Databases[d]; !ok {
				c.add(fmt.Sprintf("backup.databases.%d", i), fmt.Sprintf("no database is called %q", d), meant(d, slices.Collect(maps.Keys(c.x.Databases))))
			}
		}
	}
}

// variables checks the names that become ${NAME} in the Compose file.
func (c *xCheck) variables() {
	name := func(path, n string) {
		switch {
		case !matches(variablePattern, n):
			c.add(path, fmt.Sprintf("%q is no name for a variable", n), "capital letters, digits and _, as in HTTP_PORT")
		case strings.HasPrefix(n, "CROFT_") || strings.HasPrefix(n, "COMPOSE_"):
			c.add(path, fmt.Sprintf("the name %q is taken: CROFT_ and COMPOSE_ have a meaning", n), "use another name")
		}
	}
	for _, n := range slices.Sorted(maps.Keys(c.x.Options)) {
		name("options."+n, n)
		o := c.x.Options[n]
		if err := checkQuestion(o.Check); err != nil {
			c.add("options."+n+".check", err.Error(), "one of "+strings.Join(knownChecks(), ", "))
		} else if o.Default != "" {
			if err := CheckAnswer(o.Check, o.Default); err != nil {
				c.add("options."+n+".default", err.Error(), "the default must pass the option's own check")
			}
		}
	}
	for _, n := range slices.Sorted(maps.Keys(c.x.Addresses)) {
		name("addresses."+n, n)
		if _, ok := c.x.Options[n]; ok {
			c.add("addresses."+n, fmt.Sprintf("%q is an option too", n), "give one of them another name")
		}
	}
}

func (c *xCheck) secrets() {
	for _, n := range slices.Sorted(maps.Keys(c.x.Secrets)) {
		s, path := c.x.Secrets[n], "secrets."+n
		if !matches(secretPattern, n) {
			c.add(path, fmt.Sprintf("%q is no name for a secret", n), "small letters, digits, _ and -")
		}
		ways := 0
		for _, set := range []bool{s.Generate != 0, s.Kind != "", s.Template != ""} {
			if set {
				ways++
			}
		}
		if ways != 1 {
			c.add(path, "needs exactly one of generate, kind and template", "as in {generate: 32}")
		}
		if s.Rotate == "never" && s.Why == "" {
			c.add(path, "rotate: never needs a reason", "why: encrypts stored data")
		}
		if s.Template != "" && c.files != nil && !c.hasFile(s.Template) {
			c.add(path+".template", fmt.Sprintf("no file %q in this stack", s.Template), meant(s.Template, c.paths()))
		}
	}
}

func (c *xCheck) routes() {
	for _, n := range slices.Sorted(maps.Keys(c.x.Routes)) {
		r, path := c.x.Routes[n], "routes."+n
		_, _, written := c.at.exact(xKey + "." + path + ".host") // a missing one is told already
		if written && r.Host != "@" && !isLabel(r.Host) {
			c.add(path+".host", fmt.Sprintf("%q is not one label of an address", r.Host), "as in git, or \"@\" for the domain itself")
		}
		c.path(path+".probe", r.Probe)
		if r.Body != "" && CheckAnswer("size", r.Body) != nil {
			c.add(path+".body", fmt.Sprintf("%q is not a size", r.Body), "as in 10m")
		}
		for i, p := range r.Paths {
			c.path(fmt.Sprintf("%s.paths.%d.prefix", path, i), p.Prefix)
		}
	}
}

// path checks the path of an address; these become rules of Traefik and lines
// of Authelia, where quotes and spaces mean something else.
func (c *xCheck) path(at, p string) {
	if !matches("^/[A-Za-z0-9._~!$&()*+,;=:@%/?-]*$", p) {
		c.add(at, fmt.Sprintf("%q is not the path of an address", p), "it begins with /")
	}
}

func (c *xCheck) database(n string, d DatabaseSpec) {
	path := "databases." + n
	if !matches(databasePattern, n) {
		c.add(path, fmt.Sprintf("%q is no name for a database", n), "small letters, digits and _")
	}
	if d.Owner != "" && !matches(databasePattern, d.Owner) {
		c.add(path+".owner", fmt.Sprintf("%q is no name for a role", d.Owner), "small letters, digits and _")
	}
	if _, ok := c.x.Secrets[d.Password]; !ok && d.Password != "" {
		c.add(path+".password", fmt.Sprintf("no secret of this stack is called %q", d.Password), meant(d.Password, slices.Collect(maps.Keys(c.x.Secrets))))
	}
}

func (c *xCheck) hasFile(p string) bool {
	return slices.ContainsFunc(c.files, func(f File) bool { return f.Path == p })
}

func (c *xCheck) paths() []string {
	var out []string
	for _, f := range c.files {
		out = append(out, f.Path)
	}
	return out
}

// references checks that what the block names is in the project.
func (c *xCheck) references() {
	x := c.x
	for _, n := range slices.Sorted(maps.Keys(x.Routes)) {
		c.service("routes."+n+".service", x.Routes[n].Service)
	}
	for i, m := range x.Metrics {
		c.service(fmt.Sprintf("metrics.%d.service", i), m.Service)
	}
	for _, n := range slices.Sorted(maps.Keys(x.Databases)) {
		c.service("databases."+n+".service", x.Databases[n].Service)
	}
	for _, n := range slices.Sorted(maps.Keys(x.Addresses)) {
		a := x.Addresses[n]
		c.service("addresses."+n+".service", a.Service)
		if _, ok := c.project.Networks[a.Network]; !ok && !slices.Contains(SharedKinds(), a.Network) {
			c.add("addresses."+n+".network", fmt.Sprintf("no network is called %q", a.Network), meant(a.Network, append(c.project.NetworkNames(), SharedKinds()...)))
		}
	}
	for i, s := range x.Setup {
		c.service(fmt.Sprintf("setup.%d.service", i), s.Service)
	}
	for i, s := range x.Jobs {
		c.service(fmt.Sprintf("jobs.%d", i), s)
	}
	for i, s := range x.Stateless {
		c.service(fmt.Sprintf("stateless.%d", i), s)
	}
	for i, s := range x.Entry {
		c.service(fmt.Sprintf("entry.%d", i), s)
	}
	for _, n := range slices.Sorted(maps.Keys(x.Harden)) {
		c.service("harden."+n, n)
	}
	for _, n := range slices.Sorted(maps.Keys(x.Reload)) {
		c.service("reload."+n, n)
		c.reloadFiles(n)
	}
	if len(x.Serves) > 0 || x.Hub != "" {
		c.service("hub", x.Hub)
	}
	c.volumes()
}

func (c *xCheck) service(path, name string) {
	switch {
	case name == "" && strings.HasPrefix(path, "hub"):
		c.add("serves", "hub is missing: the service that does this", meant("", c.services))
	case name == "":
		c.add(strings.TrimSuffix(path, ".service"), "the stack has several services: say which one", meant("", c.services))
	case !slices.Contains(c.services, name):
		c.add(path, fmt.Sprintf("no service is called %q", name), meant(name, c.services))
	}
}

func (c *xCheck) reloadFiles(n string) {
	for i, p := range c.x.Reload[n].Files {
		dir := strings.TrimSuffix(p, "/") + "/"
		ok := slices.ContainsFunc(c.files, func(f File) bool {
			return f.Path == p || f.Path == p+".tmpl" || strings.HasPrefix(f.Path, dir)
		})
		if !ok {
			c.add(fmt.Sprintf("reload.%s.files.%d", n, i), fmt.Sprintf("no file or directory %q in this stack", p), meant(p, c.paths()))
		}
	}
}

func (c *xCheck) volumes() {
	check := func(path, n string) {
		if _, ok := c.project.Volumes[n]; !ok {
			c.add(path, fmt.Sprintf("no volume is called %q", n), meant(n, c.project.VolumeNames()))
		}
	}
	for _, n := range slices.Sorted(maps.Keys(c.x.Storage)) {
		check("storage."+n, n)
	}
	if c.x.Backup != nil {
		for _, n := range slices.Sorted(maps.Keys(c.x.Backup.Volumes)) {
			if !c.mounted(n) {
				check("backup.volumes."+n, n)
			}
		}
	}
}

// mounted tells whether a service has data under this name that is no volume of
// the file: a path of the machine or of the stack, or "service:/path" for a volume without name.
func (c *xCheck) mounted(name string) bool {
	service, target, named := strings.Cut(name, ":")
	_, known := c.project.Services[service]
	if named && known && strings.HasPrefix(target, "/") {
		return true // it may be the image that declares it
	}
	within, relative := strings.CutPrefix(name, "./")
	for _, s := range c.project.Services {
		if slices.ContainsFunc(s.Volumes, func(v types.ServiceVolumeConfig) bool {
			return v.Type == types.VolumeTypeBind && (v.Source == name || relative && strings.HasSuffix(v.Source, "/"+within))
		}) {
			return true
		}
	}
	return false
}
