package main

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"
)

const layerRepository = "croft-farm/debian"

func layerReference(debs debSet) string { return layerRepository + ":" + debs.key() }

// debianLayer imports the packages as one image that all Debian programs
// share. No package's maintainer scripts run.
func (f *Farm) debianLayer(ctx context.Context, debs debSet) error {
	ref := layerReference(debs)
	if present, err := imagePresent(ctx, ref); err != nil || present {
		return err
	}
	done := f.progress.step("importing the Debian layer from %d packages", len(debs.Files))
	r, w := io.Pipe()
	go func() { w.CloseWithError(f.writeLayer(ctx, debs, w)) }()
	err := docker(ctx, r, "import",
		"--change", label("croft.farm.key", debs.key()), "--change", label("croft.farm.kind", "layer"), "-", ref)
	r.CloseWithError(err)
	if err != nil {
		return fmt.Errorf("importing the Debian layer: %w", err)
	}
	done()
	return nil
}

func (f *Farm) writeLayer(ctx context.Context, debs debSet, w io.Writer) error {
	l := &layerWriter{tar: tar.NewWriter(w), seen: map[string]bool{}}
	// The merged /usr comes first: packages still write to /bin and /lib.
	for _, dir := range []string{"bin", "sbin", "lib", "lib64"} {
		if err := l.write(&tar.Header{Typeflag: tar.TypeDir, Name: "usr/" + dir, Mode: 0o755}, nil); err != nil {
			return err
		}
		if err := l.write(&tar.Header{Typeflag: tar.TypeSymlink, Name: dir, Linkname: "usr/" + dir}, nil); err != nil {
			return err
		}
	}
	links := map[string]string{"usr/bin/sh": "dash", "var/run": "/run"}
	for _, applet := range []string{"wget", "nc", "ps", "nslookup", "find", "vi", "less", "ping", "hostname"} {
		links["usr/bin/"+applet] = "busybox"
	}
	for _, name := range sortedKeys(links) {
		if err := l.write(&tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: links[name]}, nil); err != nil {
			return err
		}
	}
	for name, mode := range map[string]int64{"tmp": 0o1777, "var/tmp": 0o1777, "run": 0o755, "root": 0o700} {
		if err := l.write(&tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: mode}, nil); err != nil {
			return err
		}
	}
	for _, deb := range debs.Files {
		if err := f.copyDeb(ctx, deb, l); err != nil {
			return fmt.Errorf("%s: %w", deb, err)
		}
	}
	return l.tar.Close()
}

func (f *Farm) copyDeb(ctx context.Context, deb string, l *layerWriter) error {
	r, wait, err := f.openDeb(ctx, deb)
	if err != nil {
		return err
	}
	for t := tar.NewReader(r); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return wait()
		}
		if err == nil {
			err = l.write(h, t)
		}
		if err != nil {
			return errors.Join(err, wait())
		}
	}
}

// layerWriter merges packages into one archive: each path once, in the merged
// /usr, without what no program needs.
type layerWriter struct {
	tar  *tar.Writer
	seen map[string]bool
}

func (l *layerWriter) write(h *tar.Header, content io.Reader) error {
	name := mergedUsr(h.Name)
	if name == "." || l.seen[name] || leftOut(name) {
		return nil
	}
	if h.Typeflag == tar.TypeLink {
		target := mergedUsr(h.Linkname)
		if leftOut(target) {
			return nil
		}
		h.Linkname = target
	}
	l.seen[name] = true
	out := &tar.Header{Typeflag: h.Typeflag, Name: name, Linkname: h.Linkname, Mode: h.Mode, Uid: h.Uid, Gid: h.Gid,
		Size: h.Size, ModTime: time.Unix(0, 0), Format: tar.FormatPAX}
	if err := l.tar.WriteHeader(out); err != nil {
		return err
	}
	if h.Typeflag != tar.TypeReg || content == nil {
		return nil
	}
	_, err := io.Copy(l.tar, content)
	return err
}

func mergedUsr(name string) string {
	name = path.Clean(strings.TrimPrefix(name, "./"))
	top, _, _ := strings.Cut(name, "/")
	switch top {
	case "bin", "sbin", "lib", "lib64":
		if name != top {
			return "usr/" + name
		}
	}
	return name
}

// leftOut is documentation, perl, and PostgreSQL's compiler with its 110 MB.
func leftOut(name string) bool {
	for _, prefix := range []string{"usr/share/doc/", "usr/share/man/", "usr/share/locale/", "usr/share/info/",
		"usr/share/perl", "usr/lib/postgresql/15/lib/bitcode/", "usr/lib/postgresql/15/lib/llvmjit.so", "var/run"} {
		if strings.HasPrefix(name, prefix) && name != "var/run" {
			return true
		}
	}
	base := path.Base(name)
	return strings.HasPrefix(base, "libLLVM") || strings.Contains(name, "-linux-gnu/perl")
}
