#!/bin/sh
# Takes the variables of the official image: makes the cluster in an empty
# PGDATA, then becomes the command. While the cluster is made, the server
# listens on the unix socket only, so that nobody takes it for ready.
set -eu

file_env() { # the value of $1, or the content of the file named by ${1}_FILE
	eval "value=\${$1:-}; file=\${${1}_FILE:-}"
	if [ -n "$value" ] && [ -n "$file" ]; then
		echo "docker-entrypoint: both $1 and ${1}_FILE are set" >&2
		exit 1
	fi
	[ -z "$file" ] || value=$(cat "$file")
	[ -n "$value" ] || value=${2:-}
	eval "$1=\$value"
	unset "${1}_FILE"
}

make_cluster() {
	file_env POSTGRES_PASSWORD
	file_env POSTGRES_USER postgres
	file_env POSTGRES_DB "$POSTGRES_USER"
	file_env POSTGRES_INITDB_ARGS
	if [ -z "$POSTGRES_PASSWORD" ] && [ "${POSTGRES_HOST_AUTH_METHOD:-}" != trust ]; then
		echo "Error: Database is uninitialized and superuser password is not specified." >&2
		echo "       You must specify POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE." >&2
		exit 1
	fi
	pw=$(mktemp)
	printf '%s\n' "$POSTGRES_PASSWORD" >"$pw"
	eval "set -- $POSTGRES_INITDB_ARGS"
	initdb --username="$POSTGRES_USER" --pwfile="$pw" "$@"
	rm -f "$pw"
	printf '\nhost all all all %s\n' "${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}" >>"$PGDATA/pg_hba.conf"
	# initdb leaves the default that a network server needs to us.
	printf "\nlisten_addresses = '*'\n" >>"$PGDATA/postgresql.conf"

	pg_ctl -D "$PGDATA" -w -o "-c listen_addresses=''" start
	export PGPASSWORD="$POSTGRES_PASSWORD"
	if [ "$POSTGRES_DB" != postgres ]; then
		echo 'CREATE DATABASE :"db";' | psql -v ON_ERROR_STOP=1 --no-password --no-psqlrc \
			-U "$POSTGRES_USER" -d postgres -v db="$POSTGRES_DB"
	fi
	for f in /docker-entrypoint-initdb.d/*; do
		case "$f" in
		*.sql) psql -v ON_ERROR_STOP=1 --no-password --no-psqlrc -U "$POSTGRES_USER" -d "$POSTGRES_DB" -f "$f" ;;
		*.sh) . "$f" ;;
		esac
	done
	unset PGPASSWORD
	pg_ctl -D "$PGDATA" -m fast -w stop
	echo
	echo "PostgreSQL init process complete; ready for start up."
	echo
}

# Only options: they are the server's.
case "${1:-postgres}" in
-*) set -- postgres "$@" ;;
esac

if [ "$1" = postgres ]; then
	if [ -e /var/lib/postgresql/data/PG_VERSION ] || grep -q ' /var/lib/postgresql/data ' /proc/mounts; then
		echo "Error: in 18+, mount the volume at /var/lib/postgresql, not at /var/lib/postgresql/data." >&2
		exit 1
	fi
	if [ "$(id -u)" = 0 ]; then
		mkdir -p "$PGDATA"
		chown -R postgres:postgres "$PGDATA" /run/postgresql
		chmod 0700 "$PGDATA"
		exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
	fi
	mkdir -p "$PGDATA"
	chmod 0700 "$PGDATA" 2>/dev/null || :
	[ -s "$PGDATA/PG_VERSION" ] || (make_cluster)
fi
exec "$@"
