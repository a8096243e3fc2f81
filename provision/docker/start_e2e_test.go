//go:build e2e

package docker

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/compose/v5/pkg/api"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/croft-sh/croft/provision"
	"github.com/croft-sh/croft/stacks"
)

// sideBySide brings services up as a first start does.
func (b *bench) sideBySide(ctx context.Context, ev stacks.Events, text string, services ...string) error {
	b.t.Helper()
	write(b.t, b.dir, stacks.ComposeFile, text)
	return b.Engine.Up(ctx, provision.UpRequest{
		File: filepath.Join(b.dir, stacks.ComposeFile), Project: b.project, Services: services, SideBySide: true,
	}, ev)
}

// manyShapes has what the engine can be told about a container, as far as it
// differs between create and start.
func manyShapes(b *bench) string {
	write(b.t, b.dir, "settings", "x")
	return fmt.Sprintf(`
x-base: &base {image: %[1]s, labels: {croft.platform: %[2]s, croft.stack: shop, own: "a=b"}}
services:
  fixed:
    <<: *base
    networks: {front: {aliases: [store, shop.internal], ipv4_address: %[3]s.77, priority: 10}, back: {aliases: [hidden]}, spare: {}}
    ports: ["127.0.0.1:21986:80", "21985:53/udp"]
  twice:
    <<: *base
    scale: 2
    networks: [back]
    volumes: ["data:/data", "/anonymous"]
  tight:
    <<: *base
    networks: [front]
    read_only: true
    tmpfs: [/tmp]
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    mem_limit: 32m
    pids_limit: 20
    cpus: 0.5
    init: true
    user: "1000:1000"
    restart: unless-stopped
    stop_grace_period: 3s
    stop_signal: SIGINT
    hostname: tight
    extra_hosts: ["elsewhere:192.0.2.10"]
    environment: {A: "1", EMPTY: ""}
    configs: [{source: settings, target: /settings}]
    healthcheck: {test: [CMD, /t, exit, "0"], interval: 1s}
    logging: {driver: json-file, options: {max-size: 1m}}
  alone: {<<: *base, network_mode: none}
configs: {settings: {file: ./settings}}
networks:
  front: {name: %[2]s-front, ipam: {config: [{subnet: %[3]s.0/24, ip_range: %[3]s.128/26}]}}
  back: {name: %[2]s-back, internal: true, ipam: {config: [{subnet: %[4]s}]}}
  spare: {name: %[2]s-spare, ipam: {config: [{subnet: %[5]s}]}}
volumes: {data: {name: %[2]s-data}}
`, testImage(b.t, b.Engine, "1"), b.platform, strings.TrimSuffix(subnet(), ".0/24"), subnet(), subnet())
}

// changing is what differs between two containers of one definition.
var changing = regexp.MustCompile(`"(Id|SandboxID|SandboxKey|EndpointID|NetworkID|MacAddress|Created|ResolvConfPath|HostnamePath|HostsPath|LogPath|Data|IPAddress|com.docker.compose.version)": ?("[^"]*"|null|\{[^{}]*\})`)

var hexID = regexp.MustCompile(`[0-9a-f]{12,64}`)

// described gives all the engine knows of the project's containers, by name,
// but for what differs from one container to the next.
func (b *bench) described() map[string]string {
	b.t.Helper()
	list, err := b.projectContainers(b.t.Context(), b.project)
	if err != nil {
		b.t.Fatal(err)
	}
	out := map[string]string{}
	for _, c := range list {
		res, err := b.api.ContainerInspect(b.t.Context(), c.ID, client.ContainerInspectOptions{})
		if err != nil {
			b.t.Fatal(err)
		}
		if !res.Container.State.Running {
			b.t.Errorf("%s does not run", nameOf(c))
		}
		res.Container.State = nil
		slices.Sort(res.Container.Config.Env) // the SDK's order of these is any
		slices.Sort(res.Container.HostConfig.Binds)
		slices.SortFunc(res.Container.Mounts, func(x, y container.MountPoint) int { return strings.Compare(x.Destination, y.Destination) })
		for _, n := range res.Container.NetworkSettings.Networks {
			n.Aliases, n.DNSNames = named(n.Aliases, c.ID), named(n.DNSNames, c.ID)
		}
		raw, err := json.MarshalIndent(res.Container, "", " ")
		if err != nil {
			b.t.Fatal(err)
		}
		text := changing.ReplaceAllString(string(raw), `"$1": …`)
		out[nameOf(c)] = hexID.ReplaceAllString(text, "ID")
	}
	return out
}

// named sorts a container's names on a network, but for the one from its ID.
func named(names []string, id string) []string {
	names = slices.DeleteFunc(names, func(n string) bool { return n == id[:12] })
	slices.Sort(names)
	return names
}

func TestSideBySideGivesWhatComposeGives(t *testing.T) {
	b := newBench(t)
	text := manyShapes(b)
	services := []string{"fixed", "twice", "tight", "alone"}
	b.up(text, services...)
	want := b.described()
	for _, name := range b.projectNames() {
		if err := b.Remove(t.Context(), []string{strings.Fields(name)[0]}); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.sideBySide(t.Context(), nil, text, services...); err != nil {
		t.Fatal(err)
	}
	got := b.described()
	if len(want) != 5 || len(got) != len(want) {
		t.Fatalf("%d containers and %d, want 5", len(want), len(got))
	}
	for name, a := range want {
		if a != got[name] {
			t.Errorf("%s is not the same:\n%s", name, firstDifference(a, got[name]))
		}
	}
	for _, seen := range []string{`"shop.internal"`, `.77"`, `"21986"`} {
		if !strings.Contains(want[b.project+"-fixed-1"], seen) {
			t.Errorf("%s was not compared", seen)
		}
	}
}

func firstDifference(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			from := max(0, i-3)
			return strings.Join(x[from:i+1], "\n") + "\nnow\n" + strings.Join(y[from:i+1], "\n")
		}
	}
	return fmt.Sprintf("%d lines and %d", len(x), len(y))
}

// several is a project of n plain services; extra goes into the third.
func several(b *bench, n int, extra string) (string, []string) {
	text, names := "services:\n", []string{}
	for i := range n {
		names = append(names, fmt.Sprintf("s%d", i))
		text += fmt.Sprintf("  s%d: {image: %q, networks: [n], labels: {croft.platform: %s}", i, testImage(b.t, b.Engine, "1"), b.platform)
		if i == 2 {
			text += extra
		}
		text += "}\n"
	}
	return text + fmt.Sprintf("networks:\n  n: {name: %s-n, ipam: {config: [{subnet: %s}]}}\n", b.platform, subnet()), names
}

func TestSideBySideStartsWhatAKillLeft(t *testing.T) {
	b := newBench(t)
	text, names := several(b, 5, "")
	write(t, b.dir, stacks.ComposeFile, text)
	// The kill comes after the SDK's create: nothing is started yet.
	events := newProgress(func(stacks.Event) {})
	sdk, err := b.sdk(events, &tailBuffer{limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	p, err := load(t.Context(), sdk, request(b, names...))
	if err != nil {
		t.Fatal(err)
	}
	if err := sdk.Create(t.Context(), p, api.CreateOptions{Services: names, Inherit: true, IgnoreOrphans: true}); err != nil {
		t.Fatal(err)
	}
	before := map[string]string{}
	for _, name := range names {
		c := b.container(name)
		if before[name] = c.ID; c.State != "created" {
			t.Fatalf("%s is %s", name, c.State)
		}
	}
	if err := b.sideBySide(t.Context(), nil, text, names...); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if c := b.container(name); !c.Running() || c.ID != before[name] {
			t.Errorf("%s is %s, the same container: %t", name, c.State, c.ID == before[name])
		}
	}
}

func TestSideBySideNamesWhoCannotStart(t *testing.T) {
	b := newBench(t)
	text, names := several(b, 6, `, entrypoint: [/nowhere]`)
	err := b.sideBySide(t.Context(), nil, text, names...)
	if err == nil || !strings.Contains(err.Error(), b.project+"-s2-1") || !strings.Contains(err.Error(), "/nowhere") {
		t.Errorf("got %v", err)
	}
	b.standStill()
	seen, err := b.Inspect(t.Context(), []string{b.container("s2").ID})
	if err != nil || !strings.Contains(seen[0].Error, "/nowhere") {
		t.Errorf("its container does not say it: %+v, %v", seen, err)
	}
}

func TestSideBySideLeavesNoStartBehind(t *testing.T) {
	b := newBench(t)
	text, names := several(b, 12, "")
	ctx, cancel := context.WithCancel(t.Context())
	err := b.sideBySide(ctx, func(e stacks.Event) {
		if strings.Contains(e.Message, "Started") {
			cancel()
		}
	}, text, names...)
	if err == nil || !strings.Contains(err.Error(), "canceled") {
		t.Errorf("cancelled, and got %v", err)
	}
	b.standStill()
	if all := strings.Join(b.projectNames(), "\n"); !strings.Contains(all, "created") || !strings.Contains(all, "running") {
		t.Errorf("it was not cancelled on the way:\n%s", all)
	}
	b.up(text, names...)
}

// standStill fails when containers still change.
func (b *bench) standStill() {
	b.t.Helper()
	before := b.projectNames()
	time.Sleep(2 * time.Second)
	if now := b.projectNames(); !slices.Equal(before, now) {
		b.t.Errorf("a start went on after the end:\n%v\n%v", before, now)
	}
}

func TestSideBySideReplacesWhatRunsOneByOne(t *testing.T) {
	b := newBench(t)
	b.up(oneService(b, "1"), "web")
	old := b.container("web")
	if err := b.sideBySide(t.Context(), nil, oneService(b, "2"), "web"); err != nil {
		t.Fatal(err)
	}
	if got := b.container("web"); got.ID == old.ID || !got.Running() || got.Spec() != "2" {
		t.Errorf("not replaced: %+v", got)
	}
}
