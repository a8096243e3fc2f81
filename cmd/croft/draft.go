package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"github.com/croft-sh/croft/provision/host"
	"github.com/croft-sh/croft/stacks"
)

// draft is a platform as it shall be. It is made and checked without touching
// the platform; write then puts it there, croft.yaml last: killed before that,
// the platform is the old one with directories that nothing names yet, and the
// same command completes it.
type draft struct {
	dir      string // absolute; need not exist
	old      []byte // croft.yaml as it stands; nil for a new platform
	before   stacks.Platform
	platform stacks.Platform
	adds     []string // catalogue entries to copy
	kept     []string // chosen stacks whose directory is there already
}

const (
	schemaFile = ".croft.schema.json"
	ignoreFile = ".gitignore"
	stacksDir  = "stacks"
	copyPrefix = ".croft-" // a stack's directory until it is complete
)

// ignoreText is the .gitignore of a new platform.
const ignoreText = `# what croft has not finished copying, and saved plans
/stacks/.croft-*
*.plan.json
# secrets never belong into git in the clear
first-login.txt
*.key
.env
`

// loadDraft begins with what is in dir.
func loadDraft(dir string) (*draft, error) {
	d := &draft{dir: dir, platform: stacks.Platform{Version: 1}}
	old, err := os.ReadFile(filepath.Join(dir, stacks.PlatformFile))
	if errors.Is(err, fs.ErrNotExist) {
		return d, nil
	}
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	p, problems := stacks.LoadPlatform(root.FS())
	if err := problems.Err(); err != nil {
		return nil, err
	}
	d.old, d.before, d.platform = old, p, p
	d.platform.Stacks = make(map[string]stacks.StackChoice, len(p.Stacks))
	for name, choice := range p.Stacks {
		d.platform.Stacks[name] = choice
	}
	return d, nil
}

func (d *draft) exists() bool { return d.old != nil }

// info reads what a stack says about itself: the platform's directory of it,
// else the catalogue's.
func (d *draft) info(name string) (stacks.XCroft, []string, stacks.Problems, error) {
	if adopt := d.platform.Stacks[name].Adopt; adopt != nil {
		x, images, ps := stacks.AdoptedInfo(machineFiles(), name, *adopt)
		return x, images, ps, nil
	}
	if d.hasDir(name) {
		root, err := os.OpenRoot(d.dir)
		if err != nil {
			return stacks.XCroft{}, nil, nil, err
		}
		defer root.Close()
		x, images, ps := stacks.LoadStackInfo(root.FS(), path.Join(stacksDir, name))
		return x, images, ps, nil
	}
	if !slices.Contains(stacks.CatalogNames(), name) {
		return stacks.XCroft{}, nil, nil, unknownStack(name)
	}
	x, images, ps := stacks.LoadStackInfo(stacks.Catalog(), name)
	return x, images, ps, nil
}

func (d *draft) hasDir(name string) bool {
	if d.dir == "" {
		return false
	}
	info, err := os.Lstat(filepath.Join(d.dir, stacksDir, name))
	return err == nil && info.IsDir()
}

func unknownStack(name string) error {
	return &usageError{err: fmt.Errorf("there is no stack %q, neither in the platform nor in the catalogue", name),
		hint: "croft stack list shows them; a stack of your own is a directory stacks/" + name + " with a compose.yaml"}
}

// complete adds what the chosen stacks need, and notes what has to be copied.
func (d *draft) complete() error {
	d.adds, d.kept = nil, nil
	queue := sortedNames(d.platform.Stacks)
	for i := 0; i < len(queue); i++ {
		name := queue[i]
		x, _, problems, err := d.info(name)
		if _, named := d.before.Stacks[name]; err != nil && named {
			continue // it was named before: check says that it is missing
		}
		if err != nil {
			return err
		}
		if d.platform.Stacks[name].Adopt != nil {
			// Nothing to copy: it lies where it lay.
		} else if d.hasDir(name) {
			d.kept = append(d.kept, name)
		} else {
			d.adds = append(d.adds, name)
		}
		if problems.Err() != nil {
			continue // check says all of them at once
		}
		for _, need := range x.Needs {
			if _, there := d.platform.Stacks[need]; !there {
				d.platform.Stacks[need] = stacks.StackChoice{}
				queue = append(queue, need)
			}
		}
	}
	sort.Strings(d.adds)
	sort.Strings(d.kept)
	return nil
}

// text gives the new croft.yaml.
func (d *draft) text() ([]byte, error) {
	if !d.exists() {
		return stacks.MarshalPlatform(d.platform)
	}
	return stacks.EditPlatform(d.old, d.platform)
}

// check loads the whole platform as it would be, from a copy.
func (d *draft) check(facts map[string]string) (stacks.Desired, error) {
	stage, err := os.MkdirTemp("", "croft-check-")
	if err != nil {
		return stacks.Desired{}, err
	}
	defer func() { _ = os.RemoveAll(stage) }() // a copy; the system clears what stays
	text, err := d.text()
	if err != nil {
		return stacks.Desired{}, err
	}
	if err := os.WriteFile(filepath.Join(stage, stacks.PlatformFile), text, 0o600); err != nil {
		return stacks.Desired{}, err
	}
	if err := d.stage(stage); err != nil {
		return stacks.Desired{}, err
	}
	root, err := os.OpenRoot(stage)
	if err != nil {
		return stacks.Desired{}, err
	}
	defer root.Close()
	desired, problems := stacks.LoadDesired(root.FS(), stacks.LoadOptions{Dir: d.dir, Facts: facts, Machine: machineFiles()})
	desired.Warnings = append(desired.Warnings, problems.Warnings()...)
	return desired, problems.Err()
}

// stage copies the stacks as they would be.
func (d *draft) stage(stage string) error {
	for _, name := range d.kept {
		from, err := os.OpenRoot(filepath.Join(d.dir, stacksDir, name))
		if err != nil {
			return err
		}
		err = os.CopyFS(filepath.Join(stage, stacksDir, name), from.FS())
		if err = errJoin(err, from.Close()); err != nil {
			return fmt.Errorf("reading stack %s: %w", name, err)
		}
	}
	for _, name := range d.adds {
		if err := copyEntry(name, filepath.Join(stage, stacksDir, name), os.WriteFile); err != nil {
			return err
		}
	}
	return nil
}

// written is one thing that write did, or left.
type written struct {
	Path   string `json:"path"`
	Action string `json:"action"` // created, changed, unchanged, kept
}

// write puts the draft into the platform's directory.
func (d *draft) write() ([]written, error) {
	if err := d.unmoved(); err != nil {
		return nil, err
	}
	if err := host.MkdirAll(filepath.Join(d.dir, stacksDir), 0o755); err != nil {
		return nil, err
	}
	if _, err := host.RemoveStale(d.dir); err != nil { // of a run that was killed
		return nil, err
	}
	out, err := d.writeStacks()
	if err != nil {
		return out, err
	}
	schema, err := stacks.Schema()
	if err != nil {
		return out, err
	}
	text, err := d.text()
	if err != nil {
		return out, err
	}
	files := []struct {
		name string
		text []byte
		keep bool
	}{{schemaFile, schema, false}, {ignoreFile, []byte(ignoreText), true}, {stacks.PlatformFile, text, false}}
	for _, f := range files {
		if f.name == ignoreFile && d.exists() {
			continue // whoever took it away had a reason
		}
		action, err := writeChanged(filepath.Join(d.dir, f.name), f.text, f.keep)
		if err != nil {
			return out, err
		}
		out = append(out, written{Path: f.name, Action: action})
	}
	return out, nil
}

// unmoved refuses to write over what somebody else wrote since it was read.
func (d *draft) unmoved() error {
	now, err := os.ReadFile(filepath.Join(d.dir, stacks.PlatformFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if !bytes.Equal(now, d.old) {
		return &refusedError{err: fmt.Errorf("%s changed while this ran; nothing was written", stacks.PlatformFile), hint: "run it again"}
	}
	return nil
}

func (d *draft) writeStacks() ([]written, error) {
	var out []written
	base := filepath.Join(d.dir, stacksDir)
	leftovers, err := filepath.Glob(filepath.Join(base, copyPrefix+"*"))
	if err != nil {
		return nil, err
	}
	for _, dir := range leftovers { // of a run that was killed
		if err := os.RemoveAll(dir); err != nil {
			return nil, err
		}
	}
	for _, name := range d.adds {
		half := filepath.Join(base, copyPrefix+name)
		if err := copyEntry(name, half, host.WriteFile); err != nil {
			return out, err
		}
		// Whole or not at all: a directory under its own name is complete.
		if err := os.Rename(half, filepath.Join(base, name)); err != nil {
			return out, err
		}
		out = append(out, written{Path: path.Join(stacksDir, name) + "/", Action: "created"})
	}
	for _, name := range d.kept {
		out = append(out, written{Path: path.Join(stacksDir, name) + "/", Action: "kept"})
	}
	return out, nil
}

// copyEntry copies a catalogue entry to a directory that does not exist.
func copyEntry(name, to string, writeFile func(string, []byte, fs.FileMode) error) error {
	return fs.WalkDir(stacks.Catalog(), name, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(to, filepath.FromSlash(strings.TrimPrefix(p, name)))
		if e.IsDir() {
			return host.MkdirAll(target, 0o755)
		}
		text, err := fs.ReadFile(stacks.Catalog(), p)
		if err != nil {
			return err
		}
		return writeFile(target, text, 0o644)
	})
}

// writeChanged writes a file if its content differs; keep leaves any that is there.
func writeChanged(file string, text []byte, keep bool) (string, error) {
	old, err := os.ReadFile(file)
	switch {
	case err == nil && bytes.Equal(old, text):
		return "unchanged", nil
	case err == nil && keep:
		return "kept", nil
	case err == nil:
		return "changed", host.WriteFile(file, text, 0o644)
	case errors.Is(err, fs.ErrNotExist):
		return "created", host.WriteFile(file, text, 0o644)
	}
	return "", err
}

func sortedNames[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// errJoin is errors.Join that stays nil for no error and itself for one.
func errJoin(a, b error) error {
	if b == nil {
		return a
	}
	return errors.Join(a, b)
}
