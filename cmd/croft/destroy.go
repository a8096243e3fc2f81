package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/croft-sh/croft/provision/host"
	"github.com/croft-sh/croft/stacks"
	"github.com/croft-sh/croft/tui"
)

func newDestroy(a *app) *cobra.Command {
	var volumes []string
	cmd := &cobra.Command{
		Use: "destroy", Short: "Remove what croft made; data only by name",
		Long: `destroy removes the containers and networks of the platform, and its secrets
from memory. It keeps the data, the platform's files, the state and the keys:
croft apply brings everything back. Adopted projects that were never decorated
run on: croft did not make them.

Data goes only by name: --volume removes that volume and what is in it, for
good, once its containers are gone.`,
		Example: `  croft destroy
  croft destroy -y --volume gitea/gitea-data`,
		Args: wantArgs(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error { return runDestroy(cmd.Context(), a, volumes) },
	}
	cmd.Flags().StringSliceVar(&volumes, "volume", nil, "also remove the data of this `volume`, STACK/VOLUME or its name on the engine; may be repeated")
	return cmd
}

// destroyView is what destroy says.
type destroyView struct {
	Schema     string       `json:"schema"`
	Platform   string       `json:"platform"`
	Containers []string     `json:"containers"`
	Networks   []string     `json:"networks"`
	Volumes    []goneVolume `json:"volumes"`
	Kept       []string     `json:"kept"`    // volumes whose data stays
	Staying    []string     `json:"staying"` // containers of adopted projects, which run on
}

// goneVolume is a volume that was named.
type goneVolume struct {
	Key    string `json:"key,omitempty"`  // STACK/VOLUME
	Name   string `json:"name,omitempty"` // on the engine
	Path   string `json:"path,omitempty"` // its data
	engine bool   // the engine knows it
	// adopted says that it is an adopted project's.
	adopted bool
}

func runDestroy(ctx context.Context, a *app, names []string) error {
	m, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer m.close()
	if m.broken != nil && len(names) > 0 {
		return m.broken // where data may lie is not known
	}
	v, err := m.toDestroy(ctx, names)
	if err != nil {
		return err
	}
	if !a.structured() && !a.flags.quiet {
		a.say("%s", v.question(a.errStyle()))
	}
	question := fmt.Sprintf("Remove %s of %s?", countOf(len(v.Containers), "container"), m.Name)
	if len(v.Volumes) > 0 {
		question = fmt.Sprintf("Remove %s of %s, and the data of %s for good?", countOf(len(v.Containers), "container"), m.Name, countOf(len(v.Volumes), "volume"))
	}
	if err := a.confirm(ctx, question, "destroy"); err != nil {
		return err
	}
	release, err := m.lock()
	if err != nil {
		return err
	}
	defer release()
	events, done := a.progress()
	err = m.prov.Destroy(ctx, events)
	done()
	if err != nil {
		return err
	}
	if err := host.UnmountTmpfs(m.paths.Run); err != nil {
		a.note("warning: %v", err) // the secrets in it are gone already
	}
	for _, vol := range v.Volumes {
		if err := m.removeVolume(ctx, vol); err != nil {
			return err
		}
	}
	return a.print(v, v.text)
}

// toDestroy finds out what goes, before anything does.
func (m *machine) toDestroy(ctx context.Context, names []string) (destroyView, error) {
	v := destroyView{Schema: "croft/destroy/v1", Platform: m.Name,
		Containers: []string{}, Networks: []string{}, Volumes: []goneVolume{}, Kept: []string{}, Staying: []string{}}
	state, err := m.engine.Observe(ctx, m.Name)
	if err != nil {
		return v, err
	}
	containers, networks, err := m.prov.Doomed(ctx)
	if err != nil {
		return v, err
	}
	v.Containers, v.Networks = append(v.Containers, containers...), append(v.Networks, networks...)
	staying, err := m.prov.Staying(ctx)
	if err != nil {
		return v, err
	}
	v.Staying = append(v.Staying, staying...)
	lock, err := m.readLock()
	if err != nil {
		return v, err
	}
	all := m.volumes(state, lock)
	for _, name := range names {
		found := false
		for _, vol := range all {
			if vol.adopted && (name == vol.Key || name == vol.Name) {
				return v, &refusedError{err: fmt.Errorf("volume %s is an adopted project's: croft did not make it", vol.Name),
					hint: "docker volume rm " + vol.Name + " removes it, once nothing uses it"}
			}
			if name == vol.Key || name == vol.Name {
				v.Volumes, found = append(v.Volumes, vol), true
			}
		}
		if !found {
			return v, &usageError{err: fmt.Errorf("the platform has no volume %q", name), hint: "it has " + firstNonEmpty(keysOf(all), "none")}
		}
	}
	for _, vol := range all {
		if !contains(names, vol.Key) && !contains(names, vol.Name) {
			v.Kept = append(v.Kept, firstNonEmpty(vol.Key, vol.Name))
		}
	}
	return v, nil
}

// volumes joins what the engine knows with what the lock remembers.
func (m *machine) volumes(state stacks.State, lock stacks.Lock) []goneVolume {
	byKey := make(map[string]goneVolume)
	for key, l := range lock.Volumes {
		byKey[key] = goneVolume{Key: key, Path: l.Path}
	}
	var out []goneVolume
	for _, v := range state.Volumes {
		project, volume := v.Labels["com.docker.compose.project"], v.Labels["com.docker.compose.volume"]
		stack, ok := strings.CutPrefix(project, m.Name+"-")
		adopted := m.prov.Adopted[project] != "" || project == "" && !strings.HasPrefix(v.Name, m.Name)
		if name := m.prov.Adopted[project]; name != "" {
			stack, ok = name, true
		}
		key := ""
		if ok && volume != "" {
			key = stack + "/" + volume
		}
		vol := byKey[key]
		delete(byKey, key)
		vol.Key, vol.Name, vol.engine, vol.adopted = key, v.Name, true, adopted
		out = append(out, vol)
	}
	for _, key := range sortedNames(byKey) {
		out = append(out, byKey[key])
	}
	return out
}

func keysOf(list []goneVolume) string {
	var names []string
	for _, v := range list {
		names = append(names, firstNonEmpty(v.Key, v.Name))
	}
	return strings.Join(names, ", ")
}

// removeVolume removes a volume and its directory. Only a directory that the
// lock names, below a storage root, is removed: a volume of another kind keeps
// its data where the engine or an admin put it.
func (m *machine) removeVolume(ctx context.Context, v goneVolume) error {
	if v.engine {
		if err := m.engine.RemoveVolume(ctx, v.Name); err != nil {
			return err
		}
	}
	if v.Path == "" {
		return nil
	}
	for _, class := range []string{"containers", "projects", "databases"} {
		if !within(m.Root(class), v.Path) {
			continue
		}
		// Forgotten first: killed in between, the data is there and nobody misses it.
		if err := m.prov.ForgetData(v.Key); err != nil {
			return err
		}
		return os.RemoveAll(v.Path)
	}
	return &failure{err: fmt.Errorf("the data of %s stays in %s, which is below no storage root of %s", v.Key, v.Path, stacks.PlatformFile),
		hint: "remove the directory by hand if you are sure"}
}

// readLock reads what was given once: where volumes lie.
func (m *machine) readLock() (stacks.Lock, error) {
	var lock stacks.Lock
	err := readJSON(m.paths.Lock, &lock)
	if errors.Is(err, fs.ErrNotExist) {
		return lock, nil
	}
	return lock, err
}

func (v destroyView) question(s tui.Style) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s loses %s and %s.\n", s.Bold(v.Platform), countOf(len(v.Containers), "container"), countOf(len(v.Networks), "network"))
	for _, vol := range v.Volumes {
		fmt.Fprintf(&b, "%s %s %s\n", s.Red("data goes for good:"), firstNonEmpty(vol.Key, vol.Name), vol.Path)
	}
	if len(v.Staying) > 0 {
		fmt.Fprintln(&b, tui.Wrap("these run on, as they were adopted: "+strings.Join(v.Staying, ", "), s.Width, ""))
	}
	if len(v.Kept) > 0 {
		fmt.Fprintln(&b, tui.Wrap("kept: the data of "+strings.Join(v.Kept, ", "), s.Width, ""))
	}
	return b.String()
}

func (v destroyView) text(w io.Writer, _ tui.Style) {
	fmt.Fprintf(w, "removed %s and %s of %s\n", countOf(len(v.Containers), "container"), countOf(len(v.Networks), "network"), v.Platform)
	for _, vol := range v.Volumes {
		fmt.Fprintf(w, "removed the data of %s\n", firstNonEmpty(vol.Key, vol.Name))
	}
	if len(v.Kept) > 0 {
		fmt.Fprintln(w, "data, state and keys stay: croft apply brings everything back")
	}
}
