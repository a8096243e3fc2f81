#!/usr/bin/env bash
# Makes sure that a Docker engine answers: nothing to do where one does;
# otherwise starts an installed one, and installs Debian's or Ubuntu's first
# where this is root. Safe to run again.
set -euo pipefail

say() { echo "engine: $*" >&2; }
answers() { docker info >/dev/null 2>&1; }
installed() { command -v docker >/dev/null && command -v dockerd >/dev/null; }

wait_for_answer() {
	for _ in $(seq "$1"); do
		answers && return
		sleep 1
	done
	return 1
}

if answers; then
	exit 0
fi
if [ "$(id -u)" != 0 ]; then
	say "no Docker engine answers this user."
	say "hint: start one and join its group (sudo usermod -aG docker $(id -un), then sign in again), or run this as root"
	exit 1
fi
if ! installed; then
	if ! command -v apt-get >/dev/null; then
		say "Docker is not installed, and this is neither Debian nor Ubuntu."
		say "hint: install Docker Engine 20.10 or newer, then run this again"
		exit 1
	fi
	say "installing docker.io with apt-get"
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -q >/dev/null
	apt-get install -y -q --no-install-recommends docker.io docker-cli iptables >/dev/null 2>&1 ||
		apt-get install -y -q --no-install-recommends docker.io iptables >/dev/null
fi
if [ -d /run/systemd/system ]; then
	say "starting docker.service"
	systemctl enable --now docker.service >/dev/null 2>&1 || true
	wait_for_answer 60 && exit 0
	say "docker.service does not answer."
	say "hint: journalctl -u docker.service -n 50"
	exit 1
fi

log=/var/log/croft-dockerd.log
start() {
	say "starting dockerd $* (no systemd here); log: $log"
	setsid dockerd "$@" >>"$log" 2>&1 </dev/null &
	local pid=$!
	for _ in $(seq 60); do
		answers && return 0
		kill -0 "$pid" 2>/dev/null || return 1
		sleep 1
	done
	return 1
}
if pid=$(cat /var/run/docker.pid 2>/dev/null) && kill -0 "$pid" 2>/dev/null; then
	say "dockerd is running already (process $pid); waiting for it"
	wait_for_answer 60 && exit 0
	say "dockerd does not answer."
	say "hint: look at its log, or end process $pid and run this again"
	exit 1
fi
start && exit 0
# Inside a container the kernel refuses overlay on overlay.
if ! grep -q storage-driver /etc/docker/daemon.json 2>/dev/null; then
	start --storage-driver=vfs && exit 0
fi
say "dockerd did not start; the end of $log:"
tail -n 20 "$log" >&2
exit 1
