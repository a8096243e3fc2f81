package enginetest

import (
	"strings"
	"testing"

	"github.com/croft-sh/croft/provision"
)

// DatabaseSubject is a server under the contract. Prefix begins the names of all
// databases that the contract makes.
type DatabaseSubject struct {
	provision.Databases
	Server, Prefix string
	Make           func(t *testing.T, name, row string)   // a database with one row
	Write          func(t *testing.T, name, row string)   // changes the row
	Read           func(t *testing.T, name string) string // "" without the database
}

// RunDatabases checks the contract of provision.Databases.
func RunDatabases(t *testing.T, s DatabaseSubject) {
	name := s.Prefix + "app"
	aside, failed := name+"_croft_aside_7", name+"_croft_failed_7"
	read := func(t *testing.T, name, want string) {
		t.Helper()
		if got := s.Read(t, name); got != want {
			t.Errorf("%s holds %q, want %q", name, got, want)
		}
	}
	must := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Run("a missing database has no size and no copy", func(t *testing.T) {
		if _, there, err := s.Size(t.Context(), s.Server, name); err != nil || there {
			t.Errorf("%v, %v", there, err)
		}
		must(t, s.Copy(t.Context(), s.Server, name, aside))
		if _, there, _ := s.Size(t.Context(), s.Server, aside); there {
			t.Error("something was copied")
		}
		must(t, s.Drop(t.Context(), s.Server, name))
		if err := s.Swap(t.Context(), s.Server, name, aside, failed); err == nil || !strings.Contains(err.Error(), "neither") {
			t.Errorf("swap of nothing: %v", err)
		}
	})
	t.Run("a copy stands beside and is made anew", func(t *testing.T) {
		s.Make(t, name, "first")
		must(t, s.Copy(t.Context(), s.Server, name, aside))
		s.Write(t, name, "second")
		read(t, aside, "first")
		must(t, s.Copy(t.Context(), s.Server, name, aside))
		read(t, aside, "second")
		if bytes, there, err := s.Size(t.Context(), s.Server, aside); err != nil || !there || bytes == 0 {
			t.Errorf("%d, %v, %v", bytes, there, err)
		}
	})
	t.Run("a swap happens once", func(t *testing.T) {
		s.Write(t, name, "migrated")
		for range 2 {
			must(t, s.Swap(t.Context(), s.Server, name, aside, failed))
			read(t, name, "second")
			read(t, failed, "migrated")
			read(t, aside, "")
		}
	})
	t.Run("a swap where the failed one dropped its database", func(t *testing.T) {
		must(t, s.Copy(t.Context(), s.Server, name, aside))
		must(t, s.Drop(t.Context(), s.Server, name))
		must(t, s.Swap(t.Context(), s.Server, name, aside, failed))
		read(t, name, "second")
	})
	t.Run("drop is for good", func(t *testing.T) {
		for _, one := range []string{name, failed} {
			must(t, s.Drop(t.Context(), s.Server, one))
			must(t, s.Drop(t.Context(), s.Server, one))
			read(t, one, "")
		}
	})
}
