package provision

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Databases copies databases of a running server aside and puts them back. server
// is a container; names are those on the server.
type Databases interface {
	// Size gives the bytes of a database, and whether there is one of that name.
	Size(ctx context.Context, server, name string) (bytes int64, there bool, err error)
	// Copy makes a whole copy with owner, grants and settings. Another copy of
	// that name is replaced. Whoever is connected is disconnected.
	Copy(ctx context.Context, server, from, to string) error
	// Swap puts aside in the place of name, whose old content goes to failed. It
	// happens as a whole or not at all; run again it does nothing.
	Swap(ctx context.Context, server, name, aside, failed string) error
	// Drop removes a database; a missing one is no error.
	Drop(ctx context.Context, server, name string) error
}

// Postgres does it on a PostgreSQL server, with the server's own psql over its
// socket, as the catalogue's setup does. Statements go in by stdin.
type Postgres struct{ Containers Containers }

// psql gives what statements print. They are tried again while somebody, who was
// told to go, is still connected.
func (p Postgres) psql(ctx context.Context, server, statements string) (string, error) {
	// The superuser is the one that the image was told to make.
	cmd := []string{"sh", "-c", `exec psql -X -q -A -t -v ON_ERROR_STOP=1 -U "${POSTGRES_USER:-postgres}" -d postgres -f -`}
	for try := 1; ; try++ {
		got, err := p.Containers.Exec(ctx, server, cmd, strings.NewReader(statements))
		if err != nil {
			return "", err
		}
		if got.ExitCode == 0 {
			return strings.TrimSpace(got.Stdout), nil
		}
		text := strings.TrimSpace(got.Stderr)
		if try == 4 || !strings.Contains(text, "is being accessed by other users") && !strings.Contains(text, "already exists") {
			return "", fmt.Errorf("psql ended with exit code %d: %s", got.ExitCode, lastLines(text, 3))
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(time.Duration(try) * time.Second):
		}
	}
}

// literal and identifier quote for SQL.
func literal(s string) string    { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
func identifier(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

// Size asks the server.
func (p Postgres) Size(ctx context.Context, server, name string) (int64, bool, error) {
	out, err := p.psql(ctx, server, "SELECT pg_database_size(oid) FROM pg_database WHERE datname = "+literal(name)+";\n")
	if err != nil || out == "" {
		return 0, false, err
	}
	bytes, err := strconv.ParseInt(out, 10, 64)
	return bytes, err == nil, err
}

// freed ends the sessions of an earlier run that was killed, which works on in the
// server, and whoever is connected to the database.
func freed(name string) string {
	me := "croft " + name
	if len(me) > 63 {
		me = me[:63] // as the server does
	}
	return fmt.Sprintf(`SET application_name = %[1]s;
SELECT 1 FROM pg_stat_activity, pg_terminate_backend(pid)
  WHERE pid <> pg_backend_pid() AND (application_name = %[1]s OR datname = %[2]s) \g /dev/null
`, literal(me), literal(name))
}

// Copy makes the copy as PostgreSQL does it itself, from a template, by files where
// it can choose: else all of it would go through the log as well. What is kept
// outside of the database is set again: owner, grants, settings, limit.
func (p Postgres) Copy(ctx context.Context, server, from, to string) error {
	src, dst := literal(from), literal(to)
	_, err := p.psql(ctx, server, freed(from)+"DROP DATABASE IF EXISTS "+identifier(to)+";\n"+
		`SELECT format('CREATE DATABASE %I TEMPLATE %I OWNER %I CONNECTION LIMIT %s', `+dst+`, datname, pg_get_userbyid(datdba), datconnlimit)
  || CASE WHEN current_setting('server_version_num')::int >= 150000 THEN ' STRATEGY FILE_COPY' ELSE '' END
  FROM pg_database WHERE datname = `+src+` \gexec
SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', `+dst+`) FROM pg_database WHERE datname = `+src+` AND datacl IS NOT NULL \gexec
SELECT format('GRANT %s ON DATABASE %I TO %s%s', a.privilege_type, `+dst+`,
    CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END, CASE WHEN a.is_grantable AND a.grantee <> datdba THEN ' WITH GRANT OPTION' ELSE '' END)
  FROM pg_database, aclexplode(datacl) a WHERE datname = `+src+` \gexec
`+settings(src, dst))
	return err
}

// settings sets again what ALTER DATABASE and ALTER ROLE IN DATABASE had set. The
// value of a list is kept as it must be written; any other is a text.
func settings(src, dst string) string {
	return `SELECT CASE s.setrole WHEN 0 THEN format('ALTER DATABASE %I SET ', ` + dst + `)
    ELSE format('ALTER ROLE %I IN DATABASE %I SET ', pg_get_userbyid(s.setrole), ` + dst + `) END
    || quote_ident(split_part(one, '=', 1)) || ' TO '
    || CASE WHEN split_part(one, '=', 1) IN ('search_path', 'temp_tablespaces', 'local_preload_libraries', 'session_preload_libraries')
         THEN coalesce(nullif(substr(one, strpos(one, '=') + 1), ''), '''''') ELSE quote_literal(substr(one, strpos(one, '=') + 1)) END
  FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase, unnest(s.setconfig) one
  WHERE d.datname = ` + src + ` \gexec
`
}

// Swap renames both in one transaction.
func (p Postgres) Swap(ctx context.Context, server, name, aside, failed string) error {
	_, there, err := p.Size(ctx, server, name)
	if err != nil {
		return err
	}
	_, copied, err := p.Size(ctx, server, aside)
	switch {
	case err != nil:
		return err
	case !copied && there:
		return nil
	case !copied:
		return fmt.Errorf("neither database %s nor its copy %s is there", name, aside)
	}
	statements := freed(name) + freed(aside) + "DROP DATABASE IF EXISTS " + identifier(failed) + ";\nBEGIN;\n"
	if there {
		statements += "ALTER DATABASE " + identifier(name) + " RENAME TO " + identifier(failed) + ";\n"
	}
	_, err = p.psql(ctx, server, statements+"ALTER DATABASE "+identifier(aside)+" RENAME TO "+identifier(name)+";\nCOMMIT;\n")
	return err
}

// Drop ends whoever is connected, too.
func (p Postgres) Drop(ctx context.Context, server, name string) error {
	_, err := p.psql(ctx, server, freed(name)+"DROP DATABASE IF EXISTS "+identifier(name)+";\n")
	return err
}
