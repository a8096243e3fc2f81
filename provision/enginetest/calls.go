package enginetest

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/croft-sh/croft/provision"
	"github.com/croft-sh/croft/stacks"
)

const projectLabel = "com.docker.compose.project"

// Observe gives what belongs to the platform.
func (f *Fake) Observe(ctx context.Context, platform string) (stacks.State, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.called(ctx, "observe", platform); err != nil {
		return stacks.State{}, err
	}
	s := stacks.State{Engine: "fake", Images: map[string]string{}, Places: map[string]string{}}
	for _, v := range f.volumes {
		if path := v.DataPath(); path != "" {
			s.Places[v.Name] = path
		}
	}
	for ref, id := range f.images {
		s.Images[ref] = id
	}
	for _, b := range f.containers {
		if f.belongs(platform, b.Project, b.Labels) {
			c := b.shown()
			if c.Stack == "" {
				c.Stack = f.adopted[c.Project]
			}
			s.Containers = append(s.Containers, c)
		} else if b.Running() && len(b.Mounts) > 0 {
			s.Others = append(s.Others, b.shown())
		}
	}
	for _, n := range f.networks {
		if f.belongs(platform, n.Labels[projectLabel], n.Labels) || len(n.Labels) == 0 && strings.HasPrefix(n.Name, platform+"-") {
			s.Networks = append(s.Networks, n)
		}
	}
	for _, v := range f.volumes {
		if f.belongs(platform, v.Labels[projectLabel], v.Labels) || strings.HasPrefix(v.Name, platform+"-") {
			s.Volumes = append(s.Volumes, v)
		}
	}
	sort.Slice(s.Containers, func(i, j int) bool { return s.Containers[i].Name < s.Containers[j].Name })
	sort.Slice(s.Networks, func(i, j int) bool { return s.Networks[i].Name < s.Networks[j].Name })
	sort.Slice(s.Volumes, func(i, j int) bool { return s.Volumes[i].Name < s.Volumes[j].Name })
	return s, nil
}

func (f *Fake) belongs(platform, project string, labels map[string]string) bool {
	if p := labels[stacks.LabelPlatform]; p != "" {
		return p == platform
	}
	return strings.HasPrefix(project, platform+"-") || f.adopted[project] != ""
}

// Adopt tells which Compose projects are the platform's though no label says so,
// and which stack each is.
func (f *Fake) Adopt(projects map[string]string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.adopted = projects
}

// Remove removes containers; volumes stay.
func (f *Fake) Remove(ctx context.Context, ids []string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range ids {
		b := f.containers[id]
		if b == nil {
			continue
		}
		if err := f.called(ctx, "remove", b.Name); err != nil {
			return err
		}
		delete(f.containers, id)
	}
	return nil
}

// CreateNetwork makes a network or finds the same.
func (f *Fake) CreateNetwork(ctx context.Context, platform string, n stacks.SharedNetwork) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.called(ctx, "create-network", n.Name); err != nil {
		return err
	}
	if have, ok := f.networks[n.Name]; ok {
		if have.Subnet != n.Subnet || f.internal[n.Name] != n.Internal {
			return fmt.Errorf("create network %s: it exists with subnet %s, wanted is %s", n.Name, have.Subnet, n.Subnet)
		}
		return nil
	}
	f.internal[n.Name] = n.Internal
	f.networks[n.Name] = stacks.Network{ID: f.id(n.Name), Name: n.Name, Subnet: n.Subnet, Driver: "bridge", Internal: n.Internal, Labels: map[string]string{
		stacks.LabelPlatform: platform, stacks.LabelNetwork: n.Key, stacks.LabelSubnet: n.Subnet,
	}}
	return nil
}

// RemoveNetwork removes a network no running container is on.
func (f *Fake) RemoveNetwork(ctx context.Context, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.called(ctx, "remove-network", name); err != nil {
		return err
	}
	for _, b := range f.containers {
		if b.Running() && slices.Contains(b.Networks, name) {
			return fmt.Errorf("remove network %s: it has active endpoints (%s)", name, b.Name)
		}
	}
	delete(f.networks, name)
	return nil
}

// Connect joins a container to a network.
func (f *Fake) Connect(ctx context.Context, network, containerID string, aliases []string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	b, err := f.box(containerID)
	if err != nil {
		return err
	}
	if err := f.called(ctx, "connect", network, b.Name, strings.Join(aliases, ",")); err != nil {
		return err
	}
	if _, ok := f.networks[network]; !ok {
		return fmt.Errorf("join container %s to network %s: network not found", b.Name, network)
	}
	if !slices.Contains(b.Networks, network) {
		b.join(network, f.networks[network].ID)
		b.aliases[network] = append([]string(nil), aliases...)
	}
	return nil
}

// Disconnect takes a container off a network.
func (f *Fake) Disconnect(ctx context.Context, network, containerID string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	b, err := f.box(containerID)
	if err != nil {
		return nil // gone
	}
	if err := f.called(ctx, "disconnect", network, b.Name); err != nil {
		return err
	}
	b.Networks = slices.DeleteFunc(b.Networks, func(n string) bool { return n == network })
	delete(b.NetworkIDs, network)
	delete(b.aliases, network)
	return nil
}

func (f *Fake) box(id string) (*box, error) {
	if b := f.containers[id]; b != nil {
		return b, nil
	}
	for _, b := range f.containers {
		if b.Name == id {
			return b, nil
		}
	}
	return nil, fmt.Errorf("no such container: %s", id)
}

// Inspect gives containers in detail.
func (f *Fake) Inspect(ctx context.Context, ids []string) ([]provision.Inspected, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.called(ctx, "inspect"); err != nil {
		return nil, err
	}
	out := make([]provision.Inspected, len(ids))
	for i, id := range ids {
		b, err := f.box(id)
		if err != nil {
			out[i] = provision.Inspected{ID: id, State: "gone"}
			continue
		}
		out[i] = provision.Inspected{
			ID: b.ID, State: b.State, Health: b.Health, ExitCode: b.ExitCode, Restarts: b.behaves.Restarts,
			StartedAt: b.started, Error: b.fail, HealthLog: b.behaves.HealthLog,
		}
		policy, most, _ := strings.Cut(b.policy, ":")
		out[i].RestartPolicy = policy
		out[i].RestartMax, _ = strconv.Atoi(most)
	}
	return out, nil
}

// Exec does what the behaviour says, or nothing with success.
func (f *Fake) Exec(ctx context.Context, id string, cmd []string, stdin io.Reader) (provision.ExecResult, error) {
	var in []byte
	if stdin != nil {
		var err error
		if in, err = io.ReadAll(stdin); err != nil {
			return provision.ExecResult{}, err
		}
	}
	f.mu.Lock()
	b, err := f.box(id)
	if err == nil {
		err = f.called(ctx, append([]string{"exec", b.Name}, cmd...)...)
	}
	if err == nil && !b.Running() {
		err = fmt.Errorf("container %s is not running", b.Name)
	}
	f.mu.Unlock()
	if err != nil {
		return provision.ExecResult{}, err
	}
	if b.behaves.Exec == nil {
		return provision.ExecResult{}, nil
	}
	return b.behaves.Exec(cmd, string(in)), nil
}

// Signal notes the signal.
func (f *Fake) Signal(ctx context.Context, id, signal string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	b, err := f.box(id)
	if err != nil {
		return err
	}
	if err := f.called(ctx, "signal", b.Name, signal); err != nil {
		return err
	}
	if !b.Running() {
		return fmt.Errorf("container %s is not running", b.Name)
	}
	b.signals = append(b.signals, signal)
	if signal == "KILL" {
		b.State, b.Health, b.ExitCode = "exited", "", 137
	}
	return nil
}

// Tail gives the last lines of the behaviour's log.
func (f *Fake) Tail(ctx context.Context, id string, lines int) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	b, err := f.box(id)
	if err != nil {
		return "", err
	}
	if err := f.called(ctx, "tail", b.Name); err != nil {
		return "", err
	}
	all := strings.SplitAfter(strings.TrimSuffix(b.behaves.Logs, "\n")+"\n", "\n")
	all = all[:len(all)-1]
	if lines > 0 && len(all) > lines {
		all = all[len(all)-lines:]
	}
	return strings.Join(all, ""), nil
}

func emit(ev stacks.Events, e stacks.Event) {
	if ev != nil {
		e.At = time.Now()
		ev(e)
	}
}

// Settle finds nothing moving: the fake does everything at once.
func (f *Fake) Settle(ctx context.Context, project string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.called(ctx, "Settle", project)
}

// Start starts containers as they are.
func (f *Fake) Start(ctx context.Context, ids []string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range ids {
		b, err := f.box(id)
		if err != nil {
			return err
		}
		if err := f.called(ctx, "start", b.Name); err != nil {
			return err
		}
		if !b.Running() {
			f.run(b)
		}
	}
	return nil
}

// Tag makes a reference mean an image.
func (f *Fake) Tag(ctx context.Context, imageID, reference string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.called(ctx, "Tag", imageID, reference); err != nil {
		return err
	}
	f.images[normal(reference)] = imageID
	return nil
}

// Untag forgets a reference.
func (f *Fake) Untag(ctx context.Context, reference string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.called(ctx, "Untag", reference); err != nil {
		return err
	}
	delete(f.images, normal(reference))
	return nil
}
