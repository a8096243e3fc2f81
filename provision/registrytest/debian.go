package registrytest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// pkg is Debian's and Ubuntu's package of the registry.
const pkg = "docker-registry"

// program gives the path of the registry: an installed one, else one unpacked
// into the user's cache. Nothing is installed, so nothing starts by itself.
var program = sync.OnceValues(func() (string, error) {
	if path, err := exec.LookPath(pkg); err == nil {
		return path, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "croft-test", pkg)
	path := filepath.Join(dir, "usr", "bin", pkg)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := unpack(dir); err != nil {
		return "", fmt.Errorf("these tests need a real registry, Debian's package %s: %w\n"+
			"on Debian or Ubuntu root gets it by itself; else install it, or put the program on the PATH", pkg, err)
	}
	return path, nil
})

// unpack downloads the package and unpacks it under dir, which appears whole.
func unpack(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	making, err := os.MkdirTemp(filepath.Dir(dir), pkg+"-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(making)
	if err := download(making); err != nil {
		// Lists that are missing or too old: only root may fetch new ones.
		if _, again := apt(making, "update"); again != nil {
			return fmt.Errorf("%w; %w", err, again)
		}
		if err := download(making); err != nil {
			return err
		}
	}
	debs, err := filepath.Glob(filepath.Join(making, "*.deb"))
	if err != nil || len(debs) != 1 {
		return fmt.Errorf("apt-get download gave %v: %w", debs, err)
	}
	whole := filepath.Join(making, "whole")
	if out, err := exec.Command("dpkg-deb", "-x", debs[0], whole).CombinedOutput(); err != nil {
		return fmt.Errorf("dpkg-deb -x %s: %w: %s", debs[0], err, out)
	}
	if err := os.Rename(whole, dir); err != nil && !os.IsExist(err) { // another test run was faster
		return err
	}
	return nil
}

func download(dir string) error {
	_, err := apt(dir, "download", pkg)
	return err
}

func apt(dir string, args ...string) (string, error) {
	cmd := exec.Command("apt-get", append([]string{"-q", "-o", "APT::Sandbox::User=root"}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
	out, err := cmd.CombinedOutput()
	if err != nil {
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		return "", fmt.Errorf("apt-get %s: %w: %s", strings.Join(args, " "), err, lines[len(lines)-1])
	}
	return string(out), nil
}
