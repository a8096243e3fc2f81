package stacks

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/interpolation"
	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/tree"
	"github.com/compose-spec/compose-go/v2/types"
)

// composeInput is everything that decides what a project means.
type composeInput struct {
	name    string            // Compose project
	dir     string            // absolute; what relative paths are meant from
	base    string            // absolute; what the slash paths here are meant from
	files   []yamlFile        // Compose file and override, in order
	paths   []string          // their slash paths
	secrets map[string]string // x-croft secret -> the file it seems to be
	env     types.Mapping
	refs    *references
}

// project reads the files as docker compose does.
func (in composeInput) project() (project *types.Project, hide []string, err error) {
	defer recoverTo(&err)
	details := types.ConfigDetails{WorkingDir: in.dir, Environment: in.env.Clone()}
	hide = []string{in.dir}
	temporary := ""
	if len(in.refs.wanted) > 0 {
		root, remove, err := in.refs.materialise(in.base)
		if err != nil {
			return nil, hide, err
		}
		defer remove()
		temporary = root
		details.WorkingDir = filepath.Join(root, in.dir)
		hide = []string{details.WorkingDir, root, in.dir}
	}
	for i, f := range in.files {
		text, err := withoutXCroft(f)
		if err != nil {
			return nil, hide, err
		}
		details.ConfigFiles = append(details.ConfigFiles, types.ConfigFile{
			Filename: filepath.Join(temporary, in.base, filepath.FromSlash(in.paths[i])), Content: text})
	}
	if len(in.secrets) > 0 {
		details.ConfigFiles = append(details.ConfigFiles, in.secretsFile())
	}
	model, err := loader.LoadModelWithContext(context.Background(), details, in.options)
	if err != nil {
		return nil, hide, err
	}
	if temporary != "" {
		model = restored(model, temporary).(map[string]any)
		details.WorkingDir = in.dir
	}
	project, err = loader.ModelToProject(model, loader.ToOptions(&details, []func(*loader.Options){in.options}), details)
	if err != nil {
		return nil, hide, err
	}
	for _, p := range in.paths {
		project.ComposeFiles = append(project.ComposeFiles, filepath.Join(in.base, filepath.FromSlash(p)))
	}
	return project, hide, nil
}

// secretsFile declares the x-croft secrets, so that services may name them.
// Render puts the real place of each file in.
func (in composeInput) secretsFile() types.ConfigFile {
	declared := map[string]any{}
	for n, file := range in.secrets {
		declared[n] = map[string]any{"file": file}
	}
	return types.ConfigFile{Filename: filepath.Join(in.dir, "x-croft.secrets"), Config: map[string]any{"secrets": declared}}
}

// options make compose-go pure: a fixed name, no remote loaders, no files read
// afterwards, and as little as possible written to its global log.
func (in composeInput) options(o *loader.Options) {
	o.SetProjectName(in.name, true)
	o.Profiles = profiles(in.env)
	o.SkipResolveEnvironment = true // done from what was read already, below
	o.SkipResolveLabels = true
	o.Interpolate.Substitute = func(s string, m template.Mapping) (string, error) {
		return template.SubstituteWithOptions(s, m, template.WithoutLogging)
	}
	o.Interpolate.TypeCastMapping = quietBooleans(o.Interpolate.TypeCastMapping)
}

// quietBooleans takes yes and no as compose-go does, but without a line on its
// log for each.
func quietBooleans(casts map[tree.Path]interpolation.Cast) map[tree.Path]interpolation.Cast {
	out := maps.Clone(casts)
	for p, cast := range casts {
		if v, err := cast("true"); err != nil || v != true {
			continue
		}
		out[p] = func(s string) (any, error) {
			switch strings.ToLower(s) {
			case "y", "yes", "on":
				return true, nil
			case "n", "no", "off":
				return false, nil
			}
			return cast(s)
		}
	}
	return out
}

// mappingFiles reads env_file and label_file from the stack's own files, with
// the meaning of types.Project.WithServicesEnvironmentResolved(true) and
// WithServicesLabelsResolved(true), which would open them by path.
type mappingFiles struct {
	dir      string
	root     string
	files    map[string]File
	host     *hostFiles // where the files of an adopted project are read
	at       *locator
	problems Problems
}

func (m *mappingFiles) resolve(p *types.Project) {
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		s := p.Services[name]
		s.Environment = s.Environment.Resolve(p.Environment.Resolve)
		m.environment(p, name, &s)
		m.labels(name, &s)
		p.Services[name] = s
	}
}

func (m *mappingFiles) environment(p *types.Project, name string, s *types.ServiceConfig) {
	given := s.Environment
	vars := given.ToMapping()
	lookup := func(k string) (string, bool) {
		if v, ok := p.Environment.Resolve(k); ok {
			return v, true
		}
		if v, ok := given[k]; ok && v != nil {
			return *v, true
		}
		return "", false
	}
	for _, f := range s.EnvFiles {
		m.read("services."+name+".env_file", f.Path, f.Format, bool(f.Required), vars, lookup)
	}
	s.Environment = vars.ToMappingWithEquals().OverrideBy(given)
	s.EnvFiles = nil
}

func (m *mappingFiles) labels(name string, s *types.ServiceConfig) {
	labels := types.MappingWithEquals{}
	lookup := func(k string) (string, bool) {
		if v, ok := labels[k]; ok && v != nil {
			return *v, true
		}
		return "", false
	}
	for _, f := range s.LabelFiles {
		vars := types.Mapping{}
		m.read("services."+name+".label_file", f, "", true, vars, lookup)
		labels.OverrideBy(vars.ToMappingWithEquals())
	}
	if labels = labels.OverrideBy(s.Labels.ToMappingWithEquals()); len(labels) > 0 {
		s.Labels = types.NewLabelsFromMappingWithEquals(labels)
	}
	s.LabelFiles = nil
}

// read adds one file to vars.
func (m *mappingFiles) read(at, file, format string, required bool, vars types.Mapping, lookup dotenv.LookupFn) {
	add := func(message, hint string) { m.problems = append(m.problems, m.at.problem(at, message, hint)) }
	rel, err := filepath.Rel(m.dir, file)
	if rel = filepath.ToSlash(rel); err != nil || rel == ".." || strings.HasPrefix(rel, "../") {
		add(file+" is outside of the stack's directory", "the stack's directory must hold the file")
		return
	}
	f, ok := m.files[rel]
	if m.host != nil {
		found, problem := m.host.file(file)
		f, ok = found, problem == nil
	}
	if !ok {
		if required {
			add("no file "+rel+" in this stack", meant(rel, slices.Collect(maps.Keys(m.files))))
		}
		return
	}
	if format != "" && format != dotenv.DotEnv && format != "raw" {
		add("the format "+format+" is not known", "leave format out")
		return
	}
	err = func() (err error) {
		defer recoverTo(&err)
		if format == "raw" {
			return rawVariables(f.Content, vars, lookup)
		}
		return dotenv.ParseWithFormat(bytes.NewReader(f.Content), rel, vars, lookup, format)
	}()
	if err != nil {
		p := dotenvProblem(path.Join(m.root, rel), err)
		p.Subject = at
		m.problems = append(m.problems, p)
	}
}

// rawVariables is the format raw of docker compose: what is behind the first =
// is the value, quotes and dollar signs included.
func rawVariables(content []byte, vars types.Mapping, lookup dotenv.LookupFn) error {
	for i, line := range strings.Split(string(bytes.TrimPrefix(content, []byte("\ufeff"))), "\n") {
		line = strings.TrimLeft(strings.TrimSuffix(line, "\r"), " \t")
		if line == "" || line[0] == '#' {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if key == "" || strings.ContainsAny(key, " \t") {
			return fmt.Errorf("line %d: no name of a variable", i+1)
		}
		if !ok {
			if value, ok = lookup(key); !ok {
				continue
			}
		}
		vars[key] = value
	}
	return nil
}
