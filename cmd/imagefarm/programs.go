package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// program returns the path of a binary in the cache, made first if it is not
// there. A binary gets its name only when it is complete, so a run that was
// killed leaves nothing that looks finished.
func (f *Farm) program(ctx context.Context, p Program) (string, error) {
	var debs debSet
	if p.Deb != "" {
		var err error
		if debs, err = f.debs(ctx); err != nil {
			return "", err
		}
	}
	path, err := f.programPath(p, debs)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	done := f.progress.step("building %s", strings.TrimSpace(p.Name+" "+p.Version))
	making, err := f.making(path)
	if err != nil {
		return "", err
	}
	switch {
	case p.Deb != "":
		err = f.extract(ctx, debs, p, making)
	case p.Own != "":
		err = goBuild(ctx, f.source, making, "0", []string{"-buildvcs=false"}, "./cmd/imagefarm/"+p.Own)
	default:
		err = f.buildModule(ctx, p, making)
	}
	if err == nil {
		err = os.Rename(making, path)
	}
	if err != nil {
		return "", fmt.Errorf("building %s: %w", p.Name, err)
	}
	done()
	return path, nil
}

// making is where a binary is written first: a place of this run's own, since
// the compiler of a killed run may still be at work. What such runs left goes.
func (f *Farm) making(path string) (string, error) {
	left, err := filepath.Glob(path + ".making-*")
	if err != nil {
		return "", err
	}
	for _, old := range left {
		if err := os.Remove(old); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%s.making-%d", path, os.Getpid()), nil
}

// programPath ends in the program's own name: some programs look at it.
func (f *Farm) programPath(p Program, debs debSet) (string, error) {
	key, err := f.programKey(p, debs)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(f.cache, "bin", key)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	return filepath.Join(dir, p.Name), nil
}

// buildModule builds a program in its own module's directory, where the
// module's own replacements and exclusions hold.
func (f *Farm) buildModule(ctx context.Context, p Program, out string) error {
	cmd := command(ctx, os.TempDir(), "go", "mod", "download", "-json", p.Module+"@"+p.Version)
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	text, err := output(cmd)
	if err != nil {
		return err
	}
	var got struct{ Dir, Sum, Error string }
	if err := json.Unmarshal(text, &got); err != nil {
		return fmt.Errorf("reading go mod download: %w", err)
	}
	if got.Error != "" {
		return errors.New(got.Error)
	}
	if got.Sum != p.Sum {
		return fmt.Errorf("%s@%s has the hash %s, the manifest says %s", p.Module, p.Version, got.Sum, p.Sum)
	}
	var args []string
	if p.Tags != "" {
		args = append(args, "-tags", p.Tags)
	}
	if len(p.Stamp) > 0 {
		args = append(args, "-ldflags", "-s -w -X '"+strings.Join(p.Stamp, "' -X '")+"'")
	}
	cgo := "0"
	if p.CGO {
		cgo = "1"
	}
	return goBuild(ctx, got.Dir, out, cgo, args, p.Package)
}

// goBuild leaves the machine to its other users: two compilers, low priority.
func goBuild(ctx context.Context, dir, out, cgo string, args []string, pkg string) error {
	all := []string{"-n", "10", "go", "build", "-mod=readonly", "-p", "2", "-trimpath", "-ldflags", "-s -w", "-o", out}
	cmd := command(ctx, dir, "nice", append(append(all, args...), pkg)...)
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=", "CGO_ENABLED="+cgo)
	_, err := output(cmd)
	return err
}

// command gets its own end: it is asked to stop when the farm is.
func command(ctx context.Context, dir, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// output runs a command; its error holds the end of what it wrote to stderr.
func output(cmd *exec.Cmd) ([]byte, error) {
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		const most = 2000
		text := strings.TrimSpace(stderr.String())
		if len(text) > most {
			text = "... " + text[len(text)-most:]
		}
		return out, fmt.Errorf("%s: %w: %s", filepath.Base(cmd.Path), err, text)
	}
	return out, nil
}

// extract takes one file out of a Debian package.
func (f *Farm) extract(ctx context.Context, debs debSet, p Program, out string) (err error) {
	file, err := os.OpenFile(out, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	r, wait, err := f.openDeb(ctx, debs.file(p.Deb))
	if err != nil {
		return err
	}
	_, err = readDeb(r, p.DebFile, file)
	return errors.Join(err, wait(), ctx.Err())
}

// discard reads a stream to its end, so that its writer does not break.
func discard(r io.Reader) { _, _ = io.Copy(io.Discard, r) }
