package secrets

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/croft-sh/croft/stacks"
)

// TestUndelivered changes delivered files in every way and wants it told, and
// put right by the next delivery.
func TestUndelivered(t *testing.T) {
	tests := []struct {
		name   string
		change func(path string) error
		want   stacks.Undelivered
	}{
		{"nothing", func(string) error { return nil }, ""},
		{"removed", os.Remove, stacks.SecretGone},
		{"edited to the same length", func(path string) error { return os.WriteFile(path, []byte("eno"), 0o400) }, stacks.SecretChanged},
		{"made a link", func(path string) error {
			if err := os.Rename(path, path+"-kept"); err != nil {
				return err
			}
			return os.Symlink(path+"-kept", path)
		}, stacks.SecretChanged},
		{"made a directory", func(path string) error { _ = os.Remove(path); return os.Mkdir(path, 0o755) }, stacks.SecretChanged},
		{"opened", func(path string) error { return os.Chmod(path, 0o644) }, "it has mode 0644, not 0400"},
		{"given away", func(path string) error { return os.Chown(path, 7, 7) }, "it belongs to 7:7, not to 1000:1001"},
		{"all emptied", func(path string) error { return os.RemoveAll(filepath.Dir(filepath.Dir(filepath.Dir(path)))) }, stacks.SecretGone},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newDelivery(t)
			grants := b.sampleGrants()
			if err := b.Deliver(grants); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(b.Dir, "gitea/web/db")
			if err := tt.change(path); err != nil {
				t.Fatal(err)
			}
			got, err := b.Undelivered(grants)
			if err != nil {
				t.Fatal(err)
			}
			if got[path] != tt.want {
				t.Errorf("got %q, want %q", got[path], tt.want)
			}
			if n := len(got); tt.want != "" && tt.name != "all emptied" && n != 1 {
				t.Errorf("others are told too: %v", got)
			}
			if err := b.Deliver(grants); err != nil {
				t.Fatal(err)
			}
			if got, err := b.Undelivered(grants); err != nil || len(got) != 0 {
				t.Errorf("after the next delivery: %v, %v", got, err)
			}
		})
	}
}

// TestFingerprintsOfDeliveriesTellNothing: the file beside the secrets is for root
// and holds neither values nor what a guess could be checked with.
func TestFingerprintsOfDeliveriesTellNothing(t *testing.T) {
	b, other := newDelivery(t), newDelivery(t)
	prints := []map[string]string{}
	for _, k := range []*bench{b, other} {
		if err := k.Deliver(k.sampleGrants()); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(k.Dir, deliveredFile)
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Fatalf("%v, %v", info, err)
		}
		raw, err := os.ReadFile(path)
		if err != nil || strings.Contains(string(raw), "three") {
			t.Fatalf("%s, %v", raw, err)
		}
		root, err := k.look()
		if err != nil {
			t.Fatal(err)
		}
		got, err := root.prints()
		_ = root.root.Close()
		if err != nil {
			t.Fatal(err)
		}
		prints = append(prints, got)
	}
	if maps.Equal(prints[0], prints[1]) {
		t.Error("two platforms give one value the same fingerprint")
	}
	// Another stack's delivery leaves what is remembered of this one.
	if err := b.Deliver([]stacks.Grant{b.grant("auth/key", "auth/auth/key", 0)}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(b.Dir, "gitea/web/db")
	if err := os.WriteFile(path, []byte("eno"), 0o400); err != nil {
		t.Fatal(err)
	}
	if got, err := b.Undelivered(b.sampleGrants()); err != nil || got[path] != stacks.SecretChanged {
		t.Errorf("%v, %v", got, err)
	}
}
