package templates

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/croft-sh/croft/stacks"
)

// Bounds that every container gets unless its author says otherwise: json-file
// logs grow without end by default.
const (
	logMaxSize = "10m"
	logMaxFile = "3"
)

// Limits that x-croft brings.
const (
	defaultPids   = 256
	defaultMemory = 256 << 20 // bytes
	defaultCPUs   = 1.0
)

// secretsTarget is where a service finds its secrets: one directory, so that a
// replaced file is seen without a new container.
const secretsTarget = "/run/secrets"

func hash(parts ...[]byte) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:", len(p))
		h.Write(p)
	}
	return hex.EncodeToString(h.Sum(nil)[:12])
}

// decorator works on one stack.
type decorator struct {
	r     *renderer
	s     *stacks.Stack
	files *liveFiles
	data  []stacks.RenderedVolume // data directories behind relative binds
	found map[string]*usage       // by service
}

// usage is what a service was seen to use while it was decorated.
type usage struct {
	mounts []string // live files, slash paths
	grants []stacks.Grant
	keys   map[string][]string // grant path base -> secret keys behind it
	// volumes are the keys of what it mounts, as in RenderedVolume.
	volumes []string
}

func (d *decorator) use(service string) *usage {
	if d.found == nil {
		d.found = map[string]*usage{}
	}
	if d.found[service] == nil {
		d.found[service] = &usage{keys: map[string][]string{}}
	}
	return d.found[service]
}

// service decorates one service. A stack without x-croft keeps its meaning: it
// gets log bounds, subnets and labels, nothing else.
func (d *decorator) service(name string, svc types.ServiceConfig) (types.ServiceConfig, error) {
	if svc.Logging == nil && svc.LogDriver == "" {
		svc.Logging = &types.LoggingConfig{Driver: "json-file", Options: types.Options{"max-size": logMaxSize, "max-file": logMaxFile}}
	}
	if err := d.mounts(name, &svc); err != nil {
		return svc, err
	}
	if err := d.secrets(name, &svc); err != nil {
		return svc, err
	}
	d.attach(name, &svc)
	if d.s.X != nil {
		d.harden(name, &svc)
		if err := d.r.routeLabels(d.s, name, &svc); err != nil {
			return svc, err
		}
	}
	return svc, nil
}

// mounts points relative binds at live files (configuration) or at storage (data).
func (d *decorator) mounts(name string, svc *types.ServiceConfig) error {
	use := d.use(name)
	svc.Volumes = slices.Clone(svc.Volumes)
	for i, v := range svc.Volumes {
		if v.Type == types.VolumeTypeVolume {
			use.volumes = append(use.volumes, d.s.Name+"/"+v.Source)
		}
		if v.Type != types.VolumeTypeBind {
			continue
		}
		rel, inside := d.relative(v.Source)
		if !inside {
			continue
		}
		if d.s.Adopted != nil {
			d.keepBind(use, rel, v)
			continue
		}
		if paths := d.files.under(rel); len(paths) > 0 {
			use.mounts = append(use.mounts, paths...)
			svc.Volumes[i].Source = filepath.Join(d.r.in.Host.LiveDir, d.s.Name, filepath.FromSlash(rel))
			continue
		}
		place := d.place(bindKey(rel), "")
		svc.Volumes[i].Source = place.Path
		d.data = append(d.data, place)
		use.volumes = append(use.volumes, place.Key)
	}
	return nil
}

// bindKey is the key of a data directory in the lock. No volume's name begins with
// a dot.
func bindKey(rel string) string { return ".binds/" + rel }

// relative gives the slash path of an absolute one within the stack's directory.
func (d *decorator) relative(source string) (string, bool) {
	rel, err := filepath.Rel(d.s.Dir, source)
	if err != nil || rel == ".." || strings.HasPrefix(rel, "../") {
		return "", false
	}
	return filepath.ToSlash(rel), true
}

// place is where a volume's data lies: where the lock says, else under the root
// of its class.
func (d *decorator) place(key, name string) stacks.RenderedVolume {
	spec := stacks.VolumeSpec{}
	if d.s.X != nil {
		spec = d.s.X.Storage[key]
	}
	class := spec.Class
	if class == "" {
		class = "containers"
	}
	v := stacks.RenderedVolume{Key: d.s.Name + "/" + key, Name: name, Class: class, Owner: spec.Owner}
	if locked, ok := d.r.in.Lock.Volumes[v.Key]; ok {
		v.Class, v.Path = locked.Class, locked.Path
		return v
	}
	v.Path = filepath.Join(d.r.in.Desired.Platform.Root(class), d.s.Name, filepath.FromSlash(path.Clean(key)))
	return v
}

// volumes makes every ordinary named volume a directory under a storage root.
func (d *decorator) volumes(p *types.Project) []stacks.RenderedVolume {
	out := slices.Clone(d.data)
	if d.s.Adopted != nil {
		return d.kept(p)
	}
	for _, key := range p.VolumeNames() {
		v := p.Volumes[key]
		if !ordinary(v) {
			continue
		}
		place := d.place(key, v.Name)
		v.Driver = "local"
		v.DriverOpts = types.Options{"type": "none", "o": "bind", "device": place.Path}
		v.Labels = types.Labels{stacks.LabelPlatform: d.r.in.Desired.Platform.Name, stacks.LabelStack: d.s.Name}
		p.Volumes[key] = v
		out = append(out, place)
	}
	slices.SortFunc(out, func(a, b stacks.RenderedVolume) int { return strings.Compare(a.Key, b.Key) })
	return slices.CompactFunc(out, func(a, b stacks.RenderedVolume) bool { return a.Key == b.Key })
}

// secrets turns x-croft secrets into files of one directory, mounted read-only.
func (d *decorator) secrets(name string, svc *types.ServiceConfig) error {
	if d.s.X == nil {
		return nil
	}
	var kept []types.ServiceSecretConfig
	use := d.use(name)
	for _, ref := range svc.Secrets {
		spec, own := d.s.X.Secrets[ref.Source]
		if !own {
			kept = append(kept, ref)
			continue
		}
		target := ref.Target
		if target == "" {
			target = ref.Source
		}
		target = strings.TrimPrefix(target, secretsTarget+"/")
		if strings.Contains(target, "/") {
			return fmt.Errorf("service %s: secret %s: target must be a file name, croft puts it under %s", name, ref.Source, secretsTarget)
		}
		grant, keys, err := d.grant(name, ref.Source, target, spec, svc.User)
		if err != nil {
			return fmt.Errorf("service %s: secret %s: %w", name, ref.Source, err)
		}
		use.grants = append(use.grants, grant)
		use.keys[grant.Path] = keys
	}
	if len(use.grants) == 0 {
		return nil
	}
	if len(kept) > 0 {
		return fmt.Errorf("service %s: secrets of x-croft and of Compose cannot be mixed in one service; make %s a secret of x-croft", name, kept[0].Source)
	}
	slices.SortFunc(use.grants, func(a, b stacks.Grant) int { return strings.Compare(a.Path, b.Path) })
	svc.Secrets = nil
	svc.Volumes = append(svc.Volumes, types.ServiceVolumeConfig{
		Type: types.VolumeTypeBind, Source: d.secretsDir(name), Target: secretsTarget, ReadOnly: true,
		Bind: &types.ServiceVolumeBind{CreateHostPath: false},
	})
	return nil
}

func (d *decorator) secretsDir(service string) string {
	return filepath.Join(d.r.in.Host.SecretsDir, d.s.Name, service)
}

// grant describes one secret file, and the stored secrets that are in it.
func (d *decorator) grant(service, name, target string, spec stacks.SecretSpec, user string) (stacks.Grant, []string, error) {
	uid, gid, err := numericUser(user)
	if err != nil {
		return stacks.Grant{}, nil, err
	}
	g := stacks.Grant{Secret: d.s.Name + "/" + name, Path: filepath.Join(d.secretsDir(service), target), UID: uid, GID: gid}
	if spec.Template == "" {
		return g, []string{g.Secret}, nil
	}
	var keys []string
	g.Template, keys, err = d.r.secretTemplate(d.s, spec.Template)
	return g, keys, err
}

func numericUser(user string) (uid, gid int, err error) {
	u, g, both := strings.Cut(user, ":")
	if uid, err = strconv.Atoi(u); err != nil {
		return 0, 0, fmt.Errorf("the service needs a numeric user such as \"1000:1000\", which will own the file")
	}
	if !both {
		return uid, uid, nil
	}
	if gid, err = strconv.Atoi(g); err != nil {
		return 0, 0, fmt.Errorf("the service needs a numeric group in user %q", user)
	}
	return uid, gid, nil
}

// harden brings the defaults of x-croft where the author said nothing.
func (d *decorator) harden(name string, svc *types.ServiceConfig) {
	answer := d.s.X.Harden[name]
	job := d.isJob(name)
	if svc.Restart == "" && !job && (svc.Deploy == nil || svc.Deploy.RestartPolicy == nil) {
		svc.Restart = "unless-stopped"
	}
	if !slices.ContainsFunc(svc.SecurityOpt, func(o string) bool { return strings.HasPrefix(o, "no-new-privileges") }) {
		svc.SecurityOpt = append(slices.Clone(svc.SecurityOpt), "no-new-privileges:true")
	}
	if len(svc.CapDrop) == 0 && !svc.Privileged {
		svc.CapDrop = []string{"ALL"}
		svc.CapAdd = append(slices.Clone(svc.CapAdd), answer.Caps...)
	}
	if !answer.Writable {
		svc.ReadOnly = true
		if !mounts(*svc, "/tmp") {
			svc.Tmpfs = append(slices.Clone(svc.Tmpfs), "/tmp")
		}
	}
	limits := svc.Deploy != nil && svc.Deploy.Resources.Limits != nil
	if svc.PidsLimit == 0 && !limits {
		svc.PidsLimit = defaultPids
	}
	if svc.MemLimit == 0 && !limits {
		svc.MemLimit = defaultMemory
	}
	if svc.CPUS == 0 && svc.CPUQuota == 0 && !limits {
		svc.CPUS = defaultCPUs
	}
}

func mounts(svc types.ServiceConfig, target string) bool {
	for _, v := range svc.Volumes {
		if v.Target == target {
			return true
		}
	}
	return slices.ContainsFunc(svc.Tmpfs, func(t string) bool { return t == target || strings.HasPrefix(t, target+":") })
}

func (d *decorator) isJob(name string) bool {
	if d.s.X != nil && slices.Contains(d.s.X.Jobs, name) {
		return true
	}
	for _, svc := range d.s.Project.Services {
		if dep, ok := svc.DependsOn[name]; ok && dep.Condition == types.ServiceConditionCompletedSuccessfully {
			return true
		}
	}
	return false
}

// attach puts the service on the links it takes part in.
func (d *decorator) attach(name string, svc *types.ServiceConfig) {
	svc.Networks = maps.Clone(svc.Networks)
	for _, l := range d.r.linksFor(d.s.Name, name) {
		if svc.Networks == nil {
			svc.Networks = map[string]*types.ServiceNetworkConfig{}
		}
		svc.Networks[l.composeKey()] = &types.ServiceNetworkConfig{
			Aliases: l.members[name], Ipv4Address: d.r.fixedAddress(d.s, name, l.key),
		}
	}
	for key := range svc.Networks {
		address := d.r.fixedAddress(d.s, name, ownNetworkKey(d.s.Name, key))
		if address == "" {
			continue
		}
		config := types.ServiceNetworkConfig{}
		if svc.Networks[key] != nil {
			config = *svc.Networks[key]
		}
		config.Ipv4Address = address
		svc.Networks[key] = &config
	}
}

// networks gives own networks their subnet and declares the links as external:
// croft makes those before any project starts.
func (d *decorator) networks(p *types.Project) {
	p.Networks = maps.Clone(p.Networks)
	if p.Networks == nil {
		p.Networks = types.Networks{}
	}
	for key, n := range p.Networks {
		if !ownSubnet(n) || d.s.Adopted != nil { // another subnet would be another network
			continue
		}
		plan, err := stacks.PlanSubnet(d.r.in.Lock.Subnets[ownNetworkKey(d.s.Name, key)])
		if err != nil {
			continue // the lock was made from Networks(): it holds every key
		}
		n.Ipam.Config = []*types.IPAMPool{{Subnet: plan.Subnet, Gateway: plan.Gateway, IPRange: plan.Dynamic}}
		p.Networks[key] = n
	}
	for _, l := range d.r.links {
		if l.stack == d.s.Name {
			p.Networks[l.composeKey()] = types.NetworkConfig{Name: d.r.engineName(l.key), External: true}
		}
	}
}
