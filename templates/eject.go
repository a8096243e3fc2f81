package templates

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/croft-sh/croft/stacks"
)

// EjectPlaces is where on this machine things lie that move with an ejected
// platform; all absolute. SourceDir is the directory of the stacks' sources.
type EjectPlaces struct {
	LiveDir, SecretsDir, UsersDir, StateDir, RunDir, SourceDir string
}

// Ejected is a platform as projects that need nothing of croft: what to write
// below one directory. Paths are slash paths within it.
type Ejected struct {
	Files   []stacks.RenderedFile
	Secrets map[string]string // path of a grant -> where the file goes
	Users   bool              // some service reads the accounts, from EjectedUsers
	Data    []string          // directories of this machine that stay in use, sorted
}

// secretsOf and sourceOf are directories within an ejected stack. EjectedUsers
// is beside the stacks, as several may read it; no stack can be named so.
const (
	secretsOf    = "secrets"
	sourceOf     = "source"
	EjectedUsers = "users.d"
)

// Eject turns what would run into ordinary Compose projects. Each shared network
// is declared by the stack that it is for, and external to the one that serves
// it, whose project lists it. Volumes keep their definition to the letter:
// Compose would offer to make a changed one anew, without its data.
func Eject(d stacks.Desired, r stacks.Rendered, places EjectPlaces) (Ejected, error) {
	e := ejecter{d: d, r: r, at: places, owners: map[string]owner{}, out: Ejected{Secrets: map[string]string{}}}
	projects := make([]*types.Project, len(r.Stacks))
	for i, s := range r.Stacks {
		var err error
		if projects[i], err = loadRendered(s); err != nil {
			return Ejected{}, fmt.Errorf("stack %s: %w", s.Name, err)
		}
		e.claim(s, projects[i])
	}
	data := map[string]bool{}
	for i, s := range r.Stacks {
		if err := e.stack(s, projects[i]); err != nil {
			return Ejected{}, fmt.Errorf("stack %s: %w", s.Name, err)
		}
		for _, v := range s.Volumes {
			if v.Path != "" {
				data[v.Path] = true
			}
		}
	}
	e.out.Data = slices.Sorted(maps.Keys(data))
	e.out.Files = append(e.out.Files,
		stacks.RenderedFile{Path: "up.sh", Content: e.script(), Mode: 0o700},
		stacks.RenderedFile{Path: "README.md", Content: e.readme(), Mode: 0o600})
	return e.out, nil
}

// loadRendered reads a rendered compose.yaml back; rendering and loading again
// gives an equal project.
func loadRendered(s stacks.RenderedStack) (*types.Project, error) {
	return loader.LoadWithContext(context.Background(), types.ConfigDetails{
		WorkingDir:  "/",
		ConfigFiles: []types.ConfigFile{{Filename: "/" + stacks.ComposeFile, Content: s.Compose()}},
	}, func(o *loader.Options) {
		o.SetProjectName(s.Project, true)
		o.SkipResolveEnvironment = true
	})
}

type ejecter struct {
	d      stacks.Desired
	r      stacks.Rendered
	at     EjectPlaces
	owners map[string]owner // by the network's name on the engine
	out    Ejected
}

// owner is the project that declares a shared network, and its key there.
type owner struct{ stack, project, key string }

// claim notes which shared networks a stack is the consumer of: its own project
// attaches them, while croft joins the serving side by other means.
func (e *ejecter) claim(s stacks.RenderedStack, p *types.Project) {
	for _, key := range p.NetworkNames() {
		for _, n := range e.r.Networks {
			if n.Name == p.Networks[key].Name {
				e.owners[n.Name] = owner{stack: s.Name, project: s.Project, key: key}
			}
		}
	}
}

func (e *ejecter) stack(s stacks.RenderedStack, p *types.Project) error {
	for _, n := range e.r.Networks {
		if o, ok := e.owners[n.Name]; ok && o.stack == s.Name {
			p.Networks[o.key] = declared(n)
		}
	}
	for _, name := range p.ServiceNames() {
		svc, err := e.service(s, p.Services[name])
		if err != nil {
			return fmt.Errorf("service %s: %w", name, err)
		}
		e.serve(s, p, &svc)
		p.Services[name] = svc
	}
	if err := e.fileObjects(s, p); err != nil {
		return err
	}
	raw, err := p.MarshalYAML()
	if err != nil {
		return fmt.Errorf("compose.yaml: %w", err)
	}
	// What Compose reads back must be what is meant, so every $ is escaped.
	raw = bytes.ReplaceAll(raw, []byte("$"), []byte("$$"))
	e.out.Files = append(e.out.Files, stacks.RenderedFile{Path: path.Join(s.Name, stacks.ComposeFile), Content: raw, Mode: 0o600})
	for _, f := range s.Files {
		if f.Path != stacks.ComposeFile {
			f.Path = path.Join(s.Name, f.Path)
			e.out.Files = append(e.out.Files, f)
		}
	}
	for _, svc := range s.Services {
		for _, g := range svc.Grants {
			e.out.Secrets[g.Path] = path.Join(s.Name, secretsOf, svc.Name, filepath.Base(g.Path))
		}
	}
	return nil
}

// declared is the definition of a shared network as croft makes it.
func declared(n stacks.SharedNetwork) types.NetworkConfig {
	return types.NetworkConfig{Name: n.Name, Internal: n.Internal, Ipam: types.IPAMConfig{
		Config: []*types.IPAMPool{{Subnet: n.Subnet, Gateway: n.Gateway, IPRange: n.Range}},
	}}
}

// serve lists, in the project of a hub, the networks that croft joins it to.
func (e *ejecter) serve(s stacks.RenderedStack, p *types.Project, svc *types.ServiceConfig) {
	for _, n := range e.r.Networks {
		for _, h := range n.Hubs {
			if h.Stack != s.Name || h.Service != svc.Name {
				continue
			}
			key := n.Key
			if _, taken := p.Networks[key]; taken {
				key = n.Name
			}
			if p.Networks == nil {
				p.Networks = types.Networks{}
			}
			p.Networks[key] = types.NetworkConfig{Name: n.Name, External: true}
			svc.Networks = maps.Clone(svc.Networks)
			if svc.Networks == nil {
				svc.Networks = map[string]*types.ServiceNetworkConfig{}
			}
			svc.Networks[key] = &types.ServiceNetworkConfig{Aliases: h.Aliases}
		}
	}
}

// service takes croft's own labels off, but for the one that Traefik goes by,
// and points its mounts into the ejected directory.
func (e *ejecter) service(s stacks.RenderedStack, svc types.ServiceConfig) (types.ServiceConfig, error) {
	svc.Labels = maps.Clone(svc.Labels)
	for key := range svc.Labels {
		if strings.HasPrefix(key, "croft.") && key != stacks.LabelRoute {
			delete(svc.Labels, key)
		}
	}
	if len(svc.Labels) == 0 {
		svc.Labels = nil
	}
	svc.Volumes = slices.Clone(svc.Volumes)
	for i, v := range svc.Volumes {
		if v.Type != types.VolumeTypeBind {
			continue
		}
		source, err := e.moved(s, v.Source)
		if err != nil {
			return svc, err
		}
		svc.Volumes[i].Source = source
	}
	if svc.Build != nil {
		build := *svc.Build
		if rel, ok := below(filepath.Join(e.at.SourceDir, s.Name), build.Context); ok {
			build.Context = "./" + path.Join(sourceOf, rel)
			e.source(s)
		}
		svc.Build = &build
	}
	return svc, nil
}

// source brings the files of a stack along that an image is built from.
func (e *ejecter) source(s stacks.RenderedStack) {
	from, ok := e.d.Stack(s.Name)
	if !ok || slices.ContainsFunc(e.out.Files, func(f stacks.RenderedFile) bool { return strings.HasPrefix(f.Path, s.Name+"/"+sourceOf+"/") }) {
		return
	}
	for _, f := range from.Files {
		e.out.Files = append(e.out.Files, stacks.RenderedFile{Path: path.Join(s.Name, sourceOf, f.Path), Content: f.Content, Mode: uint32(f.Mode.Perm())})
	}
}

// fileObjects points Compose's own configs and secrets into the ejected directory.
func (e *ejecter) fileObjects(s stacks.RenderedStack, p *types.Project) error {
	for name, c := range p.Configs {
		if c.File == "" {
			continue
		}
		file, err := e.moved(s, c.File)
		if err != nil {
			return fmt.Errorf("config %s: %w", name, err)
		}
		c.File = file
		p.Configs[name] = c
	}
	for name, c := range p.Secrets {
		if c.File == "" {
			continue
		}
		file, err := e.moved(s, c.File)
		if err != nil {
			return fmt.Errorf("secret %s: %w", name, err)
		}
		c.File = file
		p.Secrets[name] = c
	}
	return nil
}

// moved gives the place of a mounted path after the ejection, relative to the
// stack's project, so that the directory may be moved as a whole. What lies
// outside of croft's own directories stays where it is.
func (e *ejecter) moved(s stacks.RenderedStack, source string) (string, error) {
	if rel, ok := below(filepath.Join(e.at.SecretsDir, s.Name), source); ok {
		return "./" + path.Join(secretsOf, rel), nil
	}
	if rel, ok := below(filepath.Join(e.at.LiveDir, s.Name), source); ok {
		if rel == "." && granted(s) {
			return "", fmt.Errorf("it mounts the whole directory of its stack, in which the secrets would lie: mount a directory in it instead")
		}
		return "./" + rel, nil
	}
	if rel, ok := below(e.at.UsersDir, source); ok {
		e.out.Users = true
		return path.Join("..", EjectedUsers, rel), nil
	}
	for _, dir := range []string{e.at.StateDir, e.at.RunDir} {
		if _, inside := below(dir, source); inside {
			return "", fmt.Errorf("it mounts %s, which is croft's own and goes with croft", source)
		}
	}
	return source, nil
}

// below gives the slash path of an absolute one within dir, "." for dir itself.
func below(dir, name string) (string, bool) {
	if dir == "" {
		return "", false
	}
	rel, err := filepath.Rel(dir, name)
	if err != nil || !filepath.IsLocal(rel) {
		return "", false
	}
	return filepath.ToSlash(rel), true
}

func granted(s stacks.RenderedStack) bool {
	return slices.ContainsFunc(s.Services, func(svc stacks.RenderedService) bool { return len(svc.Grants) > 0 })
}
