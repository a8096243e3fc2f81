package stacks

import (
	"embed"
	"io/fs"
	"sort"
)

// catalogFiles holds every catalogue entry: one directory a stack, copied as it
// is by stack add.
//
//go:embed all:catalog
var catalogFiles embed.FS

// Catalog gives the embedded catalogue; each top-level directory is a stack.
func Catalog() fs.FS {
	sub, err := fs.Sub(catalogFiles, "catalog")
	if err != nil {
		panic(err) // the name is a constant: cannot fail
	}
	return sub
}

// CatalogNames gives the stacks of the catalogue, sorted.
func CatalogNames() []string {
	entries, err := fs.ReadDir(Catalog(), ".")
	if err != nil {
		panic(err) // embedded: cannot fail
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	sort.Strings(names)
	return names
}
