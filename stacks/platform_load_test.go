package stacks

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

const goodPlatform = "version: 1\nname: home\nadmin: {name: ada, email: ada@example.com}\nstacks: {}\n"

// told gives problems as a person reads them, one a line, with the hint.
func told(ps Problems) []string {
	var out []string
	for _, p := range ps {
		line := p.Error()
		if p.Severity == SeverityWarning {
			line = "warning: " + line
		}
		if p.Hint != "" {
			line += " | " + p.Hint
		}
		out = append(out, line)
	}
	return out
}

func platformFS(text string) fstest.MapFS {
	return fstest.MapFS{PlatformFile: {Data: []byte(text), Mode: 0o644}}
}

func TestLoadPlatformTellsEverythingAtOnce(t *testing.T) {
	tests := map[string]struct {
		text string
		want []string
	}{
		"unknown keys and missing ones": {
			"version: 1\nname: home\ndomian: example.com\nadmin:\n  name: ada\n  emial: a@b.c\n",
			[]string{
				`croft.yaml:1:1: the key "stacks" is missing | The stacks that run, each a directory under stacks/.`,
				`croft.yaml:3:1: unknown key "domian" | did you mean domain?`,
				`croft.yaml:5:3: admin: the key "email" is missing | Where notices to this account go.`,
				`croft.yaml:6:3: admin: unknown key "emial" | did you mean email?`,
			},
		},
		"key nobody knows": {
			goodPlatform + "quux: 1\n",
			[]string{`croft.yaml:5:1: unknown key "quux" | known here: admin, domain, expose, name, stacks, storage, timezone, version`},
		},
		"prefix of a key": {
			strings.Replace(goodPlatform, "stacks: {}", "stacks: {}\ntime: UTC", 1),
			[]string{`croft.yaml:5:1: unknown key "time" | did you mean timezone?`},
		},
		"set twice": {
			goodPlatform + "name: other\n",
			[]string{`croft.yaml:5:1: the key "name" is already set at line 2 | keep one of the two`},
		},
		"wrong types": {
			"version: one\nname: 5\nadmin: ada\nstacks: [a]\nstorage: {containers: {}}\n",
			[]string{
				`croft.yaml:1:10: version: must be a whole number, is text`,
				`croft.yaml:2:7: name: must be text, is a number | write it in quotes: "5"`,
				`croft.yaml:3:8: admin: must be a mapping, is text`,
				`croft.yaml:4:9: stacks: must be a mapping, is a list`,
				`croft.yaml:5:23: storage.containers: must be text, is a mapping`,
			},
		},
		"version": {
			strings.Replace(goodPlatform, "version: 1", "version: 2", 1),
			[]string{`croft.yaml:1:10: version: must be 1, is 2`},
		},
		"names": {
			"version: 1\nname: Home\nadmin: {name: Ada L, email: ada}\nstacks:\n  My_App: {}\n  ok-1: null\n",
			[]string{
				`croft.yaml:2:7: name: "Home" is not allowed | it must match ^[a-z][a-z0-9-]{0,29}$`,
				`croft.yaml:3:15: admin.name: "Ada L" is not allowed | it must match ^[a-z][a-z0-9._-]{0,31}$`,
				`croft.yaml:3:22: admin.email: "ada" is no e-mail address | as in ada@example.com`,
				`croft.yaml:5:3: stacks.My_App: "My_App" is no name for a stack | a small letter, then up to 29 small letters, digits and hyphens`,
			},
		},
		"expose": {
			goodPlatform + "expose: lna\n",
			[]string{
				`croft.yaml:5:9: expose: must be tunnel, lan, loopback, is "lna" | did you mean lan?`,
			},
		},
		"no domain": {
			goodPlatform + "expose: lan\n",
			[]string{`croft.yaml:1:1: domain: a domain is needed with expose: lan | domain: example.com, or expose: loopback`},
		},
		"tunnel": {
			goodPlatform + "expose: tunnel\ndomain: example.com\n",
			[]string{`croft.yaml:5:1: expose: tunnel is not in this version | use lan or loopback`},
		},
		"domain and time zone": {
			goodPlatform + "expose: lan\ndomain: -x.example\ntimezone: Europe/Atlantis\n",
			[]string{
				`croft.yaml:6:1: domain: "-x.example" is no domain name | small letters, as in example.com`,
				`croft.yaml:7:1: timezone: "Europe/Atlantis" is no time zone | an IANA name, as in Europe/Berlin`,
			},
		},
		"storage": {
			goodPlatform + "storage:\n  containers: srv\n  projects: /\n  databases: /a/../b\n",
			[]string{
				`croft.yaml:6:3: storage.containers: "srv" is not an absolute path | it begins with /`,
				`croft.yaml:7:3: storage.projects: cannot be the root of the file system | give it a directory of its own`,
				`croft.yaml:8:3: storage.databases: "/a/../b" is not a clean path | write /b`,
			},
		},
		"storage inside": {
			goodPlatform + "storage:\n  containers: /srv/a\n  projects: /srv/a/b\n  databases: /etc/x\n",
			[]string{
				`croft.yaml:7:3: storage.projects: /srv/a/b is inside storage.containers (/srv/a) | give it a directory beside it, or the same one`,
				`croft.yaml:8:3: storage.databases: /etc belongs to the system | as in /srv/croft/home/databases`,
			},
		},
		"default storage inside what is given": {
			goodPlatform + "storage:\n  containers: /srv/croft\n",
			[]string{
				`croft.yaml:5:1: storage.projects: /srv/croft/home/projects is inside storage.containers (/srv/croft) | give it a directory beside it, or the same one`,
				`croft.yaml:5:1: storage.databases: /srv/croft/home/databases is inside storage.containers (/srv/croft) | give it a directory beside it, or the same one`,
			},
		},
		"empty":           {"", []string{`croft.yaml:1:1: the file is empty`}},
		"only a comment":  {"# soon\n", []string{`croft.yaml:1:1: the file is empty`}},
		"a list":          {"- a\n", []string{`croft.yaml:1:1: must be a mapping of keys to values, is a list`}},
		"two documents":   {goodPlatform + "---\nname: x\n", []string{`croft.yaml:6:1: a second YAML document begins here | keep one document: remove the line --- and what does not belong`}},
		"a tab":           {"version: 1\nadmin:\n\tname: ada\n", []string{`croft.yaml:3:1: not valid YAML: a tab indents this line | indent with spaces`}},
		"NUL":             {"version: 1\nname: h\x00me\n", []string{`croft.yaml:2:8: holds a NUL byte | this is not a text file, or it was damaged`}},
		"control":         {"a: \x1b[1m\n", []string{`croft.yaml:1:4: holds the control character U+001B | remove it`}},
		"not UTF-8":       {"version: 1\nname: \xff\n", []string{`croft.yaml:2:7: is not valid UTF-8 | save the file as UTF-8`}},
		"UTF-16":          {"\xff\xfev\x00", []string{`croft.yaml:1:1: is UTF-16 | save the file as UTF-8`}},
		"unclosed":        {"version: [1\nname: x\n", []string{`croft.yaml:2:5: not valid YAML: did not find expected ',' or ']' while parsing a flow sequence that begins at line 1`}},
		"unknown anchor":  {"version: *x\n", []string{`croft.yaml:1:10: not valid YAML: unknown anchor 'x' referenced`}},
		"endless alias":   {"name: &x [*x]\n", []string{`croft.yaml:1:11: the alias *x holds itself`}},
		"merge key":       {goodPlatform + "<<: {domain: a.b}\n", []string{`croft.yaml:5:1: merge keys (<<) are not read here | write the keys out`}},
		"a tag":           {strings.Replace(goodPlatform, "name: home", "name: !env home", 1), []string{`croft.yaml:2:7: name: the tag !env has no meaning here | remove it`}},
		"too deep":        {"a: " + strings.Repeat("[", 70) + strings.Repeat("]", 70) + "\n", []string{`croft.yaml:1:1: is nested more than 64 deep`}},
		"alias bomb":      {bomb(), []string{`croft.yaml:1:1: is too large once its aliases (*name) are written out | use fewer aliases`}},
		"a mapping a key": {"{a: 1}: 2\n", []string{`croft.yaml:1:1: a key must be text, is a mapping`}},
		"too large":       {goodPlatform + strings.Repeat("# x\n", 1<<18), []string{`croft.yaml: is larger than 1024 KiB`}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, ps := LoadPlatform(platformFS(test.text))
			if diff := cmp.Diff(test.want, told(ps)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

// bomb is ten lines that mean ten to the ninth.
func bomb() string {
	text := "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c < 'j'; c++ {
		p := string(c - 1)
		text += string(c) + ": &" + string(c) + " [*" + p + strings.Repeat(", *"+p, 9) + "]\n"
	}
	return text
}

func TestLoadPlatformTakesWhatIsOnlyUnusual(t *testing.T) {
	for name, text := range map[string]string{
		"a byte order mark": "\ufeff" + goodPlatform,
		"CRLF":              strings.ReplaceAll(goodPlatform, "\n", "\r\n"),
		"no last newline":   strings.TrimSuffix(goodPlatform, "\n"),
		"aliases":           "version: 1\nname: &n home\nadmin: {name: *n, email: a@b.c}\nstacks:\n",
		"flow":              "{version: 1, name: home, admin: {name: a, email: a@b.c}, stacks: {}}",
		"shared storage":    goodPlatform + "storage: {containers: /data, projects: /data, databases: /data}\n",
	} {
		t.Run(name, func(t *testing.T) {
			if _, ps := LoadPlatform(platformFS(text)); len(ps) > 0 {
				t.Error(told(ps))
			}
		})
	}
}

func TestLoadPlatformFillsDefaults(t *testing.T) {
	_, ps := LoadPlatform(platformFS(goodPlatform + "expose:\n"))
	if len(told(ps)) != 1 {
		t.Error("an empty expose must be an error:", told(ps))
	}
	got, _ := LoadPlatform(platformFS(goodPlatform))
	want := Platform{Version: 1, Name: "home", Timezone: "UTC", Admin: Admin{"ada", "ada@example.com"}, Expose: ExposeLoopback,
		Storage: Storage{"/srv/croft/home/containers", "/srv/croft/home/projects", "/srv/croft/home/databases"}, Stacks: map[string]StackChoice{}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestLoadPlatformRefusesWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	fsys := os.DirFS(dir)
	expect := func(want string) {
		t.Helper()
		_, ps := LoadPlatform(fsys)
		if len(ps) != 1 || ps[0].Error() != want {
			t.Errorf("got %q, want %q", told(ps), want)
		}
	}
	expect("croft.yaml: no such file")
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, PlatformFile)); err != nil {
		t.Fatal(err)
	}
	expect("croft.yaml: is a symbolic link")
	if err := os.Remove(filepath.Join(dir, PlatformFile)); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, PlatformFile), 0o755); err != nil {
		t.Fatal(err)
	}
	expect("croft.yaml: is not a regular file")
}

func TestExamplePlatformLoads(t *testing.T) {
	p, ps := LoadPlatform(os.DirFS("testdata/platform"))
	if len(ps) > 0 {
		t.Fatal(told(ps))
	}
	if p.Stacks["gitea"].Options["GITEA_SSH_PORT"] != "2222" || p.Root("projects") != "/mnt/big/projects" {
		t.Errorf("%+v", p)
	}
}
