// Package croft_test keeps the promises that no single package can: who may
// import whom, where a secret may be revealed, and that the documents point at
// things that exist.
package croft_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/croft-sh/croft"

// tableFile holds the package table; it is read, so that page and test cannot
// say different things.
const tableFile = "docs/architecture.md"

// everything, in the table's last column, allows any package of croft.
const everything = "all"

// goPackage is what go list tells about one package.
type goPackage struct {
	ImportPath, Dir, Name, Doc            string
	GoFiles, IgnoredGoFiles, Imports      []string
	TestGoFiles, XTestGoFiles, EmbedFiles []string
}

// path is the package's directory below the module, "." for the root.
func (p goPackage) path() string {
	if p.ImportPath == module {
		return "."
	}
	return strings.TrimPrefix(p.ImportPath, module+"/")
}

func listPackages(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-json", "./...")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var packages []goPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p goPackage
		if err := dec.Decode(&p); err != nil {
			t.Fatalf("reading go list: %v", err)
		}
		packages = append(packages, p)
	}
	return packages
}

// row is one line of the package table.
type row struct {
	imports []string // allowed own imports; everything allows all
	job     string
}

var code = regexp.MustCompile("`([^`]+)`")

// packageTable reads the rows "| `path` | job | imports |" of the table.
func packageTable(t *testing.T) map[string]row {
	t.Helper()
	text, err := os.ReadFile(tableFile)
	if err != nil {
		t.Fatal(err)
	}
	table := map[string]row{}
	for _, line := range strings.Split(string(text), "\n") {
		cells := strings.Split(strings.Trim(line, "| "), "|")
		if !strings.HasPrefix(line, "| `") || len(cells) != 3 {
			continue
		}
		r := row{job: strings.TrimSpace(cells[1])}
		for _, m := range code.FindAllStringSubmatch(cells[2], -1) {
			r.imports = append(r.imports, m[1])
		}
		if strings.TrimSpace(cells[2]) == everything {
			r.imports = []string{everything}
		}
		// One row may stand for several packages with the same rule.
		for _, m := range code.FindAllStringSubmatch(cells[0], -1) {
			table[m[1]] = r
		}
	}
	if len(table) < 3 {
		t.Fatalf("%s: no package table found", tableFile)
	}
	return table
}

func TestPackagesImportOnlyWhatTheTableAllows(t *testing.T) {
	table := packageTable(t)
	seen := map[string]bool{}
	for _, p := range listPackages(t) {
		if p.path() == "." {
			if len(p.GoFiles) > 0 {
				t.Errorf("the root holds tests only, not %v", p.GoFiles)
			}
			continue
		}
		seen[p.path()] = true
		r, ok := table[p.path()]
		if !ok {
			t.Errorf("package %s is not in the table of %s: add it with its job and what it may import", p.path(), tableFile)
			continue
		}
		if r.job == "" {
			t.Errorf("%s: the table does not say what it is for", p.path())
		}
		for _, imp := range p.Imports {
			own, is := strings.CutPrefix(imp, module+"/")
			if is && !slices.Contains(r.imports, own) && !slices.Contains(r.imports, everything) {
				t.Errorf("%s imports %s; the table of %s allows %v", p.path(), own, tableFile, r.imports)
			}
		}
	}
	for path := range table {
		if !seen[path] {
			t.Errorf("the table of %s has a row for %s, which is not a package", tableFile, path)
		}
	}
}

func TestEveryPackageHasOneDocComment(t *testing.T) {
	for _, p := range listPackages(t) {
		if len(p.GoFiles) == 0 {
			continue
		}
		want := "Package " + p.Name + " "
		if p.Name == "main" {
			want = "Command " + filepath.Base(p.Dir) + " "
		}
		var docs []string
		for _, file := range p.GoFiles {
			f := parse(t, filepath.Join(p.Dir, file), parser.PackageClauseOnly|parser.ParseComments)
			if f.Doc == nil {
				continue
			}
			docs = append(docs, file)
			if text := f.Doc.Text(); !strings.HasPrefix(text, want) {
				t.Errorf("%s: the package comment of %s begins %q, not %q", p.path(), file, firstLine(text), want)
			}
		}
		if len(docs) != 1 {
			t.Errorf("%s has %d package comments %v, want one", p.path(), len(docs), docs)
		}
	}
}

func TestNoFileIsNamedAfterNothing(t *testing.T) {
	empty := []string{"util", "utils", "common", "helper", "helpers", "types", "misc"}
	for _, file := range goFiles(t) {
		name := strings.TrimSuffix(strings.TrimSuffix(filepath.Base(file), ".go"), "_test")
		if slices.Contains(empty, name) || slices.Contains(empty, filepath.Base(filepath.Dir(file))) {
			t.Errorf("%s: name it after what it holds", file)
		}
	}
}

func TestNoInitFunctions(t *testing.T) {
	for _, file := range goFiles(t) {
		f := parse(t, file, parser.ParseComments)
		if ast.IsGenerated(f) {
			continue
		}
		for _, decl := range f.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s has func init: what a program does begins in main", file)
			}
		}
	}
}

// longest is how many lines a file or a function may have before it is two.
const (
	longestFile     = 400
	longestFunction = 80
)

func TestFilesAndFunctionsAreShort(t *testing.T) {
	for _, file := range goFiles(t) {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		if ast.IsGenerated(f) {
			continue
		}
		if n := fset.Position(f.End()).Line; n > longestFile {
			t.Errorf("%s has %d lines, at most %d", file, n, longestFile)
		}
		for _, decl := range f.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok {
				if n := fset.Position(fn.End()).Line - fset.Position(fn.Pos()).Line + 1; n > longestFunction {
					t.Errorf("%s: %s has %d lines, at most %d", file, fn.Name.Name, n, longestFunction)
				}
			}
		}
	}
}

// TestOnlyTheseReveal names every place where a secret leaves its wrapper.
// Anything else gets a Secret and hands it on.
func TestOnlyTheseReveal(t *testing.T) {
	allowed := map[string]string{
		"stacks/secret.go IsZero":                       "is there a value",
		"stacks/secret.go Equal":                        "are two the same",
		"provision/secrets/keeper.go keyed":             "the key of an HMAC",
		"provision/secrets/keeper.go Fingerprints":      "an HMAC of the value",
		"provision/secrets/placeholder.go lookup":       "fills a template on the tmpfs",
		"provision/secrets/store.go Set":                "its size is limited",
		"provision/secrets/store.go seal":               "encrypts it",
		"provision/secrets/store.go holds":              "is it the same value",
		"provision/secrets/authority.go certificateDue": "reads the certificate beside the key",
		"provision/secrets/authority.go parseAuthority": "signs with the key",
		"provision/secrets/deliver.go content":          "the file on the tmpfs",
		"provision/users/password.go hashPassword":      "hashes it",
		"cmd/croft/account.go writeLogin":               "the first password, where no terminal can show it",
		"cmd/croft/account.go showAccount":              "the first password, to the person at the terminal",
	}
	found := map[string]bool{}
	for _, file := range goFiles(t) {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f := parse(t, file, 0)
		inStacks := filepath.Dir(file) == "stacks"
		for _, decl := range f.Decls {
			where := file
			if fn, ok := decl.(*ast.FuncDecl); ok {
				where = file + " " + fn.Name.Name
			}
			ast.Inspect(decl, func(n ast.Node) bool {
				if reveals(n, inStacks) {
					found[where] = true
				}
				return true
			})
		}
	}
	for where := range found {
		if allowed[where] == "" {
			t.Errorf("%s calls stacks.Reveal: let it pass the Secret on, or list it here with its reason", where)
		}
	}
	for where := range allowed {
		if !found[where] {
			t.Errorf("%s is listed but does not call stacks.Reveal any more", where)
		}
	}
}

// reveals tells a use of Reveal, called or only named, from everything else.
func reveals(n ast.Node, inStacks bool) bool {
	switch n := n.(type) {
	case *ast.SelectorExpr:
		pkg, ok := n.X.(*ast.Ident)
		return ok && pkg.Name == "stacks" && n.Sel.Name == "Reveal"
	case *ast.CallExpr:
		fn, ok := n.Fun.(*ast.Ident)
		return ok && inStacks && fn.Name == "Reveal"
	}
	return false
}

// goFiles gives every Go file of the module, slash paths, without testdata.
func goFiles(t *testing.T) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(".", func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "bin" || d.Name() == "dist") {
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, ".go") {
			files = append(files, filepath.ToSlash(path))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func parse(t *testing.T, file string, mode parser.Mode) *ast.File {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, mode)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
