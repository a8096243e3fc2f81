package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

func TestManifestIsConsistent(t *testing.T) {
	programs := map[string]Program{}
	for _, p := range Programs() {
		if _, twice := programs[p.Name]; twice {
			t.Errorf("program %s is listed twice", p.Name)
		}
		programs[p.Name] = p
		sources := 0
		for _, s := range []string{p.Module, p.Own, p.Deb} {
			if s != "" {
				sources++
			}
		}
		if sources != 1 || p.Module != "" && !strings.HasPrefix(p.Sum, "h1:") {
			t.Errorf("program %s has no single source with its hash: %+v", p.Name, p)
		}
	}
	seen := map[string]bool{}
	for _, e := range Manifest() {
		ref := e.Reference()
		if seen[ref] || seen[e.Name] {
			t.Errorf("%s is listed twice", ref)
		}
		seen[ref], seen[e.Name] = true, true
		if !slices.Contains(tiers(), e.Tier) || !slices.Contains([]Kind{Real, StandIn, Test}, e.Kind) || e.Runs == "" {
			t.Errorf("%s is not described: %+v", ref, e)
		}
		if e.Debian == "" && (e.Version == "" || len(e.Binaries) == 0) || e.Debian != "" && e.Version != "" {
			t.Errorf("%s: its version comes from its package or from the manifest, not both", ref)
		}
		if e.Debian == "" && e.Stop != "" {
			t.Errorf("%s: docker import takes no stop signal", ref)
		}
		for path, name := range e.Binaries {
			if programs[name].Name == "" {
				t.Errorf("%s: %s is of no program %q", ref, path, name)
			}
		}
		if e.Debian != "" && !slices.Contains(debianPackages(), e.Debian) {
			t.Errorf("%s: %s is not in the Debian layer", ref, e.Debian)
		}
		if e.Files != "" {
			if _, err := rootfs.ReadDir("rootfs/" + e.Files); err != nil {
				t.Error(err)
			}
		}
	}
}

// Every image that a stack of the catalogue uses can be made where there is no
// registry.
func TestManifestHasEveryImageOfTheCatalogue(t *testing.T) {
	files, err := filepath.Glob("../../stacks/catalog/*/compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("there is no catalogue")
	}
	have := map[string]bool{}
	for _, e := range Manifest() {
		have[e.Reference()] = true
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var compose struct {
			Services map[string]struct {
				Image string `yaml:"image"`
			} `yaml:"services"`
		}
		if err := yaml.Unmarshal(text, &compose); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		for name, s := range compose.Services {
			if s.Image != "" && !strings.Contains(s.Image, "${") && !have[s.Image] {
				t.Errorf("%s: service %s uses %s, which the manifest does not have", file, name, s.Image)
			}
		}
	}
}

func TestSelectEntries(t *testing.T) {
	tests := []struct {
		tier string
		args []string
		want []string
		err  string
	}{
		{"core", []string{"traefik"}, []string{"traefik:v3.7.9"}, ""},
		{"core", []string{"postgres:18.6", "prom/prometheus"}, []string{"postgres:18.6", "prom/prometheus:v3.14.0"}, ""},
		{"core", []string{"mysql"}, nil, "no image"},
		{"huge", nil, nil, "no tier"},
	}
	for _, tt := range tests {
		got, err := selectEntries(tt.tier, tt.args)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%v: error = %v, want %q", tt.args, err, tt.err)
			}
			continue
		}
		var refs []string
		for _, e := range got {
			refs = append(refs, e.Reference())
		}
		if err != nil || !slices.Equal(refs, tt.want) {
			t.Errorf("%v: %v, %v", tt.args, refs, err)
		}
	}
	for _, tier := range tiers() {
		if got, err := selectEntries(tier, nil); err != nil || len(got) < len(Manifest()) && tier == "nightly" {
			t.Errorf("%s: %d entries, %v", tier, len(got), err)
		}
	}
}

func TestSummary(t *testing.T) {
	if got := summary(Manifest()); !regexp.MustCompile(`^\d+ real, \d+ stand-in, \d+ test$`).MatchString(got) {
		t.Errorf("summary = %q", got)
	}
}
