package main

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

// certificates is the bundle of this machine: in Debian a script makes it,
// and the farm runs none.
const certificates = "/etc/ssl/certs/ca-certificates.crt"

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// rootWriter writes the files of one image, no path twice (Docker 20.10
// refuses that), and the same bytes every time. A root of our own gets its
// parent directories; over the Debian layer they would replace its links, as
// /bin is one.
type rootWriter struct {
	tar     *tar.Writer
	seen    map[string]bool
	parents bool
	err     error
}

// writeRoot is the whole root file system of an image without Debian layer.
func (f *Farm) writeRoot(ctx context.Context, e Entry, debs debSet, w io.Writer) error {
	t := &rootWriter{tar: tar.NewWriter(w), seen: map[string]bool{}, parents: true}
	t.dir(Directory{Path: "/tmp", Mode: 0o1777})
	t.dir(Directory{Path: "/run", Mode: 0o755})
	t.link("/var/run", "/run")
	t.dir(Directory{Path: "/root", Mode: 0o700})
	busybox, err := f.program(ctx, Program{Name: "busybox", Deb: "busybox-static", DebFile: "bin/busybox"})
	if err != nil {
		return err
	}
	t.binary("/bin/busybox", busybox)
	for _, applet := range strings.Fields("sh wget nc cat ls ps grep sed awk sleep test true false env id mkdir chown chmod kill " +
		"printf head tail tr cut date stat touch rm cp mv ln find nslookup ping hostname df du vi wc sort uniq xargs tee od " +
		"sha256sum top netstat ip mktemp basename dirname") {
		t.link("/bin/"+applet, "busybox")
	}
	return f.finishRoot(ctx, e, debs, t)
}

// writeOverlay is what one image has over the Debian layer.
func (f *Farm) writeOverlay(ctx context.Context, e Entry, debs debSet, w io.Writer) error {
	return f.finishRoot(ctx, e, debs, &rootWriter{tar: tar.NewWriter(w), seen: map[string]bool{}})
}

func (f *Farm) finishRoot(ctx context.Context, e Entry, debs debSet, t *rootWriter) error {
	passwd := fmt.Sprintf("root:x:0:0:root:/root:/bin/sh\nnobody:x:%d:%d:nobody:/:/bin/false\n", nobody, nobody)
	group := fmt.Sprintf("root:x:0:\nnobody:x:%d:\n", nobody)
	if a := e.Account; a.Name != "" {
		passwd += fmt.Sprintf("%s:x:%d:%d::/:/bin/sh\n", a.Name, a.ID, a.ID)
		group += fmt.Sprintf("%s:x:%d:\n", a.Name, a.ID)
	}
	t.file("/etc/passwd", 0o644, []byte(passwd))
	t.file("/etc/group", 0o644, []byte(group))
	t.file("/etc/nsswitch.conf", 0o644, []byte("passwd: files\ngroup: files\nhosts: files dns\n"))
	bundle, err := os.ReadFile(certificates)
	if err == nil {
		t.file(certificates, 0o644, bundle)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, d := range e.Dirs {
		t.dir(d)
	}
	if e.Files != "" {
		if err := t.embedded(e.Files); err != nil {
			return err
		}
	}
	for _, p := range Programs() {
		for _, name := range sortedKeys(e.Binaries) {
			if e.Binaries[name] != p.Name {
				continue
			}
			file, err := f.programPath(p, debs)
			if err != nil {
				return err
			}
			t.binary(name, file)
		}
	}
	for _, name := range sortedKeys(e.Links) {
		t.link(name, e.Links[name])
	}
	if t.err == nil {
		t.err = t.tar.Close()
	}
	return errors.Join(t.err, ctx.Err())
}

// embedded lays a directory of rootfs/ over the image. What starts with #! or
// lies in a bin directory may be executed.
func (t *rootWriter) embedded(dir string) error {
	root := "rootfs/" + dir
	return fs.WalkDir(rootfs, root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := rootfs.ReadFile(name)
		if err != nil {
			return err
		}
		mode := int64(0o644)
		if strings.HasPrefix(string(text), "#!") {
			mode = 0o755
		}
		t.file(strings.TrimPrefix(name, root), mode, text)
		return nil
	})
}

func (t *rootWriter) header(h *tar.Header) bool {
	h.Name = strings.TrimPrefix(path.Clean(h.Name), "/")
	if t.err != nil || h.Name == "" || h.Name == "." || t.seen[h.Name] {
		return false
	}
	if parent := path.Dir(h.Name); t.parents && parent != "." && !t.seen[parent] {
		t.dir(Directory{Path: parent, Mode: 0o755})
	}
	t.seen[h.Name] = true
	h.ModTime = time.Unix(0, 0)
	t.err = t.tar.WriteHeader(h)
	return t.err == nil
}

func (t *rootWriter) dir(d Directory) {
	t.header(&tar.Header{Typeflag: tar.TypeDir, Name: d.Path, Mode: d.Mode, Uid: d.ID, Gid: d.ID})
}

func (t *rootWriter) link(name, target string) {
	t.header(&tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777})
}

func (t *rootWriter) file(name string, mode int64, text []byte) {
	if t.header(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(text))}) {
		_, t.err = t.tar.Write(text)
	}
}

func (t *rootWriter) binary(name, file string) {
	r, err := os.Open(file)
	if err != nil {
		t.err = errors.Join(t.err, err)
		return
	}
	defer func() { _ = r.Close() }() // only read
	info, err := r.Stat()
	if err != nil {
		t.err = errors.Join(t.err, err)
		return
	}
	if t.header(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o755, Size: info.Size()}) {
		_, t.err = io.Copy(t.tar, r)
	}
}
