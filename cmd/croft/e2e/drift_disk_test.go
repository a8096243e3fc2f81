//go:build e2e

package e2e

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/croft-sh/croft/provision/host"
	"github.com/croft-sh/croft/provision/secrets"
	"github.com/croft-sh/croft/stacks"
)

const exitWrongKey = 12

// readsOne wants the program to see the mounted file as croft writes it.
func (s *driftScene) readsOne() {
	s.t.Helper()
	pid := s.docker("inspect", "-f", "{{.State.Pid}}", s.id("web"))
	if raw, err := os.ReadFile("/proc/" + pid + "/root/etc/one.txt"); err != nil || string(raw) != "one\n" {
		s.t.Errorf("the program reads %q, %v", raw, err)
	}
	if info, err := os.Lstat(s.live("app/one.txt")); err != nil || !info.Mode().IsRegular() {
		s.t.Errorf("the live file is %v, %v", info, err)
	}
}

// readsToken wants the program to see the secret that lies on the tmpfs.
func (s *driftScene) readsToken() {
	s.t.Helper()
	pid := s.docker("inspect", "-f", "{{.State.Pid}}", s.id("web"))
	seen, err := os.ReadFile("/proc/" + pid + "/root/run/secrets/token")
	s.check(err)
	lies, err := os.ReadFile(s.secret())
	s.check(err)
	info, err := os.Lstat(s.secret())
	if err != nil || string(seen) != string(lies) || len(lies) < 8 || info.Mode().Perm() != 0o400 {
		s.t.Errorf("the program does not read the secret as delivered: %v, %v, %d bytes", info, err, len(lies))
	}
}

func fileDrift() []drift {
	one := s1("file app/one.txt: it was changed on disk", "app/web: file one.txt was changed on disk")
	missing := s1("file app/one.txt: it is missing on disk", "app/web: file one.txt is missing on disk")
	recreate := []string{"app/web recreate"}
	return []drift{
		{name: "live compose.yaml edited", do: func(s *driftScene) { s.file("state/live/app/compose.yaml", "services: {}\n") },
			want: s1("file app/compose.yaml: it was changed on disk")},
		{name: "live compose.yaml removed", do: func(s *driftScene) { s.check(os.Remove(s.live("hub/compose.yaml"))) },
			want: s1("file hub/compose.yaml: it is missing on disk")},
		{name: "mounted file edited", do: func(s *driftScene) { s.file("state/live/app/one.txt", "two\n") },
			want: one, changes: recreate, after: (*driftScene).readsOne},
		{name: "mounted file removed", do: func(s *driftScene) { s.check(os.Remove(s.live("app/one.txt"))) },
			want: missing, changes: recreate, after: (*driftScene).readsOne},
		{name: "mounted file replaced by a link", do: func(s *driftScene) {
			s.check(os.Rename(s.live("app/one.txt"), filepath.Join(s.root, "elsewhere.txt")))
			s.check(os.Symlink(filepath.Join(s.root, "elsewhere.txt"), s.live("app/one.txt")))
		}, want: missing, changes: recreate, after: (*driftScene).readsOne},
		{name: "mounted file replaced by a directory", do: func(s *driftScene) {
			s.check(os.Remove(s.live("app/one.txt")))
			s.check(os.Mkdir(s.live("app/one.txt"), 0o755))
		}, want: missing, changes: recreate, after: (*driftScene).readsOne},
		{name: "mounted file opened to all", do: func(s *driftScene) { s.check(os.Chmod(s.live("app/one.txt"), 0o666)) },
			want: s1("file app/one.txt: it has mode 0666, not 0644"), after: func(s *driftScene) {
				s.readsOne()
				if info, err := os.Stat(s.live("app/one.txt")); err != nil || info.Mode().Perm() != 0o644 {
					s.t.Errorf("it is %v, %v", info, err)
				}
			}},
		{name: "a directory of files replaced by a link", do: func(s *driftScene) {
			s.check(os.Rename(s.live("app/conf"), filepath.Join(s.root, "elsewhere")))
			s.check(os.Symlink(filepath.Join(s.root, "elsewhere"), s.live("app/conf")))
			s.file("elsewhere/a.conf", "not touched\n")
		}, want: s1("file app/conf/a.conf: it is missing on disk", "app/web: file conf/a.conf is missing on disk"), changes: s1("app/web reload"),
			after: func(s *driftScene) {
				if raw, _ := os.ReadFile(filepath.Join(s.root, "elsewhere/a.conf")); string(raw) != "not touched\n" {
					s.t.Errorf("croft wrote through the link: %q", raw)
				}
			}},
		{name: "file it reloads edited", do: func(s *driftScene) { s.file("state/live/app/conf/a.conf", "b\n") },
			want: s1("file app/conf/a.conf: it was changed on disk", "app/web: file conf/a.conf was changed on disk"), changes: s1("app/web reload")},
		{name: "a file of somebody's beside them", do: func(s *driftScene) { s.file("state/live/app/conf/mine.conf", "mine\n") },
			notChecked: "files under live/ that croft did not write", undo: func(s *driftScene) { s.check(os.Remove(s.live("app/conf/mine.conf"))) }},
		{name: "live file given to another user", do: func(s *driftScene) { s.check(os.Chown(s.live("app/one.txt"), 7, 7)) },
			notChecked: "owners of live files", undo: func(s *driftScene) { s.check(os.Chown(s.live("app/one.txt"), 0, 0)) }},
		{name: "all live files of a stack removed", do: func(s *driftScene) { s.check(os.RemoveAll(s.live("app"))) },
			want: s1("file app/compose.yaml: it is missing on disk", "file app/conf/a.conf: it is missing on disk", "file app/one.txt: it is missing on disk",
				"app/web: file one.txt is missing on disk"),
			changes: recreate, after: (*driftScene).readsOne},
	}
}

func s1(lines ...string) []string { return lines }

func secretDrift() []drift {
	recreate := []string{"app/web recreate"}
	gone := s1("app/web: its secrets are gone from memory")
	return []drift{
		{name: "secret removed from memory", do: func(s *driftScene) { s.check(os.Remove(s.secret())) }, want: gone, changes: recreate, after: (*driftScene).readsToken},
		{name: "secret changed in memory", do: func(s *driftScene) {
			raw, err := os.ReadFile(s.secret())
			s.check(err)
			s.check(os.WriteFile(s.secret(), []byte(strings.Repeat("x", len(raw))), 0o400)) // in place: same size, mode, owner
		}, want: s1("app/web: secret token was changed in memory"), changes: recreate, after: (*driftScene).readsToken},
		{name: "secret opened to all", do: func(s *driftScene) { s.check(os.Chmod(s.secret(), 0o444)) },
			want: s1("file SECRET: it has mode 0444, not 0400"), after: (*driftScene).readsToken},
		{name: "secret given to another user", do: func(s *driftScene) { s.check(os.Chown(s.secret(), 0, 0)) },
			want: s1("file SECRET: it belongs to 0:0, not to 65534:65534"), after: (*driftScene).readsToken},
		{name: "secrets removed from memory", do: func(s *driftScene) { s.check(os.RemoveAll("/run/croft/" + s.name + "/secrets")) },
			want: gone, changes: recreate, after: (*driftScene).readsToken},
		{name: "memory for secrets unmounted", do: func(s *driftScene) {
			if out, err := exec.Command("umount", "-l", "/run/croft/"+s.name).CombinedOutput(); err != nil {
				s.t.Fatalf("%v: %s", err, out)
			}
		}, want: gone, changes: recreate, after: func(s *driftScene) {
			s.readsToken()
			if !mounted("/run/croft/" + s.name) {
				s.t.Error("the secrets are on a disk")
			}
		}},
		{name: "secret changed in the store", do: func(s *driftScene) {
			k := secrets.Keeper{File: filepath.Join(s.state, "secrets.age"), HostKey: filepath.Join(s.state, "host.key"), Write: host.WriteFile}
			s.check(k.Set("app/token", stacks.NewSecret("another-token-of-somebody")))
		}, changes: recreate, after: (*driftScene).readsToken}, // no drift: whoever has the key set it
	}
}

func imageDrift() []drift {
	other := func(s *driftScene) {
		id := s.docker("create", s.name+"/echo:1")
		s.docker("commit", "--change", "LABEL made=otherwise", id, s.name+"/echo:2")
		s.docker("rm", id)
	}
	return []drift{
		{name: "tag moved to another image", do: func(s *driftScene) { other(s); s.docker("tag", s.name+"/echo:2", s.name+"/echo:1") },
			want:    s1("app/web: image PLATFORM/echo:1 is another one now", "app/sharer: image PLATFORM/echo:1 is another one now", "hub/scraper: image PLATFORM/echo:1 is another one now"),
			changes: s1("app/web recreate", "app/sharer recreate", "hub/scraper recreate"), after: (*driftScene).kept},
		{name: "tag moved back", do: func(s *driftScene) { s.docker("tag", "croft-test/echo:1", s.name+"/echo:1") },
			want:    s1("app/web: image PLATFORM/echo:1 is another one now", "app/sharer: image PLATFORM/echo:1 is another one now", "hub/scraper: image PLATFORM/echo:1 is another one now"),
			changes: s1("app/web recreate", "app/sharer recreate", "hub/scraper recreate"), after: (*driftScene).kept},
		{name: "tag of a running image removed", do: func(s *driftScene) { s.docker("rmi", s.name+"/side:1") },
			want: s1("image PLATFORM/side:1: it is gone from this machine, and app/side runs on it"), after: func(s *driftScene) { s.docker("inspect", s.name+"/side:1") }},
		{name: "tag that keeps an image for the way back removed", do: func(s *driftScene) { s.keptTag = s.keep(); s.docker("rmi", s.keptTag) },
			want: s1("image KEEP: it is gone, and keeps the image of hub/scraper for the way back"), after: func(s *driftScene) { s.docker("inspect", s.keptTag) }},
	}
}

func (s *driftScene) keep() string {
	id := strings.TrimPrefix(s.docker("inspect", "-f", "{{.Image}}", s.id("web")), "sha256:")
	return "croft-keep/" + s.name + ":" + id[:12]
}

func dataDrift() []drift {
	volume := func(s *driftScene) string { return s.name + "-app_data" }
	gone := func(s *driftScene) { s.docker("rm", "-f", s.id("web")); s.docker("volume", "rm", volume(s)) }
	web, none := "app/web: its container is gone", s1("app/web create")
	return []drift{
		{name: "volume removed", do: gone, want: s1(web, "volume PLATFORM-app_data: it is gone; its data lies at DATA/containers/app/data"), changes: none, after: (*driftScene).kept},
		{name: "volume made again as a place of the engine's own", do: func(s *driftScene) { gone(s); s.docker("volume", "create", volume(s)) },
			want:    s1(web, "volume PLATFORM-app_data: it exists and lies at a place of the engine's own, not at DATA/containers/app/data"),
			changes: none, blocked: "volume PLATFORM-app_data", undo: func(s *driftScene) { s.docker("volume", "rm", volume(s)) }, after: (*driftScene).kept},
		{name: "volume made again elsewhere", do: func(s *driftScene) {
			gone(s)
			s.docker("volume", "create", "-o", "type=none", "-o", "o=bind", "-o", "device="+s.root, volume(s))
		}, want: s1(web, "volume PLATFORM-app_data: it exists and lies at ROOT, not at DATA/containers/app/data"),
			changes: none, blocked: "volume PLATFORM-app_data", undo: func(s *driftScene) { s.docker("volume", "rm", volume(s)) }, after: (*driftScene).kept},
		{name: "volume made again read-only", do: func(s *driftScene) {
			gone(s)
			s.docker("volume", "create", "-o", "type=none", "-o", "o=bind,ro", "-o", "device="+s.data(), volume(s))
		}, want: s1(web, `volume PLATFORM-app_data: it is mounted with "bind,ro", not with "bind"`),
			changes: none, blocked: "volume PLATFORM-app_data", undo: func(s *driftScene) { s.docker("volume", "rm", volume(s)) }, after: (*driftScene).kept},
		{name: "data directory gone, as when a disk is not mounted", do: func(s *driftScene) { s.check(os.Rename(s.data(), s.data()+"-away")) },
			want:    s1("data of app/data: its directory DATA/containers/app/data is gone"),
			blocked: "data of app/data", undo: func(s *driftScene) { s.check(os.Rename(s.data()+"-away", s.data())) }, after: (*driftScene).kept},
		{name: "data removed", do: func(s *driftScene) { s.check(os.Remove(filepath.Join(s.data(), "row.txt"))) },
			want: s1("data of app/data: DATA/containers/app/data is empty, and was not when croft last applied"),
			left: true, undo: func(s *driftScene) { s.file("data/containers/app/data/row.txt", "kept\n") }},
		{name: "data directory replaced by a copy", do: func(s *driftScene) {
			s.check(os.Rename(s.data(), s.data()+"-old"))
			s.check(os.CopyFS(s.data(), os.DirFS(s.data()+"-old")))
		}, want: s1("data of app/data: DATA/containers/app/data is another directory than when croft last applied"),
			left: true, undo: func(s *driftScene) {
				s.must(s.t, "restart", "app")
				pid := s.docker("inspect", "-f", "{{.State.Pid}}", s.id("web"))
				s.file("data/containers/app/data/new.txt", "new\n")
				if _, err := os.Stat("/proc/" + pid + "/root/data/new.txt"); err != nil {
					s.t.Errorf("after the restart that the warning names the program still has the old one: %v", err)
				}
			}, after: (*driftScene).kept},
		{name: "data given to another user", do: func(s *driftScene) { s.check(os.Chown(s.data(), 7, 8)) },
			want: s1("data of app/data: DATA/containers/app/data belongs to 7:8, and belonged to 0:0"), left: true,
			undo: func(s *driftScene) { s.check(os.Chown(s.data(), 0, 0)) }},
		{name: "a row of the data changed", do: func(s *driftScene) { s.file("data/containers/app/data/row.txt", "other\n") },
			notChecked: "content of volumes", undo: func(s *driftScene) { s.file("data/containers/app/data/row.txt", "kept\n") }},
	}
}

func stateDrift() []drift {
	lost := func(name string) drift {
		return drift{name: name + " removed", do: func(s *driftScene) { s.check(os.Remove(filepath.Join(s.state, name))) },
			want: s1("file " + name + ": it is gone from the state directory"), after: func(s *driftScene) {
				if _, err := os.Stat(filepath.Join(s.state, name)); errors.Is(err, fs.ErrNotExist) {
					s.t.Error("it was not written again")
				}
			}}
	}
	memory := lost("memory.json")
	memory.changes = s1("app/web reload") // what it last reloaded is forgotten
	return []drift{lost("lock.json"), memory, lost("applied.json")}
}

// refusals are files without which there is no plan: an error says which one, and
// what to do.
func (s *driftScene) refusals() {
	for _, c := range []struct {
		file, text string
		code       int
		words      string
	}{
		{"lock.json", "{", exitFailed, "lock.json is damaged"},
		{"memory.json", "[]", exitFailed, "memory.json is damaged"},
		{"host.key", "", exitWrongKey, "host.key"},
	} {
		path := filepath.Join(s.state, c.file)
		before, err := os.ReadFile(path)
		s.check(err)
		info, err := os.Stat(path)
		s.check(err)
		s.check(os.Remove(path))
		if c.text != "" {
			s.check(os.WriteFile(path, []byte(c.text), 0o600))
		}
		r := s.run(s.t, "plan")
		if r.code != c.code || !strings.Contains(r.stderr, c.words) || !strings.Contains(r.stderr, "hint:") {
			s.t.Errorf("%s damaged or gone: want exit %d, %q and a hint: %s", c.file, c.code, c.words, r)
		}
		_ = os.Remove(path) // the key is gone already
		s.check(os.WriteFile(path, before, info.Mode().Perm()))
	}
}
