package croft_test

import (
	"go/ast"
	"path/filepath"
	"strings"
	"testing"
)

// TestOnlyTheseRemoveData names every place that can remove a volume or a whole
// directory. Whoever adds one says here why no data is lost by it. What the
// program asks of the engine is read by cmd/croft/e2e, TestNothingRemovesAVolume.
func TestOnlyTheseRemoveData(t *testing.T) {
	allowed := map[string]string{
		"provision/docker/destroy.go RemoveVolume VolumeRemove":     "the one call there is",
		"cmd/croft/destroy.go removeVolume RemoveVolume":            "destroy --volume NAME",
		"cmd/croft/destroy.go removeVolume RemoveAll":               "destroy --volume NAME: its directory",
		"provision/clean.go Reclaim RemoveAll":                      "what clean lists, and asks for: copies of data, old revisions",
		"provision/host/copy.go Copy RemoveAll":                     "a half-made copy of data under the copy's name",
		"provision/host/copy.go Swap RemoveAll":                     "what an earlier failed change left, under a name of croft's own",
		"provision/destroy.go Destroy RemoveAll":                    "secrets on the tmpfs, which secrets.age has",
		"provision/secrets/deliver.go Withdraw RemoveAll":           "secrets on the tmpfs, which secrets.age has",
		"provision/secrets/deliver.go write RemoveAll":              "what the engine put where a secret on the tmpfs belongs",
		"provision/host/commit.go Begin RemoveAll":                  "a half-made directory that bears croft's mark",
		"cmd/croft/eject_write.go writeEjected RemoveAll":           "what it wrote itself and could not finish",
		"cmd/croft/eject_write.go ejectSecrets RemoveAll":           "a directory of its own that is empty by then",
		"cmd/croft/draft.go check RemoveAll":                        "a copy of its own in the temporary directory",
		"cmd/croft/draft.go writeStacks RemoveAll":                  "half-made copies of stacks under a prefix of croft's own",
		"cmd/croft/stack_harden.go hardened RemoveAll":              "a copy of its own in the temporary directory",
		"stacks/compose_include.go materialise RemoveAll":           "a directory of its own in the temporary directory",
		"cmd/imagefarm/autheliashim/main.go writePrivate RemoveAll": "a test tool's own directory",
	}
	found := map[string]bool{}
	for _, file := range goFiles(t) {
		if strings.HasSuffix(file, "_test.go") || strings.HasSuffix(filepath.Dir(file), "test") {
			continue // enginetest and registrytest are tests' own
		}
		for _, decl := range parse(t, file, 0).Decls {
			fn, ok := decl.(*ast.FuncDecl)
			name := file
			if ok {
				name = file + " " + fn.Name.Name
			}
			ast.Inspect(decl, func(n ast.Node) bool {
				if what := removes(n); what != "" {
					found[name+" "+what] = true
				}
				return true
			})
		}
	}
	for where := range found {
		if allowed[where] == "" {
			t.Errorf("%s: say in this test why no data is lost by it, or do without", where)
		}
	}
	for where := range allowed {
		if !found[where] {
			t.Errorf("%s is listed and removes nothing any more", where)
		}
	}
}

// removes names the call or option that takes data away, "" for any other node.
func removes(n ast.Node) string {
	switch n := n.(type) {
	case *ast.SelectorExpr:
		switch n.Sel.Name {
		case "RemoveAll", "VolumeRemove", "VolumesPrune", "VolumePrune", "RemoveVolume":
			return n.Sel.Name
		}
	case *ast.KeyValueExpr:
		key, isName := n.Key.(*ast.Ident)
		value, isWord := n.Value.(*ast.Ident)
		// RemoveVolumes of a container's removal, Volumes of Compose's down.
		if isName && (key.Name == "RemoveVolumes" || key.Name == "Volumes") && (isWord && value.Name == "true" || key.Name == "RemoveVolumes" && !isWord) {
			return key.Name
		}
	}
	return ""
}
