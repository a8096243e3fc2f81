package templates

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/croft-sh/croft/stacks"
)

// Input is everything Render depends on.
type Input struct {
	Desired stacks.Desired
	Lock    stacks.Lock // must hold a subnet for every key of Networks(Desired)
	// Fingerprints of existing secrets by "<stack>/<name>". A missing one makes
	// the label differ from every container's, so its service is due.
	Fingerprints map[string]string
	Host         Host
}

// Host is where things lie on this machine; all absolute.
type Host struct {
	LiveDir    string // <state>/live
	SecretsDir string // <run>/secrets
}

// Render turns what is desired into what would run. It fails only on what the
// lock or the stacks' templates get wrong.
func Render(in Input) (stacks.Rendered, stacks.Problems) {
	r := renderer{in: in, out: stacks.Rendered{Platform: in.Desired.Platform.Name, Warnings: in.Desired.Warnings}}
	r.links = linksOf(in.Desired)
	if err := r.resolveAddresses(); err != nil {
		return stacks.Rendered{}, stacks.Problems{{Severity: stacks.SeverityError, Subject: "network", Message: err.Error()}}
	}
	r.out.Stacks = make([]stacks.RenderedStack, len(in.Desired.Stacks))
	problems := make([]stacks.Problems, len(in.Desired.Stacks))
	var group sync.WaitGroup
	for i, s := range in.Desired.Stacks { // no stack reads what another's render makes
		group.Go(func() { r.out.Stacks[i], problems[i] = r.stack(s) })
	}
	group.Wait()
	for _, ps := range problems {
		r.problems = append(r.problems, ps...)
	}
	if err := r.sharedNetworks(); err != nil {
		r.problems = append(r.problems, stacks.Problem{Severity: stacks.SeverityError, Subject: "network", Message: err.Error()})
	}
	return r.out, r.problems
}

// Networks gives every network that needs a subnet of its own.
func Networks(d stacks.Desired) []stacks.NetworkNeed {
	var needs []stacks.NetworkNeed
	for _, l := range linksOf(d) {
		needs = append(needs, stacks.NetworkNeed{Key: l.key, Hosts: len(l.members) + len(l.hubs)})
	}
	for _, s := range d.Stacks {
		for key, n := range s.Project.Networks {
			if ownSubnet(n) && s.Adopted == nil {
				needs = append(needs, stacks.NetworkNeed{Key: ownNetworkKey(s.Name, key), Hosts: replicas(s.Project)})
			}
		}
	}
	return needs
}

func ownNetworkKey(stack, network string) string { return stack + "/" + network }

// ownSubnet tells whether croft chooses the network's addresses: an ordinary
// bridge whose author did not.
func ownSubnet(n types.NetworkConfig) bool {
	return !bool(n.External) && (n.Driver == "" || n.Driver == "bridge") && len(n.Ipam.Config) == 0 && n.Ipam.Driver == ""
}

// ownNetworks gives the networks that Compose makes for the project.
func ownNetworks(p *types.Project) []stacks.RenderedNetwork {
	var out []stacks.RenderedNetwork
	for _, key := range p.NetworkNames() {
		n := p.Networks[key]
		if bool(n.External) {
			continue
		}
		one := stacks.RenderedNetwork{Name: n.Name, Internal: n.Internal}
		if len(n.Ipam.Config) > 0 {
			one.Subnet = n.Ipam.Config[0].Subnet
		}
		out = append(out, one)
	}
	return out
}

func replicas(p *types.Project) int {
	total := 0
	for _, s := range p.Services {
		total += s.GetScale()
	}
	return total
}

type renderer struct {
	in        Input
	links     []link
	addresses map[string]map[string]string // stack -> name -> IPv4
	out       stacks.Rendered
	problems  stacks.Problems
}

// stack renders one stack: the decorated project and the files beside it.
func (r *renderer) stack(s *stacks.Stack) (stacks.RenderedStack, stacks.Problems) {
	rs := stacks.RenderedStack{Name: s.Name, Project: s.Project.Name, Wave: s.Wave, Adopted: s.Adopted != nil, Plain: s.Plain()}
	if rs.Plain {
		if err := r.plain(s, &rs); err != nil {
			return rs, stacks.Problems{{Severity: stacks.SeverityError, File: s.File, Subject: "stack " + s.Name, Message: err.Error()}}
		}
		return rs, nil
	}
	if s.X != nil {
		rs.Setup, rs.Disposable = s.X.Setup, disposable(s.X)
	}
	files, err := r.stackFiles(s)
	if err != nil {
		return rs, stacks.Problems{{Severity: stacks.SeverityError, File: "stacks/" + s.Name, Subject: "stack " + s.Name, Message: err.Error()}}
	}
	d := decorator{r: r, s: s, files: files}
	project, err := d.services(s.Project)
	if err != nil {
		return rs, stacks.Problems{{Severity: stacks.SeverityError, File: s.File, Subject: "stack " + s.Name, Message: err.Error()}}
	}
	d.networks(project)
	rs.Networks = ownNetworks(project)
	rs.Volumes, rs.Databases = d.volumes(project), r.databases(s.Name)
	dropResources(project)
	if err := d.finish(project, &rs); err != nil {
		return rs, stacks.Problems{{Severity: stacks.SeverityError, File: s.File, Subject: "stack " + s.Name, Message: err.Error()}}
	}
	return rs, nil
}

// services decorates each service of a copy of the project, one after the other:
// WithServicesTransform does it in goroutines, and a decorator takes notes.
func (d *decorator) services(p *types.Project) (*types.Project, error) {
	out, err := p.WithServicesTransform(func(_ string, svc types.ServiceConfig) (types.ServiceConfig, error) { return svc, nil })
	if err != nil {
		return nil, err
	}
	for _, name := range out.ServiceNames() {
		svc, err := d.service(name, out.Services[name])
		if err != nil {
			return nil, err
		}
		out.Services[name] = svc
	}
	return out, nil
}

// dropResources takes out what is only there for compose-go: the top-level
// definitions of x-croft secrets and extension blocks.
func dropResources(p *types.Project) {
	for name, secret := range p.Secrets {
		if strings.Contains(secret.File, strings.TrimPrefix(stacks.SecretFilePrefix, ".")) {
			delete(p.Secrets, name)
		}
	}
	delete(p.Extensions, "x-croft")
}

// finish hashes the services, labels them, and writes compose.yaml.
func (d *decorator) finish(project *types.Project, rs *stacks.RenderedStack) error {
	for _, name := range inOrder(project) {
		svc := project.Services[name]
		text, err := d.serviceText(svc)
		if err != nil {
			return err
		}
		out := d.describe(project, svc)
		out.Spec = hash(text)
		svc.Labels = maps.Clone(svc.Labels)
		if svc.Labels == nil {
			svc.Labels = types.Labels{}
		}
		svc.Labels[stacks.LabelPlatform] = d.r.in.Desired.Platform.Name
		svc.Labels[stacks.LabelStack] = d.s.Name
		svc.Labels[stacks.LabelSpec] = out.Spec
		setIf(svc.Labels, stacks.LabelFiles, out.Files)
		setIf(svc.Labels, stacks.LabelSecrets, out.Secrets)
		project.Services[name] = svc
		rs.Services = append(rs.Services, out)
	}
	raw, err := project.MarshalYAML()
	if err != nil {
		return fmt.Errorf("compose.yaml: %w", err)
	}
	rs.Files = append(rs.Files, stacks.RenderedFile{Path: stacks.ComposeFile, Content: d.settle(raw), Mode: 0o600})
	for _, path := range slices.Sorted(maps.Keys(d.files.used)) {
		rs.Files = append(rs.Files, d.files.byPath[path])
	}
	return nil
}

func setIf(labels types.Labels, key, value string) {
	if value != "" {
		labels[key] = value
	}
}

// settle puts fixed addresses in and escapes every "$", so that Compose reads
// back exactly what was rendered.
func (d *decorator) settle(raw []byte) []byte {
	raw = bytes.ReplaceAll(raw, []byte("$"), []byte("$$"))
	addresses := d.r.addresses[d.s.Name]
	names := slices.Collect(maps.Keys(addresses))
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	for _, name := range names { // the longest first: one name may begin with another
		raw = bytes.ReplaceAll(raw, []byte(stacks.AddressPlaceholder(name)), []byte(addresses[name]))
	}
	return raw
}

// serviceText is the service as it is hashed: with addresses in place, without
// croft's own labels.
func (d *decorator) serviceText(svc types.ServiceConfig) ([]byte, error) {
	one := types.Project{Name: d.s.Project.Name, Services: types.Services{svc.Name: svc}}
	raw, err := one.MarshalYAML()
	if err != nil {
		return nil, fmt.Errorf("service %s: %w", svc.Name, err)
	}
	return d.settle(raw), nil
}

// inOrder gives the services of a project, each after those it depends on.
func inOrder(p *types.Project) []string {
	var out []string
	seen := map[string]bool{}
	var visit func(name string)
	visit = func(name string) {
		if seen[name] {
			return
		}
		seen[name] = true
		svc, ok := p.Services[name]
		if !ok {
			return
		}
		for _, dep := range append(slices.Sorted(maps.Keys(svc.DependsOn)), follows(svc)...) {
			visit(dep)
		}
		out = append(out, name)
	}
	for _, name := range p.ServiceNames() {
		visit(name)
	}
	return out
}
