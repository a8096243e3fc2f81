package host

import "path/filepath"

// AdoptedFiles is [PlatformFiles] for a project that is read where it lies: the
// directories above it, itself, and the files that are read. Data beside them is
// its programs' own.
func AdoptedFiles(dir string, files []string, owners []int) error {
	owners = withRoot(owners)
	seen := map[string]bool{}
	for _, path := range append([]string{filepath.Join(dir, ".")}, files...) {
		real, err := filepath.EvalSymlinks(path)
		if err != nil {
			continue // not there: nothing is read
		}
		if err := trusted(real, owners, false); err != nil {
			return err
		}
		for up := filepath.Dir(real); !seen[up]; up = filepath.Dir(up) {
			seen[up] = true
			if err := trusted(up, owners, true); err != nil {
				return err
			}
		}
	}
	return nil
}
