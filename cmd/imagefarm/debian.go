package main

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// debSet is the packages of the Debian layer: file names in apt's form,
// NAME_VERSION_ARCH.deb. It is remembered in the cache, so that keys need
// neither apt nor the network.
type debSet struct {
	Wanted []string `json:"wanted"`
	Files  []string `json:"files"`
}

func (d debSet) key() string { return digest(append([]string{recipe}, d.Files...)...) }

// file is the file of a package, empty where the set has none.
func (d debSet) file(name string) string {
	i := slices.IndexFunc(d.Files, func(f string) bool { return strings.HasPrefix(f, name+"_") })
	if i < 0 {
		return ""
	}
	return d.Files[i]
}

func (d debSet) version(name string) string {
	parts := strings.Split(d.file(name), "_")
	if len(parts) < 2 {
		return ""
	}
	version, err := url.PathUnescape(parts[1])
	if err != nil {
		return parts[1]
	}
	return version
}

func (f *Farm) debsFile() string { return filepath.Join(f.cache, "debian", "packages.json") }

func (f *Farm) archives() string { return filepath.Join(f.cache, "debian", "archives") }

// knownDebs is the remembered set, if it is one for today's list of packages.
func (f *Farm) knownDebs() (debSet, bool) {
	var d debSet
	text, err := os.ReadFile(f.debsFile())
	if err != nil || json.Unmarshal(text, &d) != nil {
		return debSet{}, false
	}
	return d, slices.Equal(d.Wanted, debianPackages()) && len(d.Files) > 0
}

func (f *Farm) knownDebianVersion(name string) string {
	d, _ := f.knownDebs()
	return d.version(name)
}

// debsOnce resolves and downloads the packages at most once in a run.
func (f *Farm) debsOnce() func(context.Context) (debSet, error) {
	var mu sync.Mutex
	var set debSet
	return func(ctx context.Context) (debSet, error) {
		mu.Lock()
		defer mu.Unlock()
		if len(set.Files) > 0 {
			return set, nil
		}
		d, err := f.fetchDebs(ctx)
		if err == nil {
			set = d
		}
		return d, err
	}
}

// fetchDebs takes the remembered set where all its files are there, else asks
// apt. Lists that are missing or too old are fetched first.
func (f *Farm) fetchDebs(ctx context.Context) (debSet, error) {
	if d, ok := f.knownDebs(); ok && f.downloaded(d) {
		return d, nil
	}
	lists, err := filepath.Glob("/var/lib/apt/lists/*_Packages*")
	if err != nil {
		return debSet{}, err
	}
	if len(lists) > 0 {
		d, err := f.askApt(ctx)
		if err == nil || ctx.Err() != nil {
			return d, err
		}
		f.progress.say("apt failed, maybe its lists are too old: %v", err)
	}
	done := f.progress.step("fetching apt's lists")
	if _, err := output(command(ctx, "", "apt-get", "-q", "update")); err != nil {
		return debSet{}, fmt.Errorf("the farm needs apt's lists; run apt-get update as root: %w", err)
	}
	done()
	return f.askApt(ctx)
}

func (f *Farm) downloaded(d debSet) bool {
	return !slices.ContainsFunc(d.Files, func(name string) bool {
		_, err := os.Stat(filepath.Join(f.archives(), name))
		return err != nil
	})
}

// askApt lets apt resolve and download as if nothing were installed.
func (f *Farm) askApt(ctx context.Context) (debSet, error) {
	empty := filepath.Join(f.cache, "debian", "status")
	if err := os.WriteFile(empty, nil, 0o644); err != nil {
		return debSet{}, err
	}
	apt := func(archives string, args ...string) ([]byte, error) {
		base := []string{"-y", "-qq", "--no-install-recommends", "-o", "Dir::State::status=" + empty,
			"-o", "Dir::Cache::archives=" + archives, "-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User=root"}
		cmd := command(ctx, "", "apt-get", slices.Concat(base, args, []string{"install"}, debianPackages())...)
		cmd.Env = append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
		return output(cmd)
	}
	// apt leaves out of the list what lies in the archives already, so it is
	// asked about an empty place.
	nowhere := filepath.Join(f.cache, "debian", "nowhere")
	if err := os.MkdirAll(filepath.Join(nowhere, "partial"), 0o755); err != nil {
		return debSet{}, err
	}
	text, err := apt(nowhere, "--print-uris")
	if err != nil {
		return debSet{}, err
	}
	d := debSet{Wanted: debianPackages()}
	for line := range strings.Lines(string(text)) {
		// 'URL' FILE SIZE, and a checksum only for some archives.
		if fields := strings.Fields(line); len(fields) >= 3 && strings.HasPrefix(line, "'") {
			d.Files = append(d.Files, fields[1])
		}
	}
	slices.Sort(d.Files)
	done := f.progress.step("downloading %d Debian packages", len(d.Files))
	if _, err := apt(f.archives(), "--download-only"); err != nil {
		return debSet{}, err
	}
	if !f.downloaded(d) {
		return debSet{}, errors.New("apt did not download everything it listed")
	}
	done()
	return d, f.remember(d)
}

func (f *Farm) remember(d debSet) error {
	text, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(f.debsFile()+".making", text, 0o644); err != nil {
		return err
	}
	return os.Rename(f.debsFile()+".making", f.debsFile())
}

// openDeb streams the files of a package as a tar archive.
func (f *Farm) openDeb(ctx context.Context, name string) (io.Reader, func() error, error) {
	if name == "" {
		return nil, nil, errors.New("the package is not in the Debian layer")
	}
	cmd := command(ctx, "", "dpkg-deb", "--fsys-tarfile", filepath.Join(f.archives(), name))
	r, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, fmt.Errorf("reading Debian packages: %w", err)
	}
	return r, func() error {
		discard(r)
		return cmd.Wait()
	}, nil
}

// readDeb copies the one file with the given path out of a package.
func readDeb(r io.Reader, path string, w io.Writer) (int64, error) {
	for t := tar.NewReader(r); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return 0, fmt.Errorf("no file %s in the package", path)
		}
		if err != nil {
			return 0, err
		}
		if strings.TrimPrefix(h.Name, "./") == path && h.Typeflag == tar.TypeReg {
			return io.Copy(w, t)
		}
	}
}
