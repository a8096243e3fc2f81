package stacks

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

const fullStack = `x-croft:
  title: Gitea
  about: Git hosting
  needs: [postgres, authelia]
  options:
    SSH_PORT: {ask: Port for git over SSH, default: 2222, check: port}
    TITLE: {ask: Title, default: ""}
  secrets:
    db_password: {generate: 32, rotate: restart}
    secret_key: {generate: 64, rotate: never, why: encrypts stored data}
    app_ini: {template: app.ini.tmpl}
    tls: {kind: tls}
  databases:
    gitea: {engine: postgres, owner: gitea, password: db_password, service: web}
  routes:
    web: {service: web, port: 3000, host: git, access: app-login, paths: [{prefix: /api/hook, access: public}], body: 10m}
  metrics: [{service: web, port: 3000}]
  storage:
    data: {class: projects, owner: "1000:1000"}
  addresses:
    WEB_IP: {service: web, network: front}
  entry: [runner]
  reload:
    web: {files: [conf], signal: HUP}
  setup:
    - {service: web, command: [gitea, migrate], about: tables}
  jobs: [job]
  harden:
    runner: {root: true, caps: [CHOWN], why: starts as root}
  backup: {volumes: {data: files}, databases: [gitea]}
services:
  web:
    image: gitea/gitea:1.24
    user: "1000:1000"
    command: ["--trust=${WEB_IP}", "--title=${TITLE}"]
    ports: ["${SSH_PORT}:22"]
    secrets: [db_password, {source: app_ini, target: app.ini}]
    volumes: [data:/data, ./conf:/etc/conf:ro, "../../outside:/o"]
    environment: {DOMAIN: "${CROFT_DOMAIN}", FROM_DOTENV: "${DOTENV}", PASSED: }
    env_file: [web.env]
  runner: {image: runner:1}
  job: {image: job:1}
volumes: {data: {}}
`

// stackFS is a platform with one stack, called app.
func stackFS(files map[string]string) fstest.MapFS {
	out := fstest.MapFS{}
	for name, text := range files {
		out["stacks/app/"+name] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
	}
	return out
}

func testEnv() LoadEnv {
	return LoadEnv{Dir: "/srv/platform", ProjectName: "home-app", Facts: map[string]string{"CROFT_DOMAIN": "example.com"}}
}

func fullFiles() map[string]string {
	return map[string]string{"compose.yaml": fullStack, "app.ini.tmpl": "x", "conf/a.conf": "a", ".env": "DOTENV=from ${SSH_PORT}\nPASSED=p\nSSH_PORT=1\n", "web.env": "FILE_VAR=${DOTENV}\nDOMAIN=other\n"}
}

func TestLoadStack(t *testing.T) {
	s, ps := LoadStack(stackFS(fullFiles()), "app", testEnv())
	if len(ps) > 0 {
		t.Fatal(strings.Join(told(ps), "\n"))
	}
	web := s.Project.Services["web"]
	env := map[string]string{}
	for k, v := range web.Environment {
		env[k] = *v
	}
	want := map[string]string{"DOMAIN": "example.com", "FROM_DOTENV": "from 2222", "PASSED": "p", "FILE_VAR": "from 2222"}
	if diff := cmp.Diff(want, env); diff != "" {
		t.Error("environment:", diff)
	}
	if web.EnvFiles != nil {
		t.Error("env_file is kept")
	}
	var got []string
	for _, v := range web.Volumes {
		got = append(got, v.Source)
	}
	if diff := cmp.Diff([]string{"data", "/srv/platform/stacks/app/conf", "/srv/platform/outside"}, got); diff != "" {
		t.Error("volumes:", diff)
	}
	if web.Command[0] != "--trust="+AddressPlaceholder("WEB_IP") || web.Command[1] != "--title=" {
		t.Error(web.Command)
	}
	if web.Ports[0].Published != "2222" || s.Project.Name != "home-app" {
		t.Error(web.Ports, s.Project.Name)
	}
	if f := s.Project.Secrets["db_password"].File; f != "/srv/platform/stacks/app/.croft-secrets/db_password" {
		t.Error(f)
	}
	if diff := cmp.Diff(map[string]string{"SSH_PORT": "2222", "TITLE": ""}, s.Options); diff != "" {
		t.Error("options:", diff)
	}
	if s.X.Metrics[0].Path != "/metrics" || s.X.Routes["web"].Probe != "/" || s.File != "stacks/app/compose.yaml" || s.Dir != "/srv/platform/stacks/app" {
		t.Errorf("%+v", s.X)
	}
	if pos := s.Index["services.web.ports.0"]; pos != (Position{36, 13}) {
		t.Error(pos)
	}
}

func TestLoadStackProblems(t *testing.T) {
	const f = "stacks/app/compose.yaml"
	tests := map[string]struct {
		compose string
		files   map[string]string
		env     func(*LoadEnv)
		want    []string
	}{
		"unknown key of x-croft": {
			compose: "x-croft:\n  rotues: {}\n  routes:\n    web: {port: 80, hots: a}\nservices: {a: {image: b}}\n",
			want: []string{
				f + `:2:3: x-croft: unknown key "rotues" | did you mean routes?`,
				f + `:4:10: x-croft.routes.web: the key "host" is missing | First label of the address; "@" is the domain itself.`,
				f + `:4:21: x-croft.routes.web: unknown key "hots" | did you mean host?`,
			},
		},
		"unknown key of Compose": {
			compose: "services:\n  a:\n    image: b\n    imaeg: c\n",
			want:    []string{f + `:4:5: services.a.imaeg: services.a additional properties 'imaeg' not allowed`},
		},
		"wrong type in Compose": {
			compose: "services:\n  a:\n    image: b\n    ports: 80\n",
			want:    []string{f + `:4:5: services.a.ports: services.a.ports must be a array`},
		},
		"no image": {
			compose: "services:\n  a:\n    restart: always\n",
			want:    []string{f + `:2:3: services.a: service "a" has neither an image nor a build context specified`},
		},
		"no such network": {
			compose: "services:\n  a:\n    image: b\n    networks: [x]\n",
			want:    []string{f + `:4:5: services.a.networks: service "a" refers to undefined network x`},
		},
		"interpolation": {
			compose: "services:\n  a:\n    image: b\n    environment:\n      X: ${\n    command: a$b\n",
			want: []string{
				f + `:5:7: services.a.environment.X: invalid interpolation format for services.a.environment.X. You may need to escape any $ with another $. ${ | write $$ for a dollar sign that belongs to the text`,
				"warning: " + f + `:6:14: the variable b is not set: nothing is put in its place | declare it under x-croft.options, set it in the stack's .env, or write ${b:-default}`,
			},
		},
		"syntax": {
			compose: "services:\n  a: {image: b\n",
			want:    []string{f + `:3:1: not valid YAML: did not find expected ',' or '}' while parsing a flow mapping that begins at line 2`},
		},
		"required variable": {
			compose: "services:\n  a:\n    image: b:${TAG:?say which}\n",
			want:    []string{f + `:3:5: services.a.image: error while interpolating services.a.image: required variable TAG is missing a value: say which`},
		},
		"unset variables": {
			compose: "services:\n  a:\n    image: b:${TAG}\n    command: [$TAG, '$$X', '${Y:-}', '${Z-d}', '${W:-${V}}']\n",
			want: []string{
				"warning: " + f + `:3:12: the variable TAG is not set: nothing is put in its place | declare it under x-croft.options, set it in the stack's .env, or write ${TAG:-default}`,
				"warning: " + f + `:4:48: the variable V is not set: nothing is put in its place | declare it under x-croft.options, set it in the stack's .env, or write ${V:-default}`,
			},
		},
		"answers": {
			compose: "x-croft:\n  options:\n    PORT: {ask: Which port?, check: port}\n    SIZE: {ask: How big?, check: size}\nservices: {a: {image: b}}\n",
			env:     func(e *LoadEnv) { e.Choice.Options = map[string]string{"PROT": "1", "SIZE": "big"} },
			files:   map[string]string{"../../croft.yaml": "version: 1\nstacks:\n  app:\n    options:\n      PROT: 1\n      SIZE: big\n"},
			want: []string{
				`croft.yaml:4:5: stacks.app.options.PORT: an answer is missing: Which port? | in croft.yaml: stacks: {app: {options: {PORT: ...}}}`,
				`croft.yaml:5:7: stacks.app.options.PROT: stack app has no option "PROT" | did you mean PORT?`,
				`croft.yaml:6:7: stacks.app.options.SIZE: "big" is not a size, as in 512m or 2g | How big?`,
			},
		},
		"options of a plain file": {
			compose: "services: {a: {image: b}}\n",
			env:     func(e *LoadEnv) { e.Choice.Options = map[string]string{"A": "1"} },
			want:    []string{`croft.yaml: stacks.app.options.A: stack app has no option "A" | the stack asks nothing`},
		},
		"anchors inside x-croft": {
			compose: "x-croft:\n  about: &a text\nservices: {a: {image: *a}}\n",
			want:    []string{f + `:3:23: the alias *a means something inside x-croft, which Compose does not see | put the anchor &a outside of x-croft`},
		},
		"secrets": {
			compose: "x-croft:\n  secrets:\n    a: {}\n    b: {generate: 32, kind: tls}\n    c: {generate: 32, rotate: never}\n    d: {template: d.tmpl}\n    Bad: {generate: 4}\nservices: {s: {image: b}}\nsecrets: {a: {file: ./x}}\n",
			want: []string{
				f + `:3:5: x-croft.secrets.a: needs exactly one of generate, kind and template | as in {generate: 32}`,
				f + `:4:5: x-croft.secrets.b: needs exactly one of generate, kind and template | as in {generate: 32}`,
				f + `:5:5: x-croft.secrets.c: rotate: never needs a reason | why: encrypts stored data`,
				f + `:6:9: x-croft.secrets.d.template: no file "d.tmpl" in this stack | known here: compose.yaml`,
				f + `:7:5: x-croft.secrets.Bad: "Bad" is no name for a secret | small letters, digits, _ and -`,
				f + `:7:5: x-croft.secrets.Bad: needs exactly one of generate, kind and template | as in {generate: 32}`,
				f + `:7:21: x-croft.secrets.Bad.generate: must be from 8 to 4096, is 4`,
				f + `:9:11: secrets.a: the secret "a" is under x-croft too | remove it here`,
			},
		},
		"who reads a secret": {
			compose: "x-croft:\n  secrets: {p: {generate: 32}}\nservices:\n  a: {image: b, secrets: [p]}\n  b: {image: b, secrets: [p], user: ada}\n  c: {image: b, secrets: [p], user: \"1:2\"}\n",
			want: []string{
				f + `:4:3: services.a: reads the secret p: user is missing | user: "uid:gid" as the image runs it, as in "1000:1000"`,
				f + `:5:31: services.b.user: the service reads the secret p: user must be a number, is "ada" | user: "uid:gid" as the image runs it, as in "1000:1000"`,
			},
		},
		"no such secret": {
			compose: "services:\n  a: {image: b, secrets: [p]}\n",
			want:    []string{f + `:2:17: services.a.secrets: service "a" refers to undefined secret p`},
		},
		"names that do not exist": {
			compose: "x-croft:\n  routes: {web: {port: 80, host: a, service: wbe}, two: {port: 70000, host: a.b}}\n  metrics: [{port: 1}]\n  addresses: {IP: {service: web, network: nt}}\n  setup: [{service: x, command: []}]\n  jobs: [j]\n  entry: [e]\n  reload: {web: {files: [conf]}}\n  harden: {h: {}}\n  databases: {d: {engine: pg, owner: o, password: p}}\n  storage: {v: {class: fast}}\n  backup: {volumes: {v: files, w: rsync}, databases: [x]}\n  needs: [A, app]\n  serves: [routes]\nservices:\n  web: {image: b}\n  db: {image: b}\n",
			want: []string{
				f + `:2:64: x-croft.routes.two.port: must be from 1 to 65535, is 70000`,
				f + `:2:71: x-croft.routes.two.host: "a.b" is not one label of an address | as in git, or "@" for the domain itself`,
				f + `:5:11: x-croft.setup.0: the command is empty | command: [program, argument]`,
				f + `:10:27: x-croft.databases.d.engine: must be postgres, valkey, is "pg" | known here: postgres, valkey`,
				f + `:10:41: x-croft.databases.d.password: no secret of this stack is called "p" | none is known here`,
				f + `:11:24: x-croft.storage.v.class: must be containers, projects, databases, is "fast" | known here: containers, databases, projects`,
				f + `:12:35: x-croft.backup.volumes.w: must be files, postgres, sqlite, skip, is "rsync" | known here: files, postgres, skip, sqlite`,
				f + `:12:55: x-croft.backup.databases.0: no database is called "x" | known here: d`,
				f + `:13:11: x-croft.needs.0: "A" is no name for a stack`,
				f + `:13:14: x-croft.needs.1: a stack cannot need itself | remove it`,
			},
		},
		"references": {
			compose: "x-croft:\n  routes: {web: {port: 80, host: a, service: wbe}, two: {port: 70, host: b}}\n  metrics: [{port: 1}]\n  addresses: {IP: {service: web, network: nt}}\n  setup: [{service: x, command: [a]}]\n  jobs: [j]\n  entry: [e]\n  reload: {web: {files: [conf]}}\n  harden: {h: {}}\n  storage: {v: {class: projects}}\n  backup: {volumes: {v: files}}\n  serves: [routes]\nservices:\n  web: {image: b}\n  db: {image: b}\n",
			want: []string{
				f + `:2:37: x-croft.routes.web.service: no service is called "wbe" | did you mean web?`,
				f + `:2:52: x-croft.routes.two: the stack has several services: say which one | known here: db, web`,
				f + `:3:13: x-croft.metrics.0: the stack has several services: say which one | known here: db, web`,
				f + `:4:34: x-croft.addresses.IP.network: no network is called "nt" | known here: default, front, metrics, postgres, valkey`,
				f + `:5:12: x-croft.setup.0.service: no service is called "x" | known here: db, web`,
				f + `:6:10: x-croft.jobs.0: no service is called "j" | known here: db, web`,
				f + `:7:11: x-croft.entry.0: no service is called "e" | known here: db, web`,
				f + `:8:26: x-croft.reload.web.files.0: no file or directory "conf" in this stack | known here: compose.yaml`,
				f + `:9:12: x-croft.harden.h: no service is called "h" | known here: db, web`,
				f + `:10:13: x-croft.storage.v: no volume is called "v" | none is known here`,
				f + `:11:22: x-croft.backup.volumes.v: no volume is called "v" | none is known here`,
				f + `:12:3: x-croft.serves: hub is missing: the service that does this | known here: db, web`,
			},
		},
		"variables": {
			compose: "x-croft:\n  options: {port: {ask: a}, CROFT_X: {ask: b, default: c}, N: {ask: c, default: x, check: number}, O: {ask: d, default: a, check: colour}}\n  addresses: {N: {service: a, network: front}}\nservices: {a: {image: b}}\n",
			want: []string{
				`croft.yaml: stacks.app.options.port: an answer is missing: a | in croft.yaml: stacks: {app: {options: {port: ...}}}`,
				f + `:2:13: x-croft.options.port: "port" is no name for a variable | capital letters, digits and _, as in HTTP_PORT`,
				f + `:2:29: x-croft.options.CROFT_X: the name "CROFT_X" is taken: CROFT_ and COMPOSE_ have a meaning | use another name`,
				f + `:2:72: x-croft.options.N.default: "x" is not a number | the default must pass the option's own check`,
				f + `:2:124: x-croft.options.O.check: the check "colour" is not known | one of port, host, duration, size, number, boolean, email, url, one-of, match`,
				f + `:3:15: x-croft.addresses.N: "N" is an option too | give one of them another name`,
			},
		},
		"labels": {
			compose: "services:\n  a:\n    image: b\n    labels:\n      croft.stack: x\n      traefik.enable: \"true\"\nvolumes:\n  v: {labels: [croft.x=1]}\n",
			want: []string{
				f + `:5:7: services.a.labels.croft.stack: the label "croft.stack" is croft's own | remove it`,
				"warning: " + f + `:6:7: services.a.labels.traefik.enable: the label "traefik.enable" has no effect | addresses belong under x-croft.routes`,
				f + `:8:7: volumes.v.labels: the label "croft.x" is croft's own | remove it`,
			},
		},
		"home": {
			compose: "services:\n  a:\n    image: b\n    volumes: ['~/x:/x', {type: bind, source: '${D:-~/y}', target: /y}]\n",
			want: []string{
				f + `:4:15: services.a.volumes: ~ is another directory for every user | write the absolute path`,
				f + `:4:46: services.a.volumes.source: ~ is another directory for every user | write the absolute path`,
			},
		},
		"includes that lead out": {
			compose: "include:\n  - ../b/compose.yaml\n  - /etc/passwd\n  - https://example.com/x.yaml\n  - oci://x/y\n  - git@github.com:x/y\n  - ${X:-a}\n  - {path: a.yaml, project_directory: ..}\nservices:\n  a: {image: b, extends: {file: ../../x.yaml, service: a}}\n",
			want: []string{
				f + `:2:5: include.0: "../b/compose.yaml" leaves the stack's directory | the stack's directory must hold the file`,
				f + `:3:5: include.1: "/etc/passwd" is an absolute path | a path relative to the stack's directory, which must hold the file`,
				f + `:4:5: include.2: "https://example.com/x.yaml" is not in the stack's directory: nothing is fetched from elsewhere | copy the file into the stack's directory`,
				f + `:5:5: include.3: "oci://x/y" is not in the stack's directory: nothing is fetched from elsewhere | copy the file into the stack's directory`,
				f + `:6:5: include.4: "git@github.com:x/y" is not in the stack's directory: nothing is fetched from elsewhere | copy the file into the stack's directory`,
				f + `:7:5: include.5: a variable cannot choose a file to read | write the path out`,
				f + `:8:20: include.6.project_directory: ".." leaves the stack's directory | the stack's directory must hold the file`,
				f + `:10:27: services.a.extends.file: "../../x.yaml" leaves the stack's directory | the stack's directory must hold the file`,
			},
		},
		"an included file that leads out": {
			compose: "include: [sub/a.yaml]\n",
			files:   map[string]string{"sub/a.yaml": "include: [../../b.yaml]\nx-croft: {}\nservices: {s: {image: b}}\n"},
			want: []string{
				`stacks/app/sub/a.yaml:1:11: include.0: "../../b.yaml" leaves the stack's directory | the stack's directory must hold the file`,
				`stacks/app/sub/a.yaml:2:1: x-croft: x-croft belongs in the stack's own Compose file | move it there`,
			},
		},
		"included file is missing": {
			compose: "include: [a.yaml]\n",
			want:    []string{f + `:1:11: include.0: no file a.yaml in this stack | known here: compose.yaml`},
		},
		"an env_file that leads out": {
			compose: "services:\n  a:\n    image: b\n    env_file: ../b/.env\n  c:\n    image: b\n    env_file: [nope.env, {path: no.env, required: false}]\n",
			want: []string{
				f + `:4:5: services.a.env_file: /srv/platform/stacks/b/.env is outside of the stack's directory | the stack's directory must hold the file`,
				f + `:7:5: services.c.env_file: no file nope.env in this stack | known here: compose.yaml`,
			},
		},
		"a bad .env":                {compose: "services: {a: {image: b}}\n", files: map[string]string{".env": "A=1\npass word\n"}, want: []string{`stacks/app/.env:2: is not a list of NAME=VALUE lines`}},
		"x-croft in the override":   {compose: "services: {a: {image: b}}\n", files: map[string]string{"compose.override.yaml": "x-croft: {}\n"}, want: []string{`stacks/app/compose.override.yaml:1:1: x-croft: x-croft belongs in compose.yaml | move it there`}},
		"two Compose files":         {compose: "services: {a: {image: b}}\n", files: map[string]string{"docker-compose.yml": "x"}, want: []string{`warning: stacks/app/docker-compose.yml: is not read: compose.yaml comes first | keep one of them`}},
		"an empty file":             {compose: "# nothing\n", want: []string{f + `:1:1: the file is empty | services: {name: {image: ...}}`}},
		"a list":                    {compose: "- a\n", want: []string{f + `:1:1: must be a mapping of keys to values, is a list`}},
		"merged-in x-croft":         {compose: "x-a: &a {x-croft: {}}\n<<: *a\nservices: {a: {image: b}}\n", want: []string{f + `:1:1: x-croft: x-croft must be written at the top of the Compose file, not merged in`}},
		"no services":               {compose: "volumes: {a: {}}\n", want: []string{f + `:1:1: services: the stack has no service | services: {name: {image: ...}}`}},
		"a directory of croft's":    {compose: "services: {a: {image: b}}\n", files: map[string]string{".croft-secrets/x": ""}, want: []string{f + `:1:1: .croft-secrets is a name that croft uses itself | rename it`}},
		"dependency of nobody":      {compose: "services:\n  a:\n    image: b\n    depends_on: [c]\n", want: []string{f + `:4:5: services.a.depends_on: service "a" depends on undefined service "c"`}},
		"parser that would give up": {compose: "services:\n  a:\n    image: b\n    extends: {file: 1, service: b}\n", want: []string{f + `:4:15: services.a.extends.file: must be the path of a file`}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			fsys := stackFS(map[string]string{"compose.yaml": test.compose})
			for n, text := range test.files {
				fsys[filepath.Join("stacks/app", n)] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
			}
			env := testEnv()
			if test.env != nil {
				test.env(&env)
			}
			s, ps := LoadStack(fsys, "app", env)
			if diff := cmp.Diff(test.want, told(ps)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
			if (s == nil) != (ps.Err() != nil) {
				t.Error("a stack with errors, or none without")
			}
		})
	}
}

func TestLoadStackFollowsIncludeAndExtends(t *testing.T) {
	files := map[string]string{
		"compose.yaml":     "include: [sub/inc.yaml]\nservices:\n  a:\n    extends: {file: base/base.yaml, service: base}\n    volumes: [./here:/h, /abs:/abs]\n",
		"sub/inc.yaml":     "services:\n  inc:\n    image: i:${TAG}\n    volumes: [./data:/d, ../up:/u]\n    env_file: inc.env\n",
		"sub/.env":         "TAG=7\n",
		"sub/inc.env":      "I=1\n",
		"base/base.yaml":   "services:\n  base:\n    image: b\n    build: .\n    volumes: [./base:/b]\n    extends: {file: deep.yaml, service: deep}\n",
		"base/deep.yaml":   "services:\n  deep:\n    environment: {DEEP: '1'}\n    label_file: deep.labels\n",
		"base/deep.labels": "deep=yes\n",
	}
	s, ps := LoadStack(stackFS(files), "app", testEnv())
	if len(ps) > 0 {
		t.Fatal(told(ps))
	}
	sources := func(name string) map[string]string {
		out := map[string]string{}
		for _, v := range s.Project.Services[name].Volumes {
			out[v.Target] = v.Source
		}
		return out
	}
	const dir = "/srv/platform/stacks/app"
	if diff := cmp.Diff(map[string]string{"/h": dir + "/here", "/abs": "/abs", "/b": dir + "/base/base"}, sources("a")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]string{"/d": dir + "/sub/data", "/u": dir + "/up"}, sources("inc")); diff != "" {
		t.Error(diff)
	}
	a, inc := s.Project.Services["a"], s.Project.Services["inc"]
	if a.Build.Context != dir+"/base" || a.Labels["deep"] != "yes" || *a.Environment["DEEP"] != "1" {
		t.Errorf("%+v", a)
	}
	if inc.Image != "i:7" || *inc.Environment["I"] != "1" {
		t.Errorf("%+v", inc)
	}
	text, err := s.Project.MarshalYAML()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "croft-load") || s.Project.WorkingDir != dir {
		t.Errorf("the temporary directory shows:\n%s", text)
	}
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "croft-load-*")); len(left) > 0 {
		t.Error("left behind:", left)
	}
}

func TestLoadStackKeepsPlainMeaning(t *testing.T) {
	t.Setenv("TAG", "from the process")
	files := map[string]string{
		"docker-compose.yml":          "version: '3'\nname: mine\nservices:\n  a: {image: 'b:${TAG:-1}', privileged: \"yes\"}\n  off: {image: c, profiles: [debug]}\n  on: {image: c, profiles: [extra]}\n",
		"docker-compose.override.yml": "services:\n  a: {command: over}\n",
		".env":                        "COMPOSE_PROFILES=extra\n",
	}
	s, ps := LoadStack(stackFS(files), "app", testEnv())
	if len(ps) > 0 {
		t.Fatal(told(ps))
	}
	a := s.Project.Services["a"]
	if a.Image != "b:1" || a.Command[0] != "over" || !a.Privileged || s.X != nil || s.Project.Name != "home-app" {
		t.Errorf("%+v", a)
	}
	if diff := cmp.Diff([]string{"a", "on"}, s.Project.ServiceNames()); diff != "" {
		t.Error(diff)
	}
	if _, ok := s.Project.DisabledServices["off"]; !ok {
		t.Error("off is on")
	}
}

func TestXCroftIsTakenOut(t *testing.T) {
	const x = "x-croft:\n  about: |\n    # not a comment\n    ${NOT_A_VARIABLE\n"
	for name, text := range map[string]string{
		"first":     x + "services: {a: {image: b}}\n",
		"last":      "services: {a: {image: b}}\n" + x,
		"middle":    "volumes: {}\n" + x + "# c\nservices: {a: {image: b}}\n",
		"flow":      `{"x-croft": {"about": "${NO"}, "services": {"a": {"image": "b"}}}`,
		"flow line": "{x-croft: {about: x},\nservices: {a: {image: b}}}\n",
		"odd key":   "?\n  x-croft\n: {about: x}\n? services\n: {a: {image: b}}\n",
		"odd next":  "x-croft: {about: x}\n?\n  services\n: {a: {image: b}}\n",
		"CRLF":      strings.ReplaceAll(x+"services: {a: {image: b}}\n", "\n", "\r\n"),
		"documents": "services: {a: {image: b}}\n---\n" + x + "---\nvolumes: {v: {}}\n",
		"BOM":       "\ufeff" + x + "services: {a: {image: b}}\n",
	} {
		t.Run(name, func(t *testing.T) {
			s, ps := LoadStack(stackFS(map[string]string{"compose.yaml": text}), "app", testEnv())
			if len(ps) > 0 {
				t.Fatal(told(ps))
			}
			if s.X == nil || s.X.About == "" || len(s.Project.Extensions) > 0 || s.Project.Services["a"].Image != "b" {
				t.Errorf("%+v", s.X)
			}
		})
	}
}

func TestLoadStackRefusesWhatLeadsOut(t *testing.T) {
	compose := "services: {a: {image: b}}\n"
	tests := map[string]struct {
		make func(t *testing.T, dir string)
		want string
	}{
		"a link to a file outside": {func(t *testing.T, dir string) { link(t, "/etc/passwd", dir+"/stacks/app/x") }, "stacks/app/x: is a symbolic link"},
		"a link inside":            {func(t *testing.T, dir string) { link(t, "compose.yaml", dir+"/stacks/app/x") }, "stacks/app/x: is a symbolic link"},
		"a linked directory":       {func(t *testing.T, dir string) { link(t, "/etc", dir+"/stacks/app/x") }, "stacks/app/x: is a symbolic link"},
		"a linked stack": {func(t *testing.T, dir string) {
			if err := os.Rename(dir+"/stacks/app", dir+"/real"); err != nil {
				t.Fatal(err)
			}
			link(t, "../real", dir+"/stacks/app")
		}, "stacks/app: is a symbolic link"},
		"all stacks linked": {func(t *testing.T, dir string) {
			if err := os.Rename(dir+"/stacks", dir+"/real"); err != nil {
				t.Fatal(err)
			}
			link(t, "real", dir+"/stacks")
		}, "stacks: is a symbolic link"},
		"a pipe": {func(t *testing.T, dir string) {
			if err := syscall.Mkfifo(dir+"/stacks/app/x", 0o600); err != nil {
				t.Fatal(err)
			}
		}, "stacks/app/x: is neither a file nor a directory"},
		"a file for a stack": {func(t *testing.T, dir string) {
			if err := os.RemoveAll(dir + "/stacks/app"); err != nil {
				t.Fatal(err)
			}
			write(t, dir+"/stacks/app", "")
		}, "stacks/app: is not a directory"},
		"no stack": {func(t *testing.T, dir string) {
			if err := os.RemoveAll(dir + "/stacks/app"); err != nil {
				t.Fatal(err)
			}
		}, "stacks/app: cannot be read: no such file or directory"},
		"no Compose file": {func(t *testing.T, dir string) {
			if err := os.Remove(dir + "/stacks/app/compose.yaml"); err != nil {
				t.Fatal(err)
			}
		}, "stacks/app: holds no Compose file"},
		"a control character": {func(t *testing.T, dir string) { write(t, dir+"/stacks/app/a\nb", "") }, `stacks/app: the file name "a\nb" holds a control character`},
		"a git directory":     {func(t *testing.T, dir string) { write(t, dir+"/stacks/app/.git", "") }, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.MkdirAll(dir+"/stacks/app", 0o755); err != nil {
				t.Fatal(err)
			}
			write(t, dir+"/stacks/app/compose.yaml", compose)
			test.make(t, dir)
			env := testEnv()
			env.Dir = dir
			root, err := os.OpenRoot(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close()
			_, ps := LoadStack(os.DirFS(dir), "app", env)
			if got := ps.Error(); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			_, ps = LoadStack(root.FS(), "app", env)
			if got := ps.Error(); got != test.want {
				t.Errorf("by os.Root: got %q, want %q", got, test.want)
			}
		})
	}
}

func link(t *testing.T, to, name string) {
	t.Helper()
	if err := os.Symlink(to, name); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestLoadStackLimits(t *testing.T) {
	many := map[string]string{"compose.yaml": "services: {a: {image: b}}\n"}
	for i := range maxStackFiles {
		many["d/"+string(rune('a'+i%26))+strings.Repeat("x", i/26)] = ""
	}
	_, ps := LoadStack(stackFS(many), "app", testEnv())
	if got, want := ps.Error(), "stacks/app: holds more than 2000 files"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	large := map[string]string{"compose.yaml": "services: {a: {image: b}}\n", "big": strings.Repeat("x", maxStackFile+1)}
	_, ps = LoadStack(stackFS(large), "app", testEnv())
	if got, want := ps.Error(), "stacks/app/big: is larger than 16384 KiB"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	deep := maps.Clone(many)
	clear(deep)
	deep["compose.yaml"] = "services: {a: {image: b}}\n"
	deep[strings.Repeat("d/", 40)+"x"] = ""
	_, ps = LoadStack(stackFS(deep), "app", testEnv())
	if !strings.Contains(ps.Error(), "directories deep") {
		t.Error(told(ps))
	}
}

func TestLoadStackInfo(t *testing.T) {
	fsys := stackFS(map[string]string{"compose.yaml": "services:\n  z: {image: 'z:${TAG}'}\n  a: {image: a}\n  b: {image: a}\nx-croft: {title: T, serves: [auth], routes: {r: {port: 1, host: h}}}\n"})
	x, images, ps := LoadStackInfo(fsys, "stacks/app")
	if len(ps) > 0 || x.Title != "T" || x.Routes["r"].Access != AccessTwoFactor {
		t.Error(x, told(ps))
	}
	if diff := cmp.Diff([]string{"z:${TAG}", "a"}, images); diff != "" {
		t.Error(diff)
	}
	for _, name := range CatalogNames() {
		if x, _, ps := LoadStackInfo(Catalog(), name); len(ps) > 0 || x.Title == "" {
			t.Errorf("%s: %q %v", name, x.Title, told(ps))
		}
	}
}
