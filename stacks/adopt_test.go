package stacks

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// machine is the root of a machine's files.
func machine(files map[string]string) fstest.MapFS {
	out := fstest.MapFS{}
	for path, text := range files {
		out[strings.TrimPrefix(path, "/")] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
	}
	return out
}

func loadAdopted(files map[string]string, a Adopt, options map[string]string) (*Stack, Problems) {
	return LoadAdopted(machine(files), fstest.MapFS{}, "blog", LoadEnv{Dir: "/platform", ProjectName: a.Project, Choice: StackChoice{Adopt: &a, Options: options}})
}

const plainWeb = "services: {web: {image: \"web:${TAG:-1}\"}}\n"

func TestAdoptedProjectsAreReadWhereTheyLie(t *testing.T) {
	tests := map[string]struct {
		files   map[string]string
		adopt   Adopt
		options map[string]string
		want    string // of web: image, environment, first bind
		inputs  string
	}{
		"the file that compose finds": {
			files:  map[string]string{"/srv/blog/docker-compose.yml": plainWeb, "/srv/blog/data/big.db": "x"},
			want:   "web:1",
			inputs: "srv/blog/docker-compose.yml"},
		"with its override and .env": {
			files: map[string]string{"/srv/blog/compose.yaml": plainWeb, "/srv/blog/.env": "TAG=2\nWHO=me\n",
				"/srv/blog/compose.override.yml": "services: {web: {environment: {WHO: \"${WHO}\"}}}\n"},
			want:   "web:2 WHO=me",
			inputs: "srv/blog/.env srv/blog/compose.override.yml srv/blog/compose.yaml"},
		"an answer comes before .env": {
			files:   map[string]string{"/srv/blog/compose.yaml": plainWeb, "/srv/blog/.env": "TAG=2\n"},
			options: map[string]string{"TAG": "3"},
			want:    "web:3", inputs: "srv/blog/.env srv/blog/compose.yaml"},
		"named files, the last variable counts": {
			files: map[string]string{"/srv/blog/a.yml": plainWeb, "/etc/b.yml": "services: {web: {volumes: [\"./data:/data\"]}}\n",
				"/srv/blog/.env": "TAG=no\n", "/srv/blog/1.env": "TAG=4\n", "/srv/blog/2.env": "TAG=${TAG}5\n"},
			adopt: Adopt{Files: []string{"a.yml", "/etc/b.yml"}, EnvFiles: []string{"1.env", "2.env"}},
			want:  "web:45 /srv/blog/data", inputs: "etc/b.yml srv/blog/1.env srv/blog/2.env srv/blog/a.yml"},
		"env_file, extends and include, outside of it too": {
			files: map[string]string{
				"/srv/blog/compose.yaml":  "include: [part/x.yaml]\nservices: {web: {extends: {file: ../common/base.yaml, service: base}, env_file: [/etc/web.env]}}\n",
				"/srv/common/base.yaml":   "services: {base: {image: base:1, volumes: [\"./own:/own\"]}}\n",
				"/etc/web.env":            "A=b\n",
				"/srv/blog/part/x.yaml":   "services: {x: {image: \"x:${X}\"}}\n",
				"/srv/blog/part/.env":     "X=1\n",
				"/srv/blog/part/else.yml": "nobody reads it",
			},
			want:   "base:1 A=b /srv/common/own",
			inputs: "etc/web.env srv/blog/compose.yaml srv/blog/part/.env srv/blog/part/x.yaml srv/common/base.yaml"},
		"profiles": {
			files: map[string]string{"/srv/blog/compose.yaml": "services: {web: {image: a}, mail: {image: m, profiles: [mail]}, off: {image: o, profiles: [off]}}\n"},
			adopt: Adopt{Profiles: []string{"mail"}},
			want:  "a mail", inputs: "srv/blog/compose.yaml"},
		"x-croft means nothing yet": {
			files: map[string]string{"/srv/blog/compose.yaml": "x-croft: {nonsense: 1}\n" + plainWeb},
			want:  "web:1", inputs: "srv/blog/compose.yaml"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.adopt.Dir, tt.adopt.Project = "/srv/blog", "blog"
			s, ps := loadAdopted(tt.files, tt.adopt, tt.options)
			if len(ps) > 0 {
				t.Fatal(told(ps))
			}
			web := s.Project.Services["web"]
			got := []string{web.Image}
			for k, v := range web.Environment {
				got = append(got, k+"="+*v)
			}
			for _, v := range web.Volumes {
				got = append(got, v.Source)
			}
			if _, ok := s.Project.Services["mail"]; ok {
				got = append(got, "mail")
			}
			var inputs []string
			for _, f := range s.Files {
				inputs = append(inputs, f.Path)
			}
			if diff := cmp.Diff(tt.want, strings.Join(got, " ")); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tt.inputs, strings.Join(inputs, " ")); diff != "" {
				t.Error(diff)
			}
			if s.Project.Name != "blog" || s.Dir != "/srv/blog" || !s.Plain() {
				t.Errorf("project %s in %s", s.Project.Name, s.Dir)
			}
			// What a revision keeps reads back as the same stack.
			kept := map[string]string{}
			for _, f := range s.Files {
				kept["/"+f.Path] = string(f.Content)
			}
			again, ps := loadAdopted(kept, tt.adopt, tt.options)
			if len(ps) > 0 || again.InputHash() != s.InputHash() {
				t.Errorf("its inputs do not read back: %v", told(ps))
			}
		})
	}
}

func TestAdoptedProjectsTellWhatIsWrong(t *testing.T) {
	tests := map[string]struct {
		files map[string]string
		adopt Adopt
		want  []string
	}{
		"no file": {nil, Adopt{}, []string{
			"/srv/blog: stacks.blog.adopt: holds no Compose file of the adopted project blog | bring the directory back, or take the stack out with croft stack remove blog: what runs goes on"}},
		"a listed one is gone": {nil, Adopt{Files: []string{"a.yml"}}, []string{"/srv/blog/a.yml: stacks.blog.adopt: no such file"}},
		"a file of variables is gone": {map[string]string{"/srv/blog/compose.yaml": plainWeb}, Adopt{EnvFiles: []string{"x.env"}},
			[]string{"/srv/blog/x.env: no such file"}},
		"variables, without what they hold": {map[string]string{"/srv/blog/compose.yaml": plainWeb, "/srv/blog/.env": "A=1\nhunter2 is it\n"}, Adopt{},
			[]string{"/srv/blog/.env:2: is not a list of NAME=VALUE lines"}},
		"an absolute include": {map[string]string{"/srv/blog/compose.yaml": "include: [/etc/x.yaml]\n" + plainWeb}, Adopt{},
			[]string{`/srv/blog/compose.yaml:1:11: include.0: "/etc/x.yaml" is an absolute path | a path relative to the stack's directory, which must hold the file`}},
		"croft's own labels": {map[string]string{"/srv/blog/compose.yaml": "services: {web: {image: a, labels: {croft.platform: other}}}\n"}, Adopt{},
			[]string{`/srv/blog/compose.yaml:1:37: services.web.labels.croft.platform: the label "croft.platform" is croft's own | remove it`}},
		"a variable that nobody gives": {map[string]string{"/srv/blog/compose.yaml": "services: {web: {image: \"a:${V}\"}}\n"}, Adopt{},
			[]string{"warning: /srv/blog/compose.yaml:1:25: the variable V is not set: nothing is put in its place | set it in the project's .env, or give it under options of the stack in croft.yaml; ${V:-} says that it may be empty"}},
		"what compose refuses": {map[string]string{"/srv/blog/compose.yaml": "services:\n  web: {imag: a}\n"}, Adopt{},
			[]string{`/srv/blog/compose.yaml:2:9: services.web.imag: services.web additional properties 'imag' not allowed`}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.adopt.Dir, tt.adopt.Project = "/srv/blog", "blog"
			_, ps := loadAdopted(tt.files, tt.adopt, nil)
			if diff := cmp.Diff(tt.want, told(ps)); diff != "" {
				t.Error(diff)
			}
			if strings.Contains(strings.Join(told(ps), ""), "hunter2") {
				t.Error("a problem repeats what a file of variables holds")
			}
		})
	}
}

func TestAdoptIsChecked(t *testing.T) {
	tests := map[string]struct{ stacks, want string }{
		"a relative directory": {"{a: {adopt: {dir: srv/a, project: a}}}", `croft.yaml:5:22: stacks.a.adopt.dir: "srv/a" is not an absolute path | it begins with /`},
		"not clean":            {"{a: {adopt: {dir: /srv/../a, project: a}}}", `croft.yaml:5:22: stacks.a.adopt.dir: "/srv/../a" is not a clean path | write /a`},
		"one project twice":    {"{a: {adopt: {dir: /a, project: x}}, b: {adopt: {dir: /b, project: x}}}", "croft.yaml:5:66: stacks.b.adopt.project: the project x is that of stack a | each stack is a project of its own"},
		"another stack's":      {"{a: {}, b: {adopt: {dir: /b, project: home-a}}}", "croft.yaml:5:38: stacks.b.adopt.project: the project home-a is that of stack a | each stack is a project of its own"},
		"no project":           {"{a: {adopt: {dir: /a}}}", `croft.yaml:5:21: stacks.a.adopt: the key "project" is missing | Name of the Compose project; its containers, networks and volumes go by it.`},
		"no name of a project": {"{a: {adopt: {dir: /a, project: A b}}}", `croft.yaml:5:40: stacks.a.adopt.project: "A b" is not allowed | it must match ^[a-z0-9][a-z0-9_-]*$`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, ps := readPlatform([]byte("version: 1\nname: home\nadmin: {name: ada, email: ada@example.com}\nexpose: loopback\nstacks: " + tt.stacks + "\n"))
			if got := told(ps); !slices.Contains(got, tt.want) {
				t.Errorf("got %q", got)
			}
		})
	}
}

// A decorated form that failed must not be held as if the plain one had.
func TestDecorationIsPartOfTheInputs(t *testing.T) {
	files := map[string]string{"/srv/blog/compose.yaml": plainWeb}
	plain, _ := loadAdopted(files, Adopt{Dir: "/srv/blog", Project: "blog"}, nil)
	decorated, ps := loadAdopted(files, Adopt{Dir: "/srv/blog", Project: "blog", Decorate: true}, nil)
	if len(ps) > 0 || plain.InputHash() == decorated.InputHash() || decorated.Plain() {
		t.Errorf("%v", told(ps))
	}
}
