#!/bin/sh
# Brings the platform home up with plain Docker Compose. May be run again and
# again. COMPOSE names another program than "docker compose".
set -eu
cd "$(dirname "$0")"
compose=${COMPOSE:-docker compose}

# network NAME SUBNET GATEWAY RANGE PROJECT KEY [OPTION]: stacks serve each other
# both ways, so the networks between them come first. The labels make each the
# one that its own project declares.
network() {
	name=$1 subnet=$2 gateway=$3 range=$4 project=$5 key=$6
	shift 6
	docker network inspect "$name" >/dev/null 2>&1 && return
	docker network create --subnet "$subnet" --gateway "$gateway" --ip-range "$range" \
		--label "com.docker.compose.project=$project" --label "com.docker.compose.network=$key" "$@" "$name" >/dev/null
}

up() {
	echo "$1"
	$compose -f "$1/compose.yaml" up -d
}

# setup STACK SERVICE COMMAND...: changes nothing the second time; tried until
# the service takes it.
setup() {
	stack=$1 service=$2
	shift 2
	tries=0
	until $compose -f "$stack/compose.yaml" exec -T "$service" "$@" >/dev/null; do
		tries=$((tries + 1))
		if [ "$tries" -ge 30 ]; then
			echo "$stack/$service: setup failed: $1" >&2
			return 1
		fi
		sleep 2
	done
}

network home-authelia-front 10.213.81.192/27 10.213.81.193 10.213.81.208/28 home-authelia croft-front --internal
network home-authelia-metrics 10.213.81.224/27 10.213.81.225 10.213.81.240/28 home-authelia croft-metrics --internal
network home-authelia-postgres 10.213.82.0/27 10.213.82.1 10.213.82.16/28 home-authelia croft-postgres --internal
network home-authelia-valkey 10.213.82.32/27 10.213.82.33 10.213.82.48/28 home-authelia croft-valkey --internal
network home-hello-front 10.213.82.96/27 10.213.82.97 10.213.82.112/28 home-hello croft-front --internal
network home-prometheus-front 10.213.82.192/27 10.213.82.193 10.213.82.208/28 home-prometheus croft-front --internal
network home-traefik-metrics 10.213.83.0/27 10.213.83.1 10.213.83.16/28 home-traefik croft-metrics --internal

up postgres
setup postgres postgres psql -X -q -v ON_ERROR_STOP=1 -U postgres -d postgres -f /run/secrets/databases.sql
up traefik
up valkey
setup valkey valkey sh -c 'REDISCLI_AUTH="$(cat /run/secrets/valkey_admin)" exec valkey-cli -e --no-auth-warning --user admin ACL LOAD'
up authelia
up hello
up prometheus
