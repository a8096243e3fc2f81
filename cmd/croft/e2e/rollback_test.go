//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// rollbackDB is a real PostgreSQL of one of two images.
func rollbackDB(image string) string {
	return `x-croft:
  secrets: {pw: {generate: 30, rotate: restart}}
  storage: {data: {class: databases, owner: "999:999"}}
services:
  db:
    image: ` + image + `
    user: "999:999"
    environment: {POSTGRES_PASSWORD_FILE: /run/secrets/pw}
    secrets: [pw]
    volumes: [data:/var/lib/postgresql]
    tmpfs: [/tmp, "/var/run/postgresql:uid=999,gid=999"]
    stop_grace_period: 30s
    healthcheck: {test: [CMD, pg_isready, -q, -h, 127.0.0.1, -U, postgres], interval: 1s, timeout: 5s, retries: 30}
volumes: {data: {}}
`
}

// twoImages makes two versions of an image: the same program, told apart by a label.
func twoImages(t *testing.T, from, name string) (one, two string) {
	t.Helper()
	one, two = name+":1", name+":2"
	t.Cleanup(func() {
		if out, err := exec.Command("docker", "rmi", one, two).CombinedOutput(); err != nil {
			t.Errorf("docker rmi: %s", out)
		}
	})
	docker(t, "tag", from, one)
	cmd := exec.Command("docker", "build", "-q", "-t", two, "-")
	cmd.Stdin = strings.NewReader("FROM " + from + "\nLABEL version=2\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("docker build: %s", out)
	}
	return one, two
}

// TestRollback upgrades a database, whose new image "migrates" it, and goes back:
// with the data of then, with the data of now, and never without a word about it.
func TestRollback(t *testing.T) {
	plain := "services:\n  echo: {image: \"croft-test/echo:1\"}\n"
	p := newPlatform(t, "rb", map[string]string{"stacks/side/compose.yaml": plain})
	one, two := twoImages(t, "postgres:18.6", p.name+"-db")
	t.Cleanup(func() { // before the images: containers hold them
		if err := p.remove(); err != nil {
			t.Error(err)
		}
	})
	p.write(t, "stacks/store/compose.yaml", rollbackDB(one))
	p.writeConfig(t, "side", "store")
	p.must(t, "apply", "-y")
	p.sql(t, "create table rows (r text); insert into rows values ('written by 1')")
	side := p.container(t, "side", "echo").ID

	p.write(t, "stacks/store/compose.yaml", rollbackDB(two))
	p.must(t, "apply", "-y")
	p.sql(t, "alter table rows add column migrated boolean default true; insert into rows values ('written by 2')")
	upgraded := p.container(t, "store", "db").ID
	state := treeHash(t, p.state)

	if r := p.run(t, "rollback", "-y"); r.code != exitRefused || !strings.Contains(r.stderr, "--data now") || !strings.Contains(r.stderr, "--data then") {
		t.Errorf("without a word about the data: %s", r)
	}
	if r := p.run(t, "rollback", "--data", "then"); r.code != exitUsage { // nobody can be asked
		t.Errorf("%s", r)
	}
	if p.container(t, "store", "db").ID != upgraded || treeHash(t, p.state) != state {
		t.Error("a rollback that was not agreed to changed something")
	}
	r := p.must(t, "rollback", "-y", "--data", "then")
	if got := p.rowsOf(t); got != "written by 1" {
		t.Errorf("the data of then has %q", got)
	}
	aside := filepath.Join(p.storage, "databases/store/data.croft-aside-3")
	if _, err := os.Stat(aside); err != nil || !strings.Contains(r.stderr, aside) {
		t.Errorf("what was written since: %v, and it says %s", err, r.stderr)
	}
	p.wantImage(t, one)
	if r := p.run(t, "plan", "--detailed-exitcode"); r.code != exitDone || !strings.Contains(strings.Join(strings.Fields(r.said()), " "), "rolled back by hand to revision 1") {
		t.Errorf("the next plan: %s", r)
	}
	// Given up: today's image comes again, and migrates what is there now.
	p.must(t, "release", "store")
	p.must(t, "apply", "-y")
	p.wantImage(t, two)
	p.sql(t, "insert into rows values ('written by 2 again')")
	p.must(t, "rollback", "-y", "--to", "1", "--data", "now")
	p.wantImage(t, one)
	if got := p.rowsOf(t); got != "written by 1\nwritten by 2 again" {
		t.Errorf("the data of now has %q", got)
	}
	if p.container(t, "side", "echo").ID != side {
		t.Error("the neighbour was touched")
	}
	if r := p.run(t, "rollback", "--to", "99"); r.code != exitUsage || !strings.Contains(r.stderr, "hint: one of the newest that can be chosen: 4, 3, 2, 1") {
		t.Errorf("%s", r)
	}
	if r := p.must(t, "rollback", "-y", "--to", "1"); !strings.Contains(r.stderr, "revision 1 is what runs") {
		t.Errorf("%s", r)
	}
}

func (p *platform) rowsOf(t *testing.T) string {
	t.Helper()
	return strings.TrimSpace(p.sql(t, "select r from rows order by r"))
}

// wantImage wants the database to run on an image, by its ID.
func (p *platform) wantImage(t *testing.T, ref string) {
	t.Helper()
	id := strings.TrimSpace(docker(t, "image", "inspect", "-f", "{{.Id}}", ref))
	if got := strings.TrimSpace(docker(t, "inspect", "-f", "{{.Image}}", p.container(t, "store", "db").ID)); got != id {
		t.Errorf("it runs on %s, not on %s", got, ref)
	}
}
