//go:build e2e

package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// disk is a small file system in a file: it can be full, read-only, or as a power
// cut left it, and nothing else on the machine is.
type disk struct {
	image   string
	at      string
	options string // of mount
}

// newDisk makes and mounts one. The file is sparse: it takes what is written.
func newDisk(t *testing.T, at string, size int64, options string) *disk {
	t.Helper()
	d := &disk{image: at + ".img", at: at, options: options}
	if err := os.MkdirAll(at, 0o711); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(d.image)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
		t.Fatal(err)
	}
	// No blocks are kept back for root, who would otherwise find room where there
	// is none.
	if out, err := exec.Command("mkfs.ext4", "-q", "-F", "-m", "0", "-J", "size=8", "-i", "65536", d.image).CombinedOutput(); err != nil {
		t.Fatalf("mkfs.ext4: %v\n%s", err, out)
	}
	d.mount(t)
	t.Cleanup(func() { _ = unmountBelow(d.at) })
	return d
}

func (d *disk) mount(t *testing.T) {
	t.Helper()
	options := "loop"
	if d.options != "" {
		options += "," + d.options
	}
	if out, err := exec.Command("mount", "-o", options, d.image, d.at).CombinedOutput(); err != nil {
		t.Fatalf("mount: %v\n%s", err, out)
	}
}

func (d *disk) remount(t *testing.T, option string) {
	t.Helper()
	if out, err := exec.Command("mount", "-o", "remount,"+option, d.at).CombinedOutput(); err != nil {
		t.Fatalf("mount -o remount,%s: %v\n%s", option, err, out)
	}
}

// fill takes all room but some bytes. It is quick, and asks for no device's time:
// blocks are given out, not written.
func (d *disk) fill(leave int64) error {
	var st syscall.Statfs_t
	if err := syscall.Statfs(d.at, &st); err != nil {
		return err
	}
	f, err := os.OpenFile(d.ballast(), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	size, more := info.Size(), int64(st.Bavail)*st.Bsize-leave
	for more > 4096 { // what the file system itself needs for it is not in the sum
		if err := unix.Fallocate(int(f.Fd()), 0, size, more); err == nil {
			size += more
		} else if !errors.Is(err, syscall.ENOSPC) {
			return err
		}
		more /= 2
	}
	return nil
}

func (d *disk) free() error     { return os.RemoveAll(d.ballast()) }
func (d *disk) ballast() string { return filepath.Join(d.at, "ballast") }

// cut leaves the disk as a power cut would at this moment: what no program had
// asked to be written out is gone. The file behind the file system has only what
// came through to it; two equal looks make sure that nothing was on its way.
func (d *disk) cut(t *testing.T) {
	t.Helper()
	copied := d.image + ".cut"
	for try, before := 0, ""; ; try++ {
		now, err := copyExtents(d.image, copied)
		if err != nil {
			t.Fatal(err)
		}
		if now == before {
			break
		}
		if before = now; try == 5 {
			t.Fatal("the disk does not come to rest")
		}
	}
	if err := unmountBelow(d.at); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(copied, d.image); err != nil {
		t.Fatal(err)
	}
	d.mount(t)
}

// copyExtents copies a sparse file, and gives a hash of what is in it.
func copyExtents(from, to string) (string, error) {
	in, err := os.Open(from)
	if err != nil {
		return "", err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return "", err
	}
	out, err := os.Create(to)
	if err != nil {
		return "", err
	}
	defer out.Close()
	if err := out.Truncate(info.Size()); err != nil {
		return "", err
	}
	h := sha256.New()
	for at := int64(0); ; {
		begin, err := unix.Seek(int(in.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, syscall.ENXIO) { // nothing but a hole
			return hex.EncodeToString(h.Sum(nil)), out.Close()
		}
		if err != nil {
			return "", err
		}
		if at, err = unix.Seek(int(in.Fd()), begin, unix.SEEK_HOLE); err != nil {
			return "", err
		}
		fmt.Fprintln(h, begin, at)
		if _, err := io.Copy(io.NewOffsetWriter(out, begin), io.TeeReader(io.NewSectionReader(in, begin, at-begin), h)); err != nil {
			return "", err
		}
	}
}

// unmountBelow unmounts dir and whatever is mounted in it.
func unmountBelow(dir string) error {
	raw, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return err
	}
	var at []string
	for _, line := range strings.Split(string(raw), "\n") {
		if f := strings.Fields(line); len(f) > 1 && (f[1] == dir || strings.HasPrefix(f[1], dir+"/")) {
			at = append(at, f[1])
		}
	}
	slices.Sort(at)
	slices.Reverse(at)
	var errs []error
	for _, path := range at {
		if err := syscall.Unmount(path, 0); err != nil {
			if err := syscall.Unmount(path, syscall.MNT_DETACH); err != nil && !errors.Is(err, syscall.EINVAL) {
				errs = append(errs, fmt.Errorf("umount %s: %w", path, err))
			}
		}
	}
	return errors.Join(errs...)
}
