package templates

import (
	"fmt"
	"strings"

	"github.com/croft-sh/croft/stacks"
)

const scriptHead = `#!/bin/sh
# Brings the platform %[1]s up with plain Docker Compose. May be run again and
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

`

// script is up.sh: networks, then the stacks, each after those it needs.
func (e *ejecter) script() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, scriptHead, e.r.Platform)
	for _, n := range e.r.Networks {
		o, ok := e.owners[n.Name]
		if !ok {
			continue
		}
		option := ""
		if n.Internal {
			option = " --internal"
		}
		fmt.Fprintf(&b, "network %s %s %s %s %s %s%s\n", n.Name, n.Subnet, n.Gateway, n.Range, o.project, o.key, option)
	}
	b.WriteString("\n")
	for _, s := range e.r.Stacks {
		fmt.Fprintf(&b, "up %s\n", s.Name)
		for _, cmd := range s.Setup {
			fmt.Fprintf(&b, "setup %s %s", s.Name, cmd.Service)
			for _, word := range cmd.Command {
				b.WriteString(" " + shellQuote(word))
			}
			b.WriteString("\n")
		}
	}
	return []byte(b.String())
}

// shellQuote makes one word of sh of any text.
func shellQuote(s string) string {
	plain := s != "" && strings.IndexFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./=:,", r))
	}) < 0
	if plain {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// readme says how to go on without croft.
func (e *ejecter) readme() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, `# %[1]s without croft

Every directory here is an ordinary Compose project. Nothing in it needs croft:
secrets are files, networks and volumes are declared, and what runs comes back
after a restart of the machine by itself.

    ./up.sh                                          # all of it, as root
    docker compose -f STACK/compose.yaml up -d       # one, once the networks exist
    COMPOSE=docker-compose ./up.sh                   # with another program

`, e.r.Platform)
	b.WriteString("Order, each after what it needs:\n\n")
	for i, s := range e.r.Stacks {
		fmt.Fprintf(&b, "%d. `%s`, project `%s`\n", i+1, s.Name, s.Project)
	}
	if len(e.r.Networks) > 0 {
		b.WriteString("\nNetworks between stacks. The project of the first declares it, the others list it as external;\n" +
			"`up.sh` makes those that are missing before anything starts, because stacks serve each other both ways.\n" +
			"Where they are still those of croft, Compose warns that it did not make them, and uses them as they are.\n\n")
	}
	for _, n := range e.r.Networks {
		o, ok := e.owners[n.Name]
		if !ok {
			continue
		}
		others := make([]string, len(n.Hubs))
		for i, h := range n.Hubs {
			others[i] = h.Stack + "/" + h.Service
		}
		fmt.Fprintf(&b, "- `%s` (%s): %s\n", n.Name, n.Subnet, strings.Join(append([]string{o.stack}, others...), ", "))
	}
	e.readmeData(&b)
	return []byte(b.String())
}

func (e *ejecter) readmeData(b *strings.Builder) {
	if len(e.out.Data) > 0 {
		b.WriteString("\nData stays where it is. Leave the volumes in `compose.yaml` as they are, labels too: Compose\n" +
			"offers to make a changed volume anew. Never answer yes to that.\n\n")
	}
	for _, dir := range e.out.Data {
		fmt.Fprintf(b, "- `%s`\n", dir)
	}
	b.WriteString(`
Secrets lie in the clear in ` + "`STACK/secrets/SERVICE/`" + `, each readable to its reader and root alone. Keep this
directory as you would keep a key; a backup of it holds every password.

What croft did and nobody does now: renewing the certificate of its own authority, moving to new images,
taking a failed change back, backups. The label ` + "`" + stacks.LabelRoute + "`" + ` stays, because Traefik shows only what carries it.
`)
}
