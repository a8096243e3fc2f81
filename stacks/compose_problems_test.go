package stacks

import (
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

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
			compose: "x-croft:\n  routes: {web: {port: 80, host: a, service: wbe}, two: {port: 70, host: b}}\n  metrics: [{port: 1}]\n  addresses: {IP: {service: web, network: nt}}\n  setup: [{service: x, command: [a]}]\n  jobs: [j]\n  entry: [e]\n  reload: {web: {files: [conf]}}\n  harden: {h: {}}\n  storage: {v: {class: projects}}\n  backup: {volumes: {v: files, /srv: skip, ./rows: skip, \"web:/x\": skip, /nothing: skip}}\n  serves: [routes]\n  stateless: [s]\nservices:\n  web: {image: b, volumes: [\"/srv:/s\", \"./rows:/r\"]}\n  db: {image: b}\n",
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
				f + `:11:74: x-croft.backup.volumes./nothing: no volume is called "/nothing" | none is known here`,
				f + `:12:3: x-croft.serves: hub is missing: the service that does this | known here: db, web`,
				f + `:13:15: x-croft.stateless.0: no service is called "s" | known here: db, web`,
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
