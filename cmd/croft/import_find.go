package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/croft-sh/croft/provision"
	"github.com/croft-sh/croft/provision/docker"
	"github.com/croft-sh/croft/provision/host"
	"github.com/croft-sh/croft/stacks"
)

// importer finds out what a directory's Compose project is called, which files
// it is made of and what its variables were, and compares it with what runs.
type importer struct {
	m      *machine
	d      *draft
	o      importOptions
	dir    string            // as it was given, absolute
	given  map[string]string // --set
	name   string            // of the stack
	choice stacks.StackChoice
	runs   []string // services that have containers
	// fromShell names variables whose values in this shell are those that the
	// containers were made with.
	fromShell []string
}

// newImporter checks what needs no engine.
func (a *app) newImporter(arg string, o importOptions) (*importer, error) {
	d, err := a.draftHere(false)
	if err != nil {
		return nil, err
	}
	im := &importer{d: d, o: o, given: map[string]string{}}
	if im.dir, err = filepath.Abs(arg); err != nil {
		return nil, err
	}
	info, err := os.Stat(im.dir)
	if err != nil || !info.IsDir() {
		return nil, &usageError{err: fmt.Errorf("%s is no directory", arg), hint: "name the directory of a Compose project, as docker compose ls shows them"}
	}
	if own := filepath.Join(realPath(d.dir), stacksDir); realPath(im.dir) == own || within(own, realPath(im.dir)) {
		return nil, &refusedError{err: fmt.Errorf("%s is a stack of the platform", arg), hint: "name it under stacks in croft.yaml, or croft stack add " + filepath.Base(im.dir)}
	}
	if o.name != "" {
		if err := nameStack(o.name); err != nil {
			return nil, err
		}
	}
	for _, set := range o.set {
		key, value, ok := strings.Cut(set, "=")
		if !ok {
			value, ok = a.env[key]
		}
		if !ok || key == "" {
			return nil, &usageError{err: fmt.Errorf("--set %s: there is no such variable in this shell", set), hint: "write it as NAME=VALUE"}
		}
		im.given[key] = value
	}
	return im, nil
}

// find decides on the project, its files and the stack's name.
func (im *importer) find(ctx context.Context) error {
	projects, err := im.m.engine.ComposeProjects(ctx)
	if err != nil {
		return err
	}
	adopt, err := im.running(projects)
	if err != nil {
		return err
	}
	if adopt == nil {
		if adopt, err = im.resting(); err != nil {
			return err
		}
	}
	if err := im.called(adopt.Project); err != nil {
		return err
	}
	if old := im.d.platform.Stacks[im.name]; old.Adopt != nil { // again: what is written stands
		im.choice = old
		im.choice.Options = maps.Clone(old.Options)
	} else {
		im.choice = stacks.StackChoice{Adopt: adopt}
	}
	if len(im.given) > 0 && im.choice.Options == nil {
		im.choice.Options = map[string]string{}
	}
	maps.Copy(im.choice.Options, im.given)
	return nil
}

// running looks for the project among what runs; nil where nothing does.
func (im *importer) running(projects []docker.ComposeProject) (*stacks.Adopt, error) {
	var found []docker.ComposeProject
	var origin docker.Origin
	real := realPath(im.dir)
	for _, p := range projects {
		i := slices.IndexFunc(p.Origins, func(o docker.Origin) bool { return o.Dir != "" && realPath(o.Dir) == real })
		if im.o.project != "" && p.Name != im.o.project {
			continue
		}
		if i < 0 {
			if im.o.project == "" && !im.fileOf(p) || im.known(p.Name) != "" {
				continue
			}
			return nil, &refusedError{err: fmt.Errorf("the project %s runs from %s, not from %s", p.Name, p.Origins[0].Dir, im.dir),
				hint: "croft stack import " + p.Origins[0].Dir}
		}
		found = append(found, p)
		origin = p.Origins[i]
	}
	switch {
	case len(found) == 0:
		return nil, nil
	case len(found) > 1:
		var names []string
		for _, p := range found {
			names = append(names, p.Name)
		}
		return nil, &usageError{err: fmt.Errorf("several projects run from %s: %s", im.dir, strings.Join(names, ", ")), hint: "name one with --project"}
	}
	p := found[0]
	if p.Platform != "" && im.known(p.Name) == "" {
		return nil, &refusedError{err: fmt.Errorf("the project %s is a stack of the platform %s already", p.Name, p.Platform), hint: "croft stack list shows the stacks of this platform"}
	}
	for _, o := range p.Origins {
		im.runs = append(im.runs, o.Services...)
	}
	adopt := &stacks.Adopt{Dir: origin.Dir, Project: p.Name, EnvFiles: origin.EnvFiles}
	if !slices.Equal(im.absolute(origin.Dir, stacks.DefaultComposeFiles(machineFiles(), origin.Dir)), origin.Files) {
		adopt.Files = im.relative(origin.Dir, origin.Files)
	}
	adopt.EnvFiles = im.relative(origin.Dir, origin.EnvFiles)
	return adopt, nil
}

// fileOf tells whether a project that runs from elsewhere is made of a file of
// the directory.
func (im *importer) fileOf(p docker.ComposeProject) bool {
	for _, o := range p.Origins {
		if slices.ContainsFunc(o.Files, func(f string) bool { return realPath(filepath.Dir(f)) == realPath(im.dir) }) {
			return true
		}
	}
	return false
}

// known gives the stack that a project is adopted as.
func (im *importer) known(project string) string { return im.d.platform.AdoptedProjects()[project] }

// resting finds the project of a directory as docker compose would, where nothing
// of it runs.
func (im *importer) resting() (*stacks.Adopt, error) {
	adopt := &stacks.Adopt{Dir: im.dir, Project: im.o.project}
	env, err := stacks.ReadEnvFile(machineFiles(), filepath.Join(im.dir, ".env"))
	if err != nil {
		return nil, err
	}
	if list := env["COMPOSE_FILE"]; list != "" {
		separator := env["COMPOSE_PATH_SEPARATOR"]
		if separator == "" {
			separator = ":"
		}
		adopt.Files = strings.Split(list, separator)
	} else if len(stacks.DefaultComposeFiles(machineFiles(), im.dir)) == 0 {
		return nil, &refusedError{err: fmt.Errorf("%s holds no Compose file, and no project runs from it", im.dir),
			hint: "name the directory of a Compose project, as docker compose ls shows them"}
	}
	if adopt.Project == "" {
		adopt.Project = env["COMPOSE_PROJECT_NAME"]
	}
	if adopt.Project == "" {
		if adopt.Project, err = stacks.ComposeName(machineFiles(), *adopt); err != nil {
			return nil, err
		}
	}
	if adopt.Project == "" {
		word := regexp.MustCompile(`[^-_a-z0-9]+`).ReplaceAllString(strings.ToLower(filepath.Base(im.dir)), "")
		adopt.Project = strings.TrimLeft(word, "_-")
	}
	if adopt.Project == "" {
		return nil, &usageError{err: fmt.Errorf("%s gives the project no name", im.dir), hint: "name it with --project"}
	}
	return adopt, nil
}

// called gives the stack its name.
func (im *importer) called(project string) error {
	im.name = im.o.name
	if old := im.known(project); old != "" && (im.name == "" || im.name == old) {
		im.name = old
		return nil
	} else if old != "" {
		return &refusedError{err: fmt.Errorf("the project %s is adopted already, as stack %s", project, old), hint: "croft stack remove " + old + " forgets it"}
	}
	if im.name == "" {
		im.name = nameLike(project, "")
		if nameStack(im.name) != nil {
			return &usageError{err: fmt.Errorf("the project %s gives the stack no name", project), hint: "name it with --name"}
		}
	}
	if _, taken := im.d.platform.Stacks[im.name]; taken {
		return &refusedError{err: fmt.Errorf("the platform has a stack %s already", im.name), hint: "give it another name with --name"}
	}
	return nil
}

// compare plans the stack as it would be, with the profiles that must be on for
// what runs, and the variables that only this shell may know.
func (im *importer) compare(ctx context.Context) (stacks.Desired, provision.Adoption, error) {
	desired, err := im.load()
	if err != nil {
		return desired, provision.Adoption{}, err
	}
	s, _ := desired.Stack(im.name)
	if more := im.profiles(s); len(more) > 0 {
		im.choice.Adopt.Profiles = more
		if desired, err = im.load(); err != nil {
			return desired, provision.Adoption{}, err
		}
		s, _ = desired.Stack(im.name)
	}
	a, err := im.m.prov.PlanAdoption(ctx, desired, im.name)
	if err != nil || len(a.Plan.Of(im.name)) == 0 {
		return desired, a, err
	}
	return im.withShell(ctx, s, desired, a)
}

// load checks the platform as it would be.
func (im *importer) load() (stacks.Desired, error) {
	im.d.platform.Stacks[im.name] = im.choice
	im.m.prov.Adopted = im.d.platform.AdoptedProjects()
	im.m.engine.Adopt(im.m.prov.Adopted)
	if err := im.d.complete(); err != nil {
		return stacks.Desired{}, err
	}
	return im.d.check(im.m.facts)
}

// profiles gives those to be switched on, where services run that are switched
// off as the project is written; none where there is nothing to switch.
func (im *importer) profiles(s *stacks.Stack) []string {
	var more []string
	for _, name := range im.runs {
		if off, ok := s.Project.DisabledServices[name]; ok && len(off.Profiles) > 0 {
			more = append(more, off.Profiles[0])
		}
	}
	if len(more) == 0 {
		return nil
	}
	more = append(more, s.Project.Profiles...)
	slices.Sort(more)
	return slices.Compact(more)
}

// withShell tries the values that this shell has for variables that nobody else
// gives. Names of the person and the home are written down; anything else may be
// a secret, so it is only said.
func (im *importer) withShell(ctx context.Context, s *stacks.Stack, desired stacks.Desired, a provision.Adoption) (stacks.Desired, provision.Adoption, error) {
	before := im.choice
	options := maps.Clone(before.Options)
	if options == nil {
		options = map[string]string{}
	}
	harmless := true
	var names []string
	for _, name := range s.Unset {
		if value, ok := im.m.app.env[name]; ok && !slices.Contains(names, name) {
			options[name] = value
			names = append(names, name)
			harmless = harmless && slices.Contains([]string{"HOME", "USER", "LOGNAME", "PWD", "HOSTNAME", "UID", "GID"}, name)
		}
	}
	if len(names) == 0 {
		return desired, a, nil
	}
	im.choice.Options = options
	tried, err := im.load()
	if err != nil {
		return desired, a, err
	}
	better, err := im.m.prov.PlanAdoption(ctx, tried, im.name)
	if err != nil {
		return desired, a, err
	}
	if len(better.Plan.Of(im.name)) < len(a.Plan.Of(im.name)) {
		if harmless {
			return tried, better, nil
		}
		im.fromShell = names
	}
	im.choice = before
	desired, err = im.load()
	return desired, a, err
}

// services says of each service what the next apply would do, and in what its
// container differs.
func (im *importer) services(ctx context.Context, s *stacks.Stack, p stacks.Plan) ([]importedService, error) {
	out := []importedService{}
	for _, c := range p.Changes {
		if c.Stack != im.name {
			continue
		}
		one := importedService{Name: c.Service, Action: c.Action, Causes: c.Causes, Differs: []string{}}
		if c.Action == stacks.ActionRecreate && len(c.Containers) > 0 {
			differs, err := im.m.engine.Differs(ctx, c.Containers[0], s.Project.Services[c.Service])
			if err != nil {
				return nil, err
			}
			one.Differs = append(one.Differs, differs...)
		}
		out = append(out, one)
	}
	return out, nil
}

// trusted refuses files that others may write: what is in them, root makes run.
func (im *importer) trusted(s *stacks.Stack) error {
	if os.Geteuid() != 0 {
		return nil
	}
	var files []string
	for _, f := range s.Files {
		files = append(files, "/"+f.Path)
	}
	if err := host.AdoptedFiles(s.Dir, files, im.m.app.preflightOf(im.m.platform).Owners); err != nil {
		return &refusedError{err: err, hint: hintOf(err)}
	}
	return nil
}

// absolute and relative write the project's files as seen from the directory.
func (im *importer) absolute(dir string, names []string) []string {
	var out []string
	for _, n := range names {
		out = append(out, filepath.Join(dir, n))
	}
	return out
}

func (im *importer) relative(dir string, files []string) []string {
	var out []string
	for _, f := range files {
		if rel, err := filepath.Rel(dir, f); err == nil && filepath.IsLocal(rel) {
			f = rel
		}
		out = append(out, f)
	}
	return out
}

// adoptedFiles gives, by the directories of adopted projects, the files that
// croft reads there.
func adoptedFiles(p stacks.Platform) map[string][]string {
	out := map[string][]string{}
	for _, c := range p.Stacks {
		if c.Adopt == nil {
			continue
		}
		list := slices.Concat(c.Adopt.Files, c.Adopt.EnvFiles, []string{".env"})
		if len(c.Adopt.Files) == 0 {
			list = append(list, stacks.DefaultComposeFiles(machineFiles(), c.Adopt.Dir)...)
		}
		for _, f := range list {
			if !filepath.IsAbs(f) {
				f = filepath.Join(c.Adopt.Dir, f)
			}
			out[c.Adopt.Dir] = append(out[c.Adopt.Dir], f)
		}
	}
	return out
}
