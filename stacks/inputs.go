package stacks

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"

	"golang.org/x/sync/errgroup"
)

// InputSum gives, without loading anything, the Inputs that LoadDesired would
// leave in a Desired of exactly these stacks. Where it equals the one of an
// earlier load of the same stacks, that load read the same bytes, and what
// croft.yaml and the stacks bring in is the same set again.
func InputSum(fsys fs.FS, names []string, o LoadOptions) (string, error) {
	if len(o.Instead) > 0 {
		return "", errors.New("stacks from elsewhere have no sum")
	}
	config, problem := readRegular(fsys, PlatformFile, maxYAMLBytes)
	if problem != nil {
		return "", problem
	}
	names = slices.Sorted(slices.Values(names))
	list := make([]*Stack, len(names))
	var group errgroup.Group
	group.SetLimit(readersAtOnce)
	for i, name := range names {
		group.Go(func() error {
			if !isStackName(name) {
				return fmt.Errorf("%q is no name for a stack", name)
			}
			files, problems := readStackFiles(fsys, path.Join(StacksDir, name))
			list[i] = &Stack{Name: name, Files: files}
			return problems.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return "", err
	}
	return inputSum(config, list, o), nil
}

// readersAtOnce bounds how many directories are read at the same time.
const readersAtOnce = 4

// inputSum names everything a load depends on, each part with its length, so
// that no byte can move from one to the next.
func inputSum(config []byte, list []*Stack, o LoadOptions) string {
	h := sha256.New()
	part := func(kind, name string, content []byte) {
		fmt.Fprintf(h, "%s %q %d\n", kind, name, len(content))
		h.Write(content)
	}
	part("dir", o.Dir, nil)
	for _, key := range slices.Sorted(maps.Keys(o.Facts)) {
		part("fact", key, []byte(o.Facts[key]))
	}
	part("platform", PlatformFile, config)
	for _, s := range slices.SortedFunc(slices.Values(list), func(a, b *Stack) int { return compareKeys(a.Name, b.Name) }) {
		part("stack", s.Name, nil)
		for _, f := range s.Files {
			part(f.Mode.String(), f.Path, f.Content)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}
