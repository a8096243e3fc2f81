package stacks

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMarshalPlatformReadsBack(t *testing.T) {
	odd := map[string]string{"A": "2222", "B": "yes", "C": `say "hi": #1`, "D": "", "E": "null", "F": "ünï ©", "G": " x ", "H": `\n$`}
	for name, p := range map[string]Platform{
		"small": {Version: 1, Name: "home", Admin: Admin{"ada", "ada@example.com"}},
		"full": {Version: 1, Name: "home", Domain: "example.com", Timezone: "Europe/Berlin", Admin: Admin{"ada", "ada@example.com"}, Expose: ExposeLAN,
			Storage: Storage{"/a b", "/srv/x", "/d"}, Stacks: map[string]StackChoice{"a": {}, "b-1": {Options: odd}}},
		"an adopted project": {Version: 1, Name: "home", Admin: Admin{"a", "a@example.com"}, Stacks: map[string]StackChoice{
			"blog": {Adopt: &Adopt{Dir: "/srv/a b", Project: "5", EnvFiles: []string{"x: y"}, Decorate: true}, Options: map[string]string{"A": "b"}}}},
		"words that look like something else": {Version: 1, Name: "null", Admin: Admin{"true", "ada@example.com"}, Stacks: map[string]StackChoice{"null": {}, "no": {}, "true": {}}},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := MarshalPlatform(p)
			if err != nil {
				t.Fatal(err)
			}
			got, ps := LoadPlatform(platformFS(string(text)))
			if len(ps) > 0 {
				t.Fatalf("%s\n%s", told(ps), text)
			}
			if want := p.withDefaults(); !samePlatform(got, want) {
				t.Error(cmp.Diff(want, got))
			}
		})
	}
}

func TestMarshalPlatformText(t *testing.T) {
	text, err := MarshalPlatform(Platform{Version: 1, Name: "home", Admin: Admin{"ada", "ada@example.com"},
		Stacks: map[string]StackChoice{"hello": {}, "gitea": {Options: map[string]string{"PORT": "2222"}}}})
	if err != nil {
		t.Fatal(err)
	}
	want := `# yaml-language-server: $schema=.croft.schema.json
# The platform: everything croft runs follows from this file and stacks/.
version: 1

# Prefix of projects and networks. Fixed for life.
name: home

# How it is reached: loopback (this machine) or lan (ports 80 and 443).
expose: loopback

# The first account.
admin:
  name: ada
  email: ada@example.com

# What runs; croft stack list tells what else there is.
stacks:
  gitea:
    options:
      PORT: "2222"
  hello: {}
`
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Error(diff)
	}
}

func TestMarshalPlatformRefusesWhatCannotBeRead(t *testing.T) {
	if _, err := MarshalPlatform(Platform{Version: 1, Name: "A B"}); err == nil {
		t.Error("a bad name was written down")
	}
}

func TestEditPlatformChangesOnlyWhatDiffers(t *testing.T) {
	raw, err := os.ReadFile("testdata/platform/croft.yaml")
	if err != nil {
		t.Fatal(err)
	}
	old := string(raw)
	replace := func(a, b string) string {
		if strings.Count(old, a) != 1 {
			t.Fatalf("%q is not in the example once", a)
		}
		return strings.Replace(old, a, b, 1)
	}
	tests := map[string]struct {
		edit func(*Platform)
		want string
	}{
		"nothing":      {func(p *Platform) {}, old},
		"a stack more": {func(p *Platform) { p.Stacks["whoami"] = StackChoice{} }, old + "  whoami: {}\n"},
		"a stack with options": {func(p *Platform) { p.Stacks["wiki"] = StackChoice{Options: map[string]string{"PORT": "80"}} },
			old + "  wiki:\n    options:\n      PORT: \"80\"\n"},
		"an adopted one": {func(p *Platform) {
			p.Stacks["old"] = StackChoice{Adopt: &Adopt{Dir: "/srv/old", Project: "old", Files: []string{"a.yml", "b.yml"}}}
		},
			old + "  old:\n    adopt:\n      dir: /srv/old\n      project: old\n      files:\n        - a.yml\n        - b.yml\n"},
		"an answer for an adopted one": {func(p *Platform) {
			c := p.Stacks["blog"]
			c.Options = map[string]string{"TAG": "1"}
			p.Stacks["blog"] = c
		},
			replace("      decorate: false\n", "      decorate: false\n    options:\n      TAG: \"1\"\n")},
		"no longer adopted": {func(p *Platform) { p.Stacks["blog"] = StackChoice{} },
			old[:strings.Index(old, "  blog:\n")] + "  blog: {}\n" + old[strings.Index(old, "\n  hello: {}\n"):]},
		"a stack less":  {func(p *Platform) { delete(p.Stacks, "hello") }, replace("  hello: {}\n", "")},
		"another less":  {func(p *Platform) { delete(p.Stacks, "gitea") }, old[:strings.Index(old, "  gitea:\n")]},
		"an option":     {func(p *Platform) { p.Stacks["gitea"].Options["GITEA_SSH_PORT"] = "2200" }, replace(`"2222"`, `"2200"`)},
		"an option off": {func(p *Platform) { delete(p.Stacks["gitea"].Options, "GITEA_SSH_PORT") }, replace("      GITEA_SSH_PORT: \"2222\"\n", "")},
		"a first option": {func(p *Platform) { p.Stacks["hello"] = StackChoice{Options: map[string]string{"A": "b"}} },
			replace("  hello: {}\n", "  hello:\n    options:\n      A: \"b\"\n")},
		"domain":       {func(p *Platform) { p.Domain = "example.net" }, replace("domain: example.com", "domain: example.net")},
		"email":        {func(p *Platform) { p.Admin.Email = "l@example.com" }, replace("email: ada@example.com", "email: l@example.com")},
		"storage":      {func(p *Platform) { p.Storage.Projects = "/p" }, replace("/mnt/big/projects", "/p")},
		"expose":       {func(p *Platform) { p.Expose, p.Domain = ExposeLoopback, "" }, strings.Replace(replace("expose: lan\n", "expose: loopback\n"), "domain: example.com\n", "", 1)},
		"two at once":  {func(p *Platform) { p.Timezone = "UTC"; p.Stacks["zoo"] = StackChoice{} }, replace("Europe/Berlin\n", "UTC\n") + "  zoo: {}\n"},
		"all of stack": {func(p *Platform) { p.Stacks = nil }, old[:strings.Index(old, "stacks:\n")] + "stacks: {}\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			for _, eol := range []string{"\n", "\r\n"} {
				text := strings.ReplaceAll(old, "\n", eol)
				p, ps := readPlatform([]byte(text))
				if len(ps) > 0 {
					t.Fatal(told(ps))
				}
				test.edit(&p)
				got, err := EditPlatform([]byte(text), p)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(strings.ReplaceAll(test.want, "\n", eol), string(got)); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

func TestEditPlatformOtherWaysOfWriting(t *testing.T) {
	add := func(p *Platform) { p.Stacks["b"] = StackChoice{Options: map[string]string{"X": "1"}} }
	tests := map[string]struct {
		old, want string
		edit      func(*Platform)
	}{
		"empty stacks": {goodPlatform + "# end\n",
			strings.Replace(goodPlatform, "stacks: {}", "stacks:\n  b:\n    options:\n      X: \"1\"", 1) + "# end\n", add},
		"flow stacks": {strings.Replace(goodPlatform, "stacks: {}", "stacks: {a: {}} # mine", 1),
			strings.Replace(goodPlatform, "stacks: {}", "stacks: {a: {}, b: {options: {X: \"1\"}}} # mine", 1), add},
		"four spaces": {strings.Replace(goodPlatform, "stacks: {}", "stacks:\n    # first\n    a: {}\n\n# end", 1),
			strings.Replace(goodPlatform, "stacks: {}", "stacks:\n    # first\n    a: {}\n    b:\n      options:\n        X: \"1\"\n\n# end", 1), add},
		"stacks first": {"stacks:\n  a:\n\nversion: 1\nname: h\nadmin:\n  name: a\n  email: a@b.c",
			"stacks:\n  a:\n  b:\n    options:\n      X: \"1\"\n\nversion: 1\nname: h\nadmin:\n  name: a\n  email: a@b.c\n", add},
		"a new key":       {goodPlatform, strings.Replace(goodPlatform, "admin:", "timezone: Europe/Paris\nadmin:", 1), func(p *Platform) { p.Timezone = "Europe/Paris" }},
		"part of storage": {goodPlatform, strings.Replace(goodPlatform, "stacks:", "storage:\n  databases: /d\nstacks:", 1), func(p *Platform) { p.Storage.Databases = "/d" }},
		"one flow mapping": {"{version: 1, name: h, admin: {name: a, email: a@b.c}, stacks: {}}",
			"{version: 1, name: h, admin: {name: a, email: a@b.c}, stacks: {b: {options: {X: \"1\"}}}}\n", add},
		"an alias": {"version: 1\nname: &n home\nadmin: {name: *n, email: a@b.c}\nstacks: {}\n",
			"version: 1\nname: &n home\nadmin: {name: ada, email: a@b.c}\nstacks: {}\n", func(p *Platform) { p.Admin.Name = "ada" }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p, ps := readPlatform([]byte(test.old))
			if len(ps) > 0 {
				t.Fatal(told(ps))
			}
			test.edit(&p)
			got, err := EditPlatform([]byte(test.old), p)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, string(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
