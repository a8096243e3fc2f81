package stacks

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// composeServices reads the services of a rendered compose.yaml as plain maps.
// A text that cannot be read gives none: the causes are then less precise, the
// decision is not theirs.
func composeServices(text []byte) map[string]map[string]any {
	var doc struct {
		Services map[string]map[string]any `yaml:"services"`
	}
	if len(text) == 0 || yaml.Unmarshal(text, &doc) != nil {
		return nil
	}
	return doc.Services
}

// noCause is said where nothing that can be named differs.
const noCause = "its definition changed"

// specCauses says in words what differs between two forms of a service. Values
// of the environment are never among the words: they may be secrets.
func specCauses(old, fresh map[string]any) []string {
	if old == nil || fresh == nil {
		return []string{noCause}
	}
	keys := map[string]bool{}
	for k := range old {
		keys[k] = true
	}
	for k := range fresh {
		keys[k] = true
	}
	var causes []string
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		a, b := old[key], fresh[key]
		if key == "labels" {
			a, b = withoutOwn(a), withoutOwn(b)
		}
		if reflect.DeepEqual(a, b) {
			continue
		}
		switch key {
		case "image":
			causes = append(causes, fmt.Sprintf("image %v -> %v", a, b))
		case "environment", "labels":
			causes = append(causes, key+" changed: "+strings.Join(changedKeys(a, b), ", "))
		case "mem_limit", "cpus", "pids_limit", "user", "restart", "read_only":
			causes = append(causes, fmt.Sprintf("%s %v -> %v", key, orNone(a), orNone(b)))
		default:
			causes = append(causes, key+" changed")
		}
	}
	if len(causes) == 0 {
		return []string{noCause}
	}
	return causes
}

func orNone(v any) any {
	if v == nil {
		return "unset"
	}
	return v
}

func withoutOwn(v any) any {
	m, ok := v.(map[string]any)
	if !ok {
		return v
	}
	out := map[string]any{}
	for k, val := range m {
		if !strings.HasPrefix(k, "croft.") {
			out[k] = val
		}
	}
	return out
}

func changedKeys(a, b any) []string {
	am, _ := a.(map[string]any)
	bm, _ := b.(map[string]any)
	set := map[string]bool{}
	for k, v := range am {
		if w, ok := bm[k]; !ok || !reflect.DeepEqual(v, w) {
			set[k] = true
		}
	}
	for k := range bm {
		if _, ok := am[k]; !ok {
			set[k] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}
