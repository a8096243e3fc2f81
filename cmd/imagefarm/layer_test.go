package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

func names(t *testing.T, archive []byte) (all []string) {
	t.Helper()
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		name := h.Name
		if h.Linkname != "" {
			name += " -> " + h.Linkname
		}
		all = append(all, name)
	}
}

func TestLayerMergesUsrAndLeavesOut(t *testing.T) {
	var b bytes.Buffer
	l := &layerWriter{tar: tar.NewWriter(&b), seen: map[string]bool{}}
	for _, h := range []tar.Header{
		{Typeflag: tar.TypeSymlink, Name: "bin", Linkname: "usr/bin"},
		{Typeflag: tar.TypeDir, Name: "./"},
		{Typeflag: tar.TypeDir, Name: "./bin/"},
		{Typeflag: tar.TypeReg, Name: "./bin/a", Size: 1},
		{Typeflag: tar.TypeReg, Name: "./usr/bin/a", Size: 1},
		{Typeflag: tar.TypeLink, Name: "./usr/bin/b", Linkname: "./bin/a"},
		{Typeflag: tar.TypeReg, Name: "./usr/share/doc/a/copyright", Size: 1},
		{Typeflag: tar.TypeLink, Name: "./usr/share/x", Linkname: "./usr/share/man/y"},
		{Typeflag: tar.TypeReg, Name: "./usr/lib/x86_64-linux-gnu/libLLVM-14.so.1", Size: 1},
		{Typeflag: tar.TypeReg, Name: "./lib/x86_64-linux-gnu/libc.so.6", Size: 1},
	} {
		if err := l.write(&h, strings.NewReader("x")); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.tar.Close(); err != nil {
		t.Fatal(err)
	}
	want := []string{"bin -> usr/bin", "usr/bin/a", "usr/bin/b -> usr/bin/a", "usr/lib/x86_64-linux-gnu/libc.so.6"}
	if got := names(t, b.Bytes()); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRootWriterWritesParentsOnceAndOnlyInItsOwnRoot(t *testing.T) {
	for parents, want := range map[bool][]string{
		true:  {"usr", "usr/local", "usr/local/bin", "usr/local/bin/a", "usr/local/bin/b -> a"},
		false: {"usr/local/bin/a", "usr/local/bin/b -> a"},
	} {
		var b bytes.Buffer
		w := &rootWriter{tar: tar.NewWriter(&b), seen: map[string]bool{}, parents: parents}
		w.file("/usr/local/bin/a", 0o755, []byte("x"))
		w.file("/usr/local/bin/a", 0o755, []byte("twice"))
		w.link("/usr/local/bin/b", "a")
		if err := errors.Join(w.err, w.tar.Close()); err != nil {
			t.Fatal(err)
		}
		if got := names(t, b.Bytes()); !slices.Equal(got, want) {
			t.Errorf("parents %v: got %q, want %q", parents, got, want)
		}
	}
}

func TestParseImages(t *testing.T) {
	have, err := parseImages([]byte(`["a:1","b:2"] {"croft.farm.key":"k"}
["c:3"] null
`))
	if err != nil || have["a:1"] != "k" || have["b:2"] != "k" {
		t.Errorf("%v, %v", have, err)
	}
	if label, there := have["c:3"]; !there || label != "" {
		t.Errorf("a foreign image: %q, %v", label, there)
	}
	if _, err := parseImages([]byte("nonsense")); err == nil {
		t.Error("nonsense was read")
	}
}
