package stacks

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/google/go-cmp/cmp"
)

// A plain stack must mean what docker compose takes it for.
func TestPlainStackMeansWhatComposeSays(t *testing.T) {
	stacks := map[string]map[string]string{
		"everything": {
			"compose.yaml": `services:
  web:
    image: web:${TAG:-1}
    build: {context: ./build, args: {A: , B: "${TAG}"}}
    ports: ["8080:80", "127.0.0.1:53:53/udp", {target: 1, published: "2-3"}]
    environment: [PLAIN=1, FROM_ENV, DOLLAR=$$x]
    env_file: [a.env, {path: b.env, required: false}, {path: none.env, required: false}]
    volumes: [./conf:/conf:ro, data:/data, /abs:/abs, /srv/beside:/beside, {type: tmpfs, target: /t}]
    depends_on: {db: {condition: service_healthy}}
    healthcheck: {test: "curl -f x", interval: 10s}
    networks: {front: {aliases: [w]}, back: }
    secrets: [plain]
    configs: [{source: c, target: /c}]
    labels: {a: "1"}
    deploy: {resources: {limits: {memory: 1g, cpus: "0.5"}}}
    ulimits: {nofile: 100}
  db: {image: db, healthcheck: {test: [CMD, x]}, profiles: []}
  debug: {image: d, profiles: [debug]}
  shared: {image: s, network_mode: "service:db"}
volumes: {data: {driver_opts: {type: none, o: bind, device: ./d}}, other: {external: true}}
networks: {front: {internal: true}, back: {ipam: {config: [{subnet: 10.9.0.0/24}]}}}
secrets: {plain: {file: ./s.txt}}
configs: {c: {content: "x ${TAG}"}}
`,
			".env": "TAG=2.0\nFROM_ENV='quoted $X'\nQ=\"${TAG}-x\"\n", "a.env": "A=${TAG}\nPLAIN=no\n# c\nexport E=1\n", "b.env": "B='$lit'\nA2=${A}\n",
		},
		"override, include and extends": {
			"docker-compose.yml":          "include: [inc/compose.yaml]\nservices:\n  a: {image: a, command: [x], environment: {K: 1}}\n  b: {extends: {file: base.yaml, service: base}, image: b}\n  c: {extends: a, ports: ['1:1']}\n",
			"docker-compose.override.yml": "services:\n  a: {command: !override [y], environment: {L: 2}, ports: !reset []}\n",
			"inc/compose.yaml":            "services:\n  i: {image: 'i:${T}', volumes: ['./v:/v', '../w:/w'], depends_on: [j]}\n  j: {image: j, env_file: j.env}\nvolumes: {iv: {}}\n",
			"inc/.env":                    "T=5\n", "inc/j.env": "J=${T:-none}\n",
			"base.yaml": "services:\n  base: {build: ., volumes: ['./x:/x'], restart: always}\n",
		},
		"anchors and fields of ours": {
			"compose.yml": "x-common: &c\n  restart: always\n  logging: {driver: local}\nservices:\n  a: {<<: *c, image: a}\n  b: {<<: *c, image: b, x-note: hi}\n",
		},
	}
	for name, files := range stacks {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for n, text := range files {
				p := filepath.Join(dir, "stacks/app", n)
				if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
					t.Fatal(err)
				}
				write(t, p, text)
			}
			s, ps := LoadStack(os.DirFS(dir), "app", LoadEnv{Dir: dir, ProjectName: "home-app"})
			if ps.Err() != nil {
				t.Fatal(strings.Join(told(ps), "\n"))
			}
			got, err := s.Project.MarshalYAML()
			if err != nil {
				t.Fatal(err)
			}
			o, err := cli.NewProjectOptions(nil, cli.WithWorkingDirectory(filepath.Join(dir, "stacks/app")), cli.WithName("home-app"), cli.WithEnvFiles(), cli.WithDotEnv,
				cli.WithDefaultConfigPath, cli.WithDefaultProfiles(), cli.WithDiscardEnvFile)
			if err != nil {
				t.Fatal(err)
			}
			project, err := o.LoadProject(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			want, err := project.MarshalYAML()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("compose's meaning (-), ours (+):\n%s", diff)
			}
			if diff := cmp.Diff(project.ComposeFiles, s.Project.ComposeFiles); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestErrorsDoNotRepeatWhatDotenvHolds(t *testing.T) {
	_, ps := LoadStack(stackFS(map[string]string{"compose.yaml": "services: {a: {image: b, privileged: '${PW}', ports: ['${PW}:80']}}\n", ".env": "PW=hunter2hunter2\n"}), "app", testEnv())
	if ps.Err() == nil || strings.Contains(ps.Error(), "hunter2") {
		t.Error(told(ps))
	}
}
