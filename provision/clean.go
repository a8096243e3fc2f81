package provision

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/croft-sh/croft/stacks"
)

// What clean goes by: how many revisions stay, and how long a copy of data does
// that an upgrade left.
const (
	keepRevisions = 50
	keepCopies    = 7 * 24 * time.Hour
)

// removingSuffix ends the name of a revision that is being removed, so that half
// of one is never taken for a whole.
const removingSuffix = ".removing"

// Reclaimable is something that croft made and nothing needs any more.
type Reclaimable struct {
	Owner string `json:"owner"` // stack, or croft
	Kind  string `json:"kind"`  // failed-data, copy, revision, image
	Path  string `json:"path,omitempty"`
	Image string `json:"image,omitempty"` // reference
	// Database is the name of one on a shared server.
	Database string `json:"database,omitempty"`
	Bytes    int64  `json:"bytes"`
	Why      string `json:"why"`
}

// Name tells one from all others.
func (r Reclaimable) Name() string { return r.Path + r.Image + r.Database }

// Reclaimable looks for what can go. sizes gives the bytes of images by ID. It
// changes nothing.
func (p *Provisioner) Reclaimable(ctx context.Context, sizes func(context.Context) (map[string]int64, error)) ([]Reclaimable, error) {
	state, err := p.Observe(ctx)
	if err != nil {
		return nil, err
	}
	c := cleaner{p: p, state: state}
	if c.lock, err = p.readLock(); err != nil {
		return nil, err
	}
	if c.pending, err = p.readPending(); err != nil {
		return nil, err
	}
	if c.history, err = p.History(); err != nil {
		return nil, err
	}
	if c.needed, err = c.neededRevisions(); err != nil {
		return nil, err
	}
	var out []Reclaimable
	for _, find := range []func() ([]Reclaimable, error){c.data, func() ([]Reclaimable, error) { return c.databases(ctx) }, c.revisions} {
		found, err := find()
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	bytes, err := sizes(ctx)
	if err != nil {
		return nil, err
	}
	return append(out, c.images(bytes)...), nil
}

type cleaner struct {
	p       *Provisioner
	state   stacks.State
	lock    stacks.Lock
	pending map[string]pending
	history []Revision      // newest first
	needed  map[int]bool    // by number: a way back leads there
	wanted  map[string]bool // copies that a rollback puts in place
}

// neededRevisions are those that held stacks run on, to which a failed stack
// would go back, and in which a change is under way.
func (c *cleaner) neededRevisions() (map[int]bool, error) {
	out := map[int]bool{}
	all, err := c.p.readHeld()
	if err != nil {
		return nil, err
	}
	c.wanted = map[string]bool{}
	for _, h := range all {
		out[h.Good] = true
		for _, from := range h.From {
			c.wanted[from] = true
		}
	}
	for _, pend := range c.pending {
		out[pend.Revision] = true
		for _, a := range pend.Data {
			c.wanted[a.From] = true
		}
	}
	seen := map[string]bool{}
	for _, rev := range c.history {
		for stack := range rev.Stacks {
			if seen[stack] {
				continue
			}
			seen[stack] = true
			if good, ok := c.p.ranFrom(c.history, stack, c.history[0].Number); ok {
				out[good.Number] = true
			}
		}
	}
	return out, nil
}

// leftover matches what the way back and copies leave beside a volume, after the
// volume's own name.
func leftover(name, volume string) (kind string, revision int, ok bool) {
	rest, ok := strings.CutPrefix(name, volume)
	if !ok {
		return "", 0, false
	}
	m := regexp.MustCompile(`^\.croft-(failed|aside|then)-([0-9]{1,9})(\.part)?$`).FindStringSubmatch(rest)
	if m == nil || m[1] == "failed" && m[3] != "" {
		return "", 0, false
	}
	revision, err := strconv.Atoi(m[2])
	return m[1] + m[3], revision, err == nil
}

// data finds what lies directly beside a volume that the lock knows and carries
// its exact name. Links are not followed, and nothing that is or holds a volume
// is given.
func (c *cleaner) data() ([]Reclaimable, error) {
	var listed []aside
	if err := readJSON(c.p.asidesPath(), &listed); err != nil {
		return nil, err
	}
	var out []Reclaimable
	for _, place := range c.places(listed) {
		key, path, stack := place.Volume, place.Path, place.Stack
		entries, err := os.ReadDir(filepath.Dir(path))
		if errors.Is(err, fs.ErrNotExist) || path == "" {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			kind, revision, ok := leftover(e.Name(), filepath.Base(path))
			full := filepath.Join(filepath.Dir(path), e.Name())
			if !ok || !e.IsDir() && !e.Type().IsRegular() || c.inUse(full) || c.wanted[full] || c.underWay(stack, revision) {
				continue
			}
			one := Reclaimable{Owner: stack, Kind: "failed-data", Path: full, Why: fmt.Sprintf("data of %s that the failed revision %d left", key, revision)}
			switch kind {
			case "then", "then.part":
				one.Kind, one.Why = "copy", "a copy of "+key+" for a rollback that was given up"
			case "aside.part":
				one.Kind, one.Why = "copy", "a copy of "+key+" that was never finished"
			case "aside":
				if !slices.ContainsFunc(listed, func(a aside) bool { return a.Copy == full && !a.Failed }) || !c.old(revision) {
					continue
				}
				one.Kind, one.Why = "copy", fmt.Sprintf("data of %s from before revision %d, more than 7 days ago", key, revision)
			}
			if one.Bytes, err = diskBytes(full); err != nil {
				return nil, err
			}
			out = append(out, one)
		}
	}
	return out, nil
}

// inUse tells whether a path is a volume's, or holds one.
func (c *cleaner) inUse(path string) bool {
	holds := func(volume string) bool {
		return volume == path || strings.HasPrefix(volume, path+string(filepath.Separator))
	}
	for _, place := range c.lock.Places() {
		if holds(place) {
			return true
		}
	}
	return slices.ContainsFunc(c.state.Volumes, func(v stacks.Volume) bool { return holds(v.Options["device"]) })
}

// underWay tells whether a change of the stack has not ended that may need the
// copy, or has not finished putting it back.
func (c *cleaner) underWay(stack string, revision int) bool {
	pend, ok := c.pending[stack]
	return ok && revision >= pend.Revision
}

// old tells whether a revision is so long ago that its copies may go. One that
// is not known any more was removed for its age.
func (c *cleaner) old(revision int) bool {
	for _, rev := range c.history {
		if rev.Number == revision {
			return c.p.Now().Sub(rev.At) > keepCopies
		}
	}
	info, err := os.Stat(filepath.Join(c.p.StateDir, "revisions", strconv.Itoa(revision)))
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	return c.p.Now().Sub(info.ModTime()) > keepCopies
}

// revisions gives those beyond the newest 50 that no way back needs.
func (c *cleaner) revisions() ([]Reclaimable, error) {
	root := filepath.Join(c.p.StateDir, "revisions")
	entries, err := os.ReadDir(root)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	why := map[string]string{}
	var numbers []int
	for _, e := range entries {
		bare, half := strings.CutSuffix(e.Name(), removingSuffix)
		n, err := strconv.Atoi(bare)
		switch {
		case err != nil || !e.IsDir():
		case half:
			why[e.Name()] = fmt.Sprintf("revision %d, already half removed", n)
		default:
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	for _, n := range numbers[:max(0, len(numbers)-keepRevisions)] {
		if !c.needed[n] {
			why[strconv.Itoa(n)] = fmt.Sprintf("revision %d, older than the newest %d", n, keepRevisions)
		}
	}
	var out []Reclaimable
	for _, name := range slices.Sorted(maps.Keys(why)) {
		one := Reclaimable{Owner: "croft", Kind: "revision", Path: filepath.Join(root, name), Why: why[name]}
		if one.Bytes, err = diskBytes(one.Path); err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, nil
}

// images gives those that only croft's own tags hold and no way back needs: the
// newest three revisions' stay, and those of every revision that is needed.
func (c *cleaner) images(bytes map[string]int64) []Reclaimable {
	wanted := map[string]bool{}
	for i, rev := range c.history {
		if i < 3 || c.needed[rev.Number] {
			for _, id := range rev.Images {
				wanted[id] = true
			}
		}
	}
	for _, container := range c.state.Containers {
		wanted[container.ImageID] = true
	}
	ours := stacks.KeepRepository + c.p.Platform + ":"
	for ref, id := range c.state.Images {
		if !strings.HasPrefix(ref, ours) {
			wanted[id] = true // somebody else holds it: letting go of it frees nothing
		}
	}
	var out []Reclaimable
	for _, ref := range slices.Sorted(maps.Keys(c.state.Images)) {
		if id := c.state.Images[ref]; strings.HasPrefix(ref, ours) && !wanted[id] {
			out = append(out, Reclaimable{Owner: "croft", Kind: "image", Image: ref, Bytes: bytes[id], Why: "kept for a way back that nobody can take any more"})
		}
	}
	return out
}

// Reclaim removes one thing that Reclaimable gave. A copy and a revision lose
// their name first: killed in between, what is left is not taken for a whole,
// and is found again.
func (p *Provisioner) Reclaim(ctx context.Context, r Reclaimable) error {
	switch {
	case r.Kind == "image":
		return p.Repairs.Untag(ctx, r.Image)
	case r.Database != "":
		return p.dropCopy(ctx, r.Database)
	case r.Kind == "copy" && !strings.HasSuffix(r.Path, ".part"):
		if err := os.Rename(r.Path, r.Path+".part"); err != nil {
			return err
		}
		if err := os.RemoveAll(r.Path + ".part"); err != nil {
			return err
		}
		return p.forgetCopies()
	case r.Kind == "revision" && !strings.HasSuffix(r.Path, removingSuffix):
		if err := os.Rename(r.Path, r.Path+removingSuffix); err != nil {
			return err
		}
		return os.RemoveAll(r.Path + removingSuffix)
	}
	if err := os.RemoveAll(r.Path); err != nil {
		return err
	}
	return p.forgetCopies()
}

// forgetCopies takes those off the list that are gone.
func (p *Provisioner) forgetCopies() error {
	var listed []aside
	if err := readJSON(p.asidesPath(), &listed); err != nil {
		return err
	}
	left := slices.DeleteFunc(slices.Clone(listed), func(a aside) bool {
		if a.Database != nil {
			return false
		}
		_, err := os.Lstat(a.Copy)
		return errors.Is(err, fs.ErrNotExist)
	})
	if len(left) == len(listed) {
		return nil
	}
	return p.writeJSON(p.asidesPath(), left)
}

// diskBytes gives what a directory takes on disk. Blocks that it shares with
// another are counted, so it may be less that comes free.
func diskBytes(root string) (int64, error) {
	var total int64
	err := filepath.WalkDir(root, func(_ string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			total += st.Blocks * 512
		}
		return nil
	})
	return total, err
}
