package provision

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/croft-sh/croft/stacks"
)

// dataDir is what croft remembers of the directory of a volume's data.
type dataDir struct {
	Inode  uint64 `json:"inode"`
	Filled bool   `json:"filled"` // there was something in it
	Owner  string `json:"owner"`
}

// remembered adds to a state what only croft knows of it.
func (p *Provisioner) remembered(state *stacks.State, m memory) error {
	state.Reloaded, state.Stopped, state.Made = m.Reloaded, m.Stopped, m.Made
	state.Written, state.Ran, state.Ended = m.Written, m.Ran, m.Ended
	state.Wrote, state.KnownNetworks = m.Sums, m.Networks
	state.Held = m.holds(p.Now())
	if p.Repairs != nil {
		state.Kept = []string{}
		for tag := range state.Images {
			if strings.HasPrefix(tag, stacks.KeepRepository+p.Platform+":") {
				state.Kept = append(state.Kept, tag)
			}
		}
		slices.Sort(state.Kept)
	}
	var err error
	state.Lost, err = p.lost(*state)
	return err
}

// lost gives the files of the state directory that an apply has written and that
// are gone. live/ and the containers tell that there was one.
func (p *Provisioner) lost(state stacks.State) ([]string, error) {
	var out []string
	for _, f := range []struct {
		name string
		due  bool
	}{
		{"lock.json", len(state.LiveCompose) > 0},
		{"memory.json", len(state.LiveCompose) > 0 && len(state.Containers) > 0},
		{"applied.json", len(state.Made) > 0},
	} {
		if !f.due {
			continue
		}
		_, err := os.Lstat(filepath.Join(p.StateDir, f.name))
		if errors.Is(err, fs.ErrNotExist) {
			out = append(out, f.name)
		} else if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// lookAt adds what can be seen only once it is known what is wanted: secrets in
// memory and directories of data.
func (p *Provisioner) lookAt(r stacks.Rendered, state *stacks.State) error {
	var grants []stacks.Grant
	for _, s := range r.Stacks {
		for _, svc := range s.Services {
			grants = append(grants, svc.Grants...)
		}
	}
	var err error
	if len(grants) > 0 && p.Secrets != nil {
		if state.Undelivered, err = p.Secrets.Undelivered(grants); err != nil {
			return err
		}
	}
	m, err := p.readMemory()
	if err != nil {
		return err
	}
	state.Data = map[string]stacks.DataState{}
	for _, s := range r.Stacks {
		for _, v := range s.Volumes {
			if was, known := m.Data[v.Key]; known && v.Path != "" {
				if state.Data[v.Key], err = was.against(v.Path); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// against compares a directory with what it was.
func (was dataDir) against(path string) (stacks.DataState, error) {
	now, err := lookInto(path)
	if errors.Is(err, fs.ErrNotExist) {
		return stacks.DataState{Missing: true}, nil
	}
	if err != nil {
		return stacks.DataState{}, err
	}
	out := stacks.DataState{Replaced: now.Inode != was.Inode, Emptied: was.Filled && !now.Filled}
	if now.Owner != was.Owner {
		out.Owner, out.Was = now.Owner, was.Owner
	}
	return out, nil
}

func lookInto(path string) (dataDir, error) {
	info, err := os.Stat(path)
	if err != nil {
		return dataDir{}, err
	}
	var out dataDir
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		out.Inode, out.Owner = st.Ino, fmt.Sprintf("%d:%d", st.Uid, st.Gid)
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrPermission) {
		return out, nil // another user's: what is in it is not known
	}
	if err != nil {
		return out, err
	}
	defer f.Close()
	switch _, err := f.Readdirnames(1); {
	case err == nil:
		out.Filled = true
	case !errors.Is(err, io.EOF):
		return out, err
	}
	return out, nil
}

// recollect remembers the networks and directories that an apply left. A network
// that somebody made again and that this run did not replace stays unknown.
func (p *Provisioner) recollect(m *memory, r stacks.Rendered, state stacks.State, changed func(stack string) bool) {
	note := func(name, stack string) {
		n, exists := state.Network(name)
		if exists && (m.Networks[name] == "" || changed(stack)) {
			m.Networks[name] = n.ID
		}
	}
	for _, n := range r.Networks {
		note(n.Name, "")
	}
	for _, s := range r.Stacks {
		for _, n := range s.Networks {
			note(n.Name, s.Name)
		}
		for _, v := range s.Volumes {
			if v.Path == "" {
				continue
			}
			if now, err := lookInto(v.Path); err == nil { // not made yet: nothing to remember
				m.Data[v.Key] = now
			}
		}
		if !slices.Contains(state.Lost, "memory.json") {
			continue
		}
		for _, svc := range s.Services {
			for _, c := range state.Of(s.Project, svc.Name) {
				if key := s.Name + "/" + svc.Name; len(m.Made[key]) < svc.Replicas {
					m.Made[key], m.Ran[key] = append(m.Made[key], c.ID), c.ImageID
				}
			}
		}
		for _, f := range s.Files {
			if !slices.Contains(m.Written[s.Name], f.Path) {
				m.Written[s.Name] = append(m.Written[s.Name], f.Path)
			}
			m.Sums[s.Name+"/"+f.Path] = f.Written()
		}
	}
}

// recollect is the end of a run.
func (r *run) recollect(ctx context.Context) error {
	state, err := r.p.Engine.Observe(context.WithoutCancel(ctx), r.p.Platform)
	if err != nil {
		return err
	}
	state.Lost = r.prep.State.Lost
	r.mu.Lock()
	defer r.mu.Unlock()
	r.p.recollect(&r.memory, r.prep.Rendered, state, func(stack string) bool {
		s, ok := r.prep.Rendered.Stack(stack)
		return ok && r.failed[stack] == nil && r.touches(s)
	})
	return r.p.writeMemory(r.memory)
}

// Recollect remembers how things stand when there is nothing to apply: whoever
// saw the warnings of the plan and applied it takes them as they are.
func (p *Provisioner) Recollect(prep Prepared) error {
	m, err := p.readMemory()
	if err != nil {
		return err
	}
	odd := slices.ContainsFunc(slices.Collect(maps.Values(prep.State.Data)), func(d stacks.DataState) bool { return d != stacks.DataState{} })
	if !odd {
		return nil
	}
	p.recollect(&m, prep.Rendered, prep.State, func(string) bool { return false })
	return p.writeMemory(m)
}

// ForgetData forgets the directory of a volume that is removed on purpose.
func (p *Provisioner) ForgetData(volume string) error {
	m, err := p.readMemory()
	if err != nil {
		return err
	}
	delete(m.Data, volume)
	return p.writeMemory(m)
}
