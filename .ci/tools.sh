#!/usr/bin/env bash
# Installs what single tests look at the machine with: strace for what is written
# out when, systemd's own judge for the units. Without root, or without apt-get,
# those tests say that they were skipped.
set -euo pipefail

missing=()
command -v strace >/dev/null || missing+=(strace)
command -v systemd-analyze >/dev/null || missing+=(systemd)
if [ ${#missing[@]} = 0 ] || [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
	exit 0
fi
echo "tools: installing ${missing[*]} with apt-get" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get install -y -q --no-install-recommends "${missing[@]}" >/dev/null 2>&1 || {
	apt-get update -q >/dev/null
	apt-get install -y -q --no-install-recommends "${missing[@]}" >/dev/null
}
