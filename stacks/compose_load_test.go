package stacks

import (
	"os"
	"path/filepath"
	"strings"
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
    volumes: [data:/data, ./conf:/etc/conf:ro, "/srv/outside:/o"]
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
	if diff := cmp.Diff([]string{"data", "/srv/platform/stacks/app/conf", "/srv/outside"}, got); diff != "" {
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
