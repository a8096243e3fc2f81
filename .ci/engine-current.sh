#!/usr/bin/env bash
# Runs a command against a current Docker engine, beside whatever engine this
# machine has: its own network namespace, so that the two do not fight over
# iptables, and its own directory, which goes away with it.
#
#   .ci/engine-current.sh make e2e-tests
#
# The engine's programs are made once by the farm (cold: about ten minutes).
# In the namespace there is only loopback: everything must be built before.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { echo "engine-current: $*" >&2; }

if [ "$(id -u)" != 0 ]; then
	say "this starts a second engine, and needs root."
	exit 1
fi
if ! dpkg -s libseccomp-dev pkg-config >/dev/null 2>&1; then
	say "installing libseccomp's headers with apt-get, for runc"
	DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends libseccomp-dev pkg-config >/dev/null
fi
programs=$(go run ./cmd/imagefarm engine)
export PATH=$programs:$PATH

# Under /var/lib, not /tmp: overlayfs wants a real file system below it.
home=$(mktemp -d /var/lib/croft-engine-XXXXXX)
space=croft-engine-$$
ip netns add "$space"
within() { nsenter --net="/run/netns/$space" "$@"; } # ip netns exec would hide the cgroups
within ip link set lo up

pids=()
stop() {
	local pid
	# dockerd first: it ends its containers through containerd.
	for pid in $(printf '%s\n' "${pids[@]}" | tac); do
		kill "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	ip netns delete "$space" || true
	grep -o " $home[^ ]*" /proc/self/mounts | sort -r | xargs -r -n1 umount -l || true
	rm -rf "$home"
}
trap stop EXIT

cat >"$home/containerd.toml" <<EOF
version = 2
root = "$home/containerd"
state = "$home/containerd-state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "$home/containerd.sock"
EOF
within containerd --config "$home/containerd.toml" >"$home/containerd.log" 2>&1 &
pids+=($!)
for _ in $(seq 60); do
	[ -S "$home/containerd.sock" ] && break
	sleep 0.5
done
echo '{}' >"$home/daemon.json" # not this machine's
export DOCKER_HOST=unix://$home/docker.sock
within dockerd --config-file "$home/daemon.json" -H "$DOCKER_HOST" --containerd "$home/containerd.sock" --data-root "$home/data" --exec-root "$home/exec" \
	--pidfile "$home/docker.pid" --default-address-pool base=10.214.0.0/16,size=24 --bip 10.214.250.1/24 \
	>"$home/dockerd.log" 2>&1 &
pids+=($!)
for _ in $(seq 120); do
	docker info >/dev/null 2>&1 && break
	if ! kill -0 "${pids[1]}" 2>/dev/null; then break; fi
	sleep 0.5
done
if ! docker info >/dev/null 2>&1; then
	say "the engine did not start; the end of its logs:"
	tail -n 15 "$home/containerd.log" "$home/dockerd.log" >&2
	exit 1
fi
say "engine $(docker version -f '{{.Server.Version}}'), API $(docker version -f '{{.Server.APIVersion}}'), $(docker info -f '{{.Driver}}')"
within "$@"
