#!/usr/bin/env bash
# The demo platform. Everything it writes is below $CROFT_DEMO_DIR (default
# ~/croft-demo): platform/, state/ and data/. `up` may be run again: it keeps
# what is there and makes it healthy. `down` removes it with its data.
set -euo pipefail
cd "$(dirname "$0")/.."

home=${CROFT_DEMO_DIR:-$HOME/croft-demo}
name=demo
export CROFT_DIR=$home/platform CROFT_STATE=$home/state
croft=$PWD/bin/croft

say() { echo "demo: $*" >&2; }

taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# port gives the first of its arguments that nobody listens on.
port() {
	for p in "$@"; do
		if ! taken "$p"; then
			echo "$p"
			return
		fi
	done
	say "none of the ports $* is free on 127.0.0.1."
	say "hint: stop what listens there (ss -ltnp)"
	return 1
}

up() {
	if [ ! -e "$CROFT_DIR/croft.yaml" ]; then
		https=$(port 443 8443 9443 10443)
		http=$(port 80 8080 9080 10080)
		say "making a platform in $CROFT_DIR, on the ports $https and $http of 127.0.0.1"
		mkdir -p "$CROFT_DIR"
		# Without a terminal the first password is kept in a file, not shown once:
		# a demo that is run again can still tell where it is.
		setsid --wait "$croft" init --defaults -q \
			--set name=$name --set admin.name=ada --set admin.email=ada@example.com \
			--set stacks.traefik.options.HTTPS_PORT="$https" --set stacks.traefik.options.HTTP_PORT="$http" \
			--set storage.containers="$home/data/containers" --set storage.projects="$home/data/projects" \
			--set storage.databases="$home/data/databases" </dev/null >/dev/null
	fi
	"$croft" apply -y
	"$croft" status
	login=$CROFT_STATE/first-login.txt
	cat <<END

The platform is up. Nothing of it can be reached from other machines.

  open       $(address)
  name       ada
END
	if [ -e "$login" ]; then
		echo "  password   $(sed -n 's/^password: //p' "$login")   (in $login)"
	else
		echo "  password   yours; a new one: croft user password ada"
	fi
	cat <<END
  2nd factor croft user totp ada   (shows a code to scan, and checks it)
  browser    import $CROFT_STATE/authority.pem, or accept the warning

For these commands, in a shell of yours:

  export PATH=$PWD/bin:\$PATH CROFT_DIR=$CROFT_DIR CROFT_STATE=$CROFT_STATE

and make demo-down removes it all.
END
}

# address is that of the hello stack.
address() {
	"$croft" status -o json | sed -n 's/.*"url": "\(https:\/\/hello[^"]*\)".*/\1/p' | head -n 1
}

down() {
	if [ ! -e "$CROFT_DIR/croft.yaml" ]; then
		say "there is no demo in $home"
		return
	fi
	volumes=$(docker volume ls -q --filter "name=^$name-" | paste -sd, -)
	"$croft" destroy -y ${volumes:+--volume "$volumes"}
	run=/run/croft/$name
	if mountpoint -q "$run"; then
		umount "$run"
	fi
	rmdir "$run" 2>/dev/null || true
	rm -rf "$home"
	say "removed $home"
}

case "${1:-}" in
up | down) "$1" ;;
*)
	echo "usage: $0 up|down" >&2
	exit 4
	;;
esac
