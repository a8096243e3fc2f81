package provision

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/croft-sh/croft/stacks"
)

// The state directory. Every file is replaced whole by WriteFile, so a reader
// sees the old text or the new one, never half of it.

func (p *Provisioner) liveDir(stack string) string { return filepath.Join(p.StateDir, "live", stack) }

func (p *Provisioner) readLock() (stacks.Lock, error) {
	var lock stacks.Lock
	err := readJSON(filepath.Join(p.StateDir, "lock.json"), &lock)
	return lock, err
}

func (p *Provisioner) writeLock(lock stacks.Lock) error {
	return p.writeJSON(filepath.Join(p.StateDir, "lock.json"), lock)
}

// memory is what croft remembers between applies and nobody else knows.
type memory struct {
	Reloaded map[string]string `json:"reloaded"` // "stack/service" -> hash last reloaded
	Stopped  []string          `json:"stopped"`  // stacks the admin stopped
	// Held is the stacks to be left alone, and until when; zero is for ever.
	Held map[string]time.Time `json:"held,omitempty"`
	// Made is the IDs of the containers croft made: "stack/service" -> IDs.
	Made map[string][]string `json:"made"`
	// Written, Ran and Ended are those of stacks.State.
	Written map[string][]string `json:"written"`
	Ran     map[string]string   `json:"ran"`
	Ended   map[string]bool     `json:"ended"`
	// Sums and Networks are State.Wrote and State.KnownNetworks.
	Sums     map[string]string  `json:"sums"`
	Networks map[string]string  `json:"networks"`
	Data     map[string]dataDir `json:"data"` // volume key -> its directory
}

func (p *Provisioner) readMemory() (memory, error) {
	m := memory{}
	err := readJSON(filepath.Join(p.StateDir, "memory.json"), &m)
	if m.Reloaded == nil {
		m.Reloaded = map[string]string{}
	}
	if m.Made == nil {
		m.Made = map[string][]string{}
	}
	if m.Written == nil {
		m.Written = map[string][]string{}
	}
	if m.Ran == nil {
		m.Ran = map[string]string{}
	}
	if m.Ended == nil {
		m.Ended = map[string]bool{}
	}
	if m.Sums == nil {
		m.Sums = map[string]string{}
	}
	if m.Networks == nil {
		m.Networks = map[string]string{}
	}
	if m.Data == nil {
		m.Data = map[string]dataDir{}
	}
	return m, err
}

func (p *Provisioner) writeMemory(m memory) error {
	return p.writeJSON(filepath.Join(p.StateDir, "memory.json"), m)
}

func readJSON(path string, into any) error {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return &DamagedError{Path: path, Err: err}
	}
	return nil
}

func (p *Provisioner) writeJSON(path string, v any) error {
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return p.WriteFile(path, append(raw, '\n'), 0o600)
}

// readLive adds what is written on disk to an observed state.
func (p *Provisioner) readLive(state *stacks.State) error {
	state.Live = map[string]map[string]string{}
	state.LiveModes = map[string]map[string]uint32{}
	state.LiveCompose = map[string][]byte{}
	root := filepath.Join(p.StateDir, "live")
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		}
		if !entry.Type().IsRegular() {
			return nil
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		stack, file, ok := strings.Cut(filepath.ToSlash(rel), "/")
		if !ok {
			return nil
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if state.Live[stack] == nil {
			state.Live[stack] = map[string]string{}
			state.LiveModes[stack] = map[string]uint32{}
		}
		state.LiveModes[stack][file] = uint32(info.Mode().Perm())
		sum := sha256.Sum256(raw)
		state.Live[stack][file] = hex.EncodeToString(sum[:])
		if file == stacks.ComposeFile {
			state.LiveCompose[stack] = raw
		}
		return nil
	})
	return err
}

// writeStack brings live/<stack> to what was rendered. Directories keep their
// inode, because containers mount them. Only files that croft wrote itself are
// ever taken away: a program may have put its own beside them. What it is about
// to write is remembered first, so that a kill leaves no file unaccounted for.
func (r *run) writeStack(s stacks.RenderedStack) error {
	dir := r.p.liveDir(s.Name)
	wanted := map[string]bool{}
	var paths []string
	for _, f := range s.Files {
		wanted[f.Path] = true
		paths = append(paths, f.Path)
	}
	r.mu.Lock()
	before := slices.Clone(r.memory.Written[s.Name])
	r.mu.Unlock()
	if err := r.wrote(s.Name, union(before, paths)); err != nil {
		return err
	}
	for _, f := range s.Files {
		path := filepath.Join(dir, filepath.FromSlash(f.Path))
		if err := plainParents(r.p.StateDir, path); err != nil {
			return err
		}
		if err := makeDirs(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if right, err := asRendered(path, f); err != nil {
			return err
		} else if right {
			continue
		}
		if err := makeWay(path); err != nil {
			return err
		}
		if err := r.p.WriteFile(path, f.Content, fs.FileMode(f.Mode)); err != nil {
			return err
		}
	}
	for _, old := range before {
		if wanted[old] {
			continue
		}
		gone := filepath.Join(dir, filepath.FromSlash(old))
		if err := os.Remove(gone); errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return err
		}
		// Before it is forgotten: what a power cut brought back would be nobody's.
		if err := syncDir(filepath.Dir(gone)); err != nil {
			return err
		}
	}
	return r.wroteThese(s)
}

func (r *run) wrote(stack string, paths []string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	paths = slices.Clone(paths)
	slices.Sort(paths)
	r.memory.Written[stack] = slices.Compact(paths)
	return r.p.writeMemory(r.memory)
}

// History gives the revisions, newest first.
func (p *Provisioner) History() ([]Revision, error) {
	entries, err := os.ReadDir(filepath.Join(p.StateDir, "revisions"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []Revision
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		var rev Revision
		if err := readJSON(filepath.Join(p.StateDir, "revisions", e.Name(), "result.json"), &rev); err != nil {
			return nil, err
		}
		if rev.Number == 0 {
			continue // killed before anything was touched
		}
		if rev.Result == "" {
			if err := p.interruptedResult(&rev); err != nil {
				return nil, err
			}
		}
		out = append(out, rev)
	}
	slices.SortFunc(out, func(a, b Revision) int { return b.Number - a.Number })
	return out, nil
}

// nextRevision is one more than the highest number ever used.
func (p *Provisioner) nextRevision() (int, error) {
	entries, err := os.ReadDir(filepath.Join(p.StateDir, "revisions"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	next := 1
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil && n >= next {
			next = n + 1
		}
	}
	return next, nil
}

// beginRevision keeps what is about to be applied: inputs, rendered files, plan.
// It is complete on disk before the machine is touched.
func (p *Provisioner) beginRevision(n int, prep Prepared, inputs map[string][]byte) error {
	dir := filepath.Join(p.StateDir, "revisions", strconv.Itoa(n))
	write := func(path string, data []byte, mode fs.FileMode) error {
		full := filepath.Join(dir, filepath.FromSlash(path))
		if err := makeDirs(filepath.Dir(full), 0o700); err != nil {
			return err
		}
		return p.WriteFile(full, data, 0o600|mode)
	}
	modes := inputModes(prep.Desired)
	for path, data := range inputs {
		if err := write("inputs/"+path, data, modes[path]); err != nil {
			return err
		}
	}
	for _, s := range prep.Rendered.Stacks {
		for _, f := range s.Files {
			if err := write("files/"+s.Name+"/"+f.Path, f.Content, 0); err != nil {
				return err
			}
		}
	}
	raw, err := json.MarshalIndent(prep.Plan, "", "  ")
	if err != nil {
		return err
	}
	return write("plan.json", raw, 0)
}

// inputModes gives the permission bits of stacks' files by their path in the
// platform: a script that comes back must still be one. Nobody but the owner gets
// as far as a kept file, its directory sees to that.
func inputModes(d stacks.Desired) map[string]fs.FileMode {
	out := map[string]fs.FileMode{}
	for _, s := range d.Stacks {
		for _, f := range s.Files {
			out[path.Join(stacks.StacksDir, s.Name, f.Path)] = f.Mode.Perm()
		}
	}
	return out
}

func (p *Provisioner) endRevision(rev Revision) error {
	return p.writeJSON(p.resultPath(rev.Number), rev)
}
