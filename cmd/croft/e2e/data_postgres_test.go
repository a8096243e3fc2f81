//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/croft-sh/croft/provision"
	sdk "github.com/croft-sh/croft/provision/docker"
	"github.com/croft-sh/croft/provision/enginetest"
)

// query is how the program of these tests speaks to its server, in sh.
const query = `PGPASSWORD="$(cat /run/secrets/pw)" exec psql -X -q -A -t -v ON_ERROR_STOP=1 -h "$DB_HOST" -U app -d app -c "$1"`

// The program: version 1 needs the table as it made it, version 2 migrates it and
// then fails.
const (
	versionOne = `until pg_isready -q -h "$DB_HOST" -t 2; do sleep 0.3; done
q() { (` + query + `); }
q "CREATE TABLE IF NOT EXISTS rows (text text)" && q "SELECT count(text) FROM rows" || exit 4
touch /tmp/ready; trap 'exit 0' TERM; while :; do sleep 0.2; done`
	versionTwo = `until pg_isready -q -h "$DB_HOST" -t 2; do sleep 0.3; done
q() { (` + query + `); }
q "ALTER TABLE rows RENAME TO entries; ALTER TABLE entries RENAME COLUMN text TO body; UPDATE entries SET body = 'v2 ' || body" || exit 5
echo "the migration is done and the program fails"; exit 3`
)

// appImage makes an image with psql that runs a script.
func appImage(t *testing.T, tag, script string) string {
	t.Helper()
	entry, err := json.Marshal([]string{"sh", "-c", script})
	if err != nil {
		t.Fatal(err)
	}
	ref := "croft-test/migrates:" + tag
	cmd := exec.Command("docker", "build", "-q", "-t", ref, "-")
	cmd.Stdin = strings.NewReader("FROM postgres:18.6\nENTRYPOINT " + string(entry) + "\nCMD []\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("docker build: %s", out)
	}
	t.Cleanup(func() { _ = exec.Command("docker", "rmi", "-f", ref).Run() })
	return ref
}

// appService is the program as a service of a stack.
func appService(image, host string) string {
	return fmt.Sprintf(`  app:
    image: %s
    user: "999:999"
    environment: {DB_HOST: %s}
    secrets: [pw]
    healthcheck: {test: [CMD, test, -f, /tmp/ready], interval: 1s, timeout: 5s, retries: 30}
`, image, host)
}

// inApp runs a statement as the program does, and gives what came.
func (p *platform) inApp(statement string) (string, error) {
	out, err := exec.Command("docker", "exec", p.name+"-shop-app-1", "sh", "-c", query, "sh", statement).Output()
	return string(out), err
}

// upgradeFails applies version 2 while rows are written, and wants every
// acknowledged one back. own are services of the stack that may be replaced.
func upgradeFails(t *testing.T, p *platform, show func(image string)) {
	one, two := appImage(t, "1", versionOne), appImage(t, "2", versionTwo)
	show(one)
	p.must(t, "apply", "-y")
	w := startWriter(func(row string) bool {
		_, err := p.inApp("INSERT INTO rows VALUES ('" + row + "')")
		return err == nil
	})
	if !eventually(func() bool { return w.count() >= 5 }) {
		t.Fatal("no rows")
	}
	before := map[string]string{}
	for _, c := range p.containers(t) {
		before[c.String()] = c.ID
	}
	show(two)
	plan := p.run(t, "plan")
	t.Log(plan.stdout)
	r := p.run(t, "apply", "-y", "--wait-timeout", "40s")
	p.takenBack(t, r)
	if !strings.Contains(r.stderr, "the migration is done") {
		t.Errorf("the new version did not come to its migration: %s", r)
	}
	have, err := p.inApp("SELECT text FROM rows")
	if err != nil {
		t.Fatalf("the old version does not read its rows: %v %s", err, stderrOf(err))
	}
	if lost := w.missing(t, strings.Fields(have)); len(lost) > 0 {
		t.Errorf("of %d acknowledged rows %d are gone: %v", w.count(), len(lost), lost)
	}
	for _, c := range p.containers(t) {
		if c.stack() != "shop" && before[c.String()] != c.ID {
			t.Errorf("%s was replaced", c)
		}
	}
	t.Logf("%d rows; the upgrade and its way back took %s", w.count(), r.took.Round(time.Millisecond))
	p.must(t, "plan", "--detailed-exitcode")
}

// TestADatabaseInTheStackGoesBack: the image that changes has no volume; it
// changes the other service's over the network.
func TestADatabaseInTheStackGoesBack(t *testing.T) {
	p := newPlatform(t, "pg", map[string]string{"stacks/side/compose.yaml": quietStack("side")})
	p.writeConfig(t, "shop", "side")
	upgradeFails(t, p, func(image string) {
		p.write(t, "stacks/shop/compose.yaml", `
x-croft:
  secrets: {pw: {generate: 30, rotate: restart}}
  storage: {data: {class: databases, owner: "999:999"}}
services:
  db:
    image: postgres:18.6
    user: "999:999"
    environment: {POSTGRES_USER: app, POSTGRES_PASSWORD_FILE: /run/secrets/pw}
    secrets: [pw]
    volumes: [data:/var/lib/postgresql]
    tmpfs: [/tmp, "/var/run/postgresql:uid=999,gid=999"]
    stop_grace_period: 30s
    healthcheck: {test: [CMD, pg_isready, -q, -h, 127.0.0.1, -U, app], interval: 1s, timeout: 5s, retries: 30}
`+appService(image, "db")+"volumes: {data: {}}\n")
	})
}

// TestADatabaseOnTheSharedServerGoesBack: the server runs on for all others.
func TestADatabaseOnTheSharedServerGoesBack(t *testing.T) {
	p := newPlatform(t, "pgs", map[string]string{"stacks/side/compose.yaml": quietStack("side")})
	p.must(t, "stack", "add", "postgres")
	p.writeConfig(t, "postgres", "shop", "side")
	upgradeFails(t, p, func(image string) {
		p.write(t, "stacks/shop/compose.yaml", `
x-croft:
  secrets: {pw: {generate: 30, rotate: restart}}
  databases: {app: {engine: postgres, owner: app, password: pw}}
services:
`+appService(image, "postgres"))
	})
	type item struct{ Owner, Kind, Database string }
	listed := func() (out []item) {
		for _, one := range decode[struct{ Items []item }](t, p.must(t, "clean", "--dry-run", "-o", "json").stdout).Items {
			if one.Database != "" {
				out = append(out, one)
			}
		}
		return out
	}
	if got := listed(); len(got) != 1 || got[0].Owner != "shop" || got[0].Kind != "failed-data" || !strings.HasPrefix(got[0].Database, "app_croft_failed_") {
		t.Errorf("clean lists %+v", got)
	}
	p.must(t, "clean", "-y")
	if got := listed(); len(got) != 0 {
		t.Errorf("clean left %+v", got)
	}
	if _, err := p.inApp("SELECT text FROM rows"); err != nil {
		t.Errorf("after clean: %v", err)
	}
}

// TestPostgresKeepsTheContract runs against a server of its own.
func TestPostgresKeepsTheContract(t *testing.T) {
	real, err := sdk.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = real.Close() })
	name := "croft-e2e-postgres-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	id := strings.TrimSpace(docker(t, "run", "-d", "--rm", "--name", name, "--network", "none", "--user", "999:999", "--tmpfs", "/var/lib/postgresql:uid=999,mode=0770",
		"-e", "POSTGRES_PASSWORD=x", "-e", "POSTGRES_INITDB_ARGS=--auth-local=peer", "--tmpfs", "/var/run/postgresql:uid=999", "postgres:18.6"))
	t.Cleanup(func() { _ = exec.Command("docker", "rm", "-f", "-v", id).Run() })
	psql := func(database, statement string) (string, error) {
		out, err := exec.Command("docker", "exec", id, "psql", "-X", "-q", "-A", "-t", "-U", "postgres", "-d", database, "-c", statement).Output()
		return strings.TrimSpace(string(out)), err
	}
	must := func(t *testing.T, database, statement string) string {
		t.Helper()
		out, err := psql(database, statement)
		if err != nil {
			t.Fatalf("%s: %v %s", statement, err, stderrOf(err))
		}
		return out
	}
	if !eventually(func() bool {
		return exec.Command("docker", "exec", id, "pg_isready", "-q", "-h", "127.0.0.1").Run() == nil
	}) {
		t.Fatal("the server does not come up")
	}
	p := provision.Postgres{Containers: real}
	enginetest.RunDatabases(t, enginetest.DatabaseSubject{
		Databases: p, Server: id, Prefix: "con",
		Make: func(t *testing.T, name, row string) {
			must(t, "postgres", "CREATE DATABASE "+name)
			must(t, name, "CREATE TABLE r (v text); INSERT INTO r VALUES ('"+row+"')")
		},
		Write: func(t *testing.T, name, row string) { must(t, name, "UPDATE r SET v = '"+row+"'") },
		Read: func(_ *testing.T, name string) string {
			out, _ := psql(name, "SELECT v FROM r")
			return out
		},
	})
	t.Run("what is kept outside of the database comes along", func(t *testing.T) {
		for _, s := range []string{`CREATE ROLE "o'wner" LOGIN`, `CREATE ROLE "Guest Role"`, `CREATE DATABASE "Shop ""1"""  OWNER "o'wner" CONNECTION LIMIT 7`,
			`REVOKE ALL ON DATABASE "Shop ""1""" FROM PUBLIC`, `GRANT CONNECT ON DATABASE "Shop ""1""" TO "Guest Role" WITH GRANT OPTION`,
			`ALTER DATABASE "Shop ""1""" SET search_path = "$user", 'Odd Schema', public`, `ALTER DATABASE "Shop ""1""" SET work_mem = '5MB'`,
			`ALTER ROLE "o'wner" IN DATABASE "Shop ""1""" SET statement_timeout = '9s'`, `ALTER DATABASE "Shop ""1""" SET application_name = 'it''s, me'`} {
			must(t, "postgres", s)
		}
		must(t, `Shop "1"`, `CREATE TABLE t (v text); ALTER TABLE t OWNER TO "o'wner"; INSERT INTO t VALUES ('row')`)
		facts := func(name string) string {
			return must(t, "postgres", `SELECT pg_get_userbyid(datdba), datconnlimit, datacl,
				(SELECT array_agg(setrole::regrole || ':' || array_to_string(setconfig, '|') ORDER BY setrole) FROM pg_db_role_setting WHERE setdatabase = d.oid)
				FROM pg_database d WHERE datname = '`+name+"'")
		}
		before := facts(`Shop "1"`)
		// Somebody is connected, and stays so.
		holder := exec.Command("docker", "exec", id, "psql", "-X", "-U", "postgres", "-d", `Shop "1"`, "-c", "SELECT pg_sleep(60)")
		if err := holder.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if err := p.Copy(t.Context(), id, `Shop "1"`, "copied"); err != nil {
			t.Fatal(err)
		}
		_ = holder.Wait() // it was sent away
		if got := facts("copied"); got != before {
			t.Errorf("the copy has\n%s\nwant\n%s", got, before)
		}
		if err := p.Swap(t.Context(), id, `Shop "1"`, "copied", "gone"); err != nil {
			t.Fatal(err)
		}
		if got := facts(`Shop "1"`); got != before || must(t, `Shop "1"`, "SELECT v FROM t") != "row" {
			t.Errorf("after the swap it has\n%s\nwant\n%s", got, before)
		}
	})
	t.Run("time and bytes", func(t *testing.T) {
		must(t, "postgres", "CREATE DATABASE big")
		must(t, "big", "CREATE TABLE t AS SELECT g, md5(g::text) m FROM generate_series(1, 1500000) g")
		bytes, _, err := p.Size(t.Context(), id, "big")
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := p.Copy(t.Context(), id, "big", "big_aside"); err != nil {
			t.Fatal(err)
		}
		copied := time.Now()
		if err := p.Swap(t.Context(), id, "big", "big_aside", "big_failed"); err != nil {
			t.Fatal(err)
		}
		t.Logf("%d MB copied in %s, swapped in %s", bytes/1_000_000, copied.Sub(began).Round(time.Millisecond), time.Since(copied).Round(time.Millisecond))
	})
}
