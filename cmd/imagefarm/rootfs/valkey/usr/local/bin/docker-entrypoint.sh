#!/bin/sh
# As in Valkey's image: options or a .conf file are the server's, and root
# hands /data over and steps down.
set -eu
case "${1:-valkey-server}" in
-* | *.conf) set -- valkey-server "$@" ;;
esac
if [ "$1" = valkey-server ] && [ "$(id -u)" = 0 ]; then
	chown -R valkey:valkey /data
	exec setpriv --reuid=valkey --regid=valkey --init-groups "$@"
fi
exec "$@"
