//go:build e2e

package docker

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/docker/compose/v5/pkg/api"
	"github.com/moby/moby/client"

	"github.com/croft-sh/croft/stacks"
)

// leave puts the project where a kill -9 in the middle of a replacement leaves it.
func (b *bench) leave(name, label string, started bool) string {
	b.t.Helper()
	ctx := b.t.Context()
	old := b.container("web")
	res, err := b.api.ContainerInspect(ctx, old.ID, client.ContainerInspectOptions{})
	if err != nil {
		b.t.Fatal(err)
	}
	config := *res.Container.Config
	config.Labels = map[string]string{}
	for k, v := range res.Container.Config.Labels {
		config.Labels[k] = v
	}
	config.Labels[stacks.LabelSpec] = label
	made, err := b.api.ContainerCreate(ctx, client.ContainerCreateOptions{
		Name: name, Config: &config, HostConfig: res.Container.HostConfig,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	if started {
		if err := b.Start(ctx, []string{made.ID}); err != nil {
			b.t.Fatal(err)
		}
	}
	return made.ID
}

func oneService(b *bench, spec string) string {
	return fmt.Sprintf(`services:
  web:
    image: %s
    labels: {croft.platform: %s, croft.stack: shop, croft.spec: "%s"}
    network_mode: none
`, testImage(b.t, b.Engine, "1"), b.platform, spec)
}

func TestUpHealsANeverStartedLeftover(t *testing.T) {
	b := newBench(t)
	b.up(oneService(b, "1"), "web")
	old := b.container("web")
	left := b.leave(old.ID[:12]+"_"+old.Name, "2", false)
	b.up(oneService(b, "1"), "web")
	if got := b.container("web"); got.ID != old.ID || got.Name != b.project+"-web-1" {
		t.Errorf("want the old container alone, have %+v", got)
	}
	if _, err := b.api.ContainerInspect(t.Context(), left, client.ContainerInspectOptions{}); !isNotFound(err) {
		t.Errorf("the leftover is there: %v", err)
	}
}

func TestUpHealsALeftoverThatTookOver(t *testing.T) {
	b := newBench(t)
	b.up(oneService(b, "1"), "web")
	old := b.container("web")
	left := b.leave(old.ID[:12]+"_"+old.Name, "2", true)
	if err := b.Remove(t.Context(), []string{old.ID}); err != nil {
		t.Fatal(err)
	}
	b.up(oneService(b, "1"), "web")
	got := b.container("web")
	if got.Name != b.project+"-web-1" {
		t.Errorf("the name was not healed: %+v", got)
	}
	if got.ID != left {
		t.Errorf("it was replaced, not renamed: %v", b.projectNames())
	}
}

func TestUpKeepsAVolumeWhoseOptionsChanged(t *testing.T) {
	b := newBench(t)
	text := func(size string) string {
		return fmt.Sprintf(`services:
  web:
    image: %s
    network_mode: none
    volumes: ["data:/data"]
volumes:
  data: {name: %s-data, driver_opts: {type: tmpfs, device: tmpfs, o: size=%s}}
`, testImage(t, b.Engine, "1"), b.platform, size)
	}
	b.up(text("1m"), "web")
	id := b.container("web").ID
	b.up(text("2m"), "web")
	if b.container("web").ID != id {
		t.Error("the container was replaced")
	}
	state, err := b.Observe(t.Context(), b.platform)
	if err != nil || len(state.Volumes) != 1 || state.Volumes[0].Options["o"] != "size=1m" {
		t.Errorf("volumes are %+v, %v", state.Volumes, err)
	}
	for _, e := range b.events {
		if e.State == stacks.Warning && strings.Contains(e.Message, "kept as it is") {
			return
		}
	}
	t.Errorf("nobody was told: %+v", b.events)
}

func twoOnANetwork(b *bench, subnet, range_ string) string {
	return fmt.Sprintf(`services:
  a:
    image: %[1]s
    networks: {own: {aliases: [store], ipv4_address: %[2]s.77}}
  b:
    image: %[1]s
    networks: [own]
networks:
  own: {name: %[3]s-own, ipam: {config: [{subnet: %[2]s.0/24, ip_range: %[2]s.%[4]s}]}}
`, testImage(b.t, b.Engine, "1"), subnet, b.platform, range_)
}

func TestUpReplacesAChangedNetworkWithItsNames(t *testing.T) {
	b := newBench(t)
	net := strings.TrimSuffix(subnet(), ".0/24")
	b.up(twoOnANetwork(b, net, "128/26"), "a", "b")
	before := b.container("a").ID

	err := b.try(twoOnANetwork(b, net, "192/26"), "a")
	if err == nil || !strings.Contains(err.Error(), b.project+"-b-1") {
		t.Errorf("half of a network gave %v", err)
	}
	if b.container("a").ID != before {
		t.Error("a was touched")
	}
	taken := stacks.SharedNetwork{Name: b.platform + "-taken", Key: "taken", Subnet: subnet()}
	if err := b.CreateNetwork(t.Context(), b.platform, taken); err != nil {
		t.Fatal(err)
	}
	err = b.try(twoOnANetwork(b, strings.TrimSuffix(taken.Subnet, ".0/24"), "128/26"), "a", "b")
	if err == nil || !strings.Contains(err.Error(), taken.Name) || b.container("a").ID != before {
		t.Errorf("a subnet that is taken gave %v", err)
	}
	b.up(twoOnANetwork(b, net, "192/26"), "a", "b")
	if got := b.exec("b", "lookup", "store"); !strings.Contains(got, net+".77") {
		t.Errorf("the alias and the fixed address are lost: %s", got)
	}
}

func TestUpReplacesWhenATagMoved(t *testing.T) {
	b := newBench(t)
	ref := testImage(t, b.Engine, "moving")
	text := fmt.Sprintf("services:\n  web: {image: %q, network_mode: none}\n", ref)
	b.up(text, "web")
	old := b.container("web")
	images.Store(old.ImageID, true)
	importImage(t, b.Engine, ref, "moved")
	state, err := b.Observe(t.Context(), b.platform)
	if err != nil || state.Images[ref] == old.ImageID || state.Of(b.project, "web")[0].ImageID != old.ImageID {
		t.Errorf("the move is not seen: %+v, %v", state.Containers, err)
	}
	b.up(text, "web")
	if got := b.container("web"); got.ID == old.ID || got.ImageID != state.Images[ref] {
		t.Errorf("not replaced: %+v", got)
	}
}

func TestUpIsNotChangedByTheEnvironment(t *testing.T) {
	t.Setenv("COMPOSE_COMPATIBILITY", "1")
	t.Setenv("COMPOSE_PROFILES", "other")
	b := newBench(t)
	b.up(oneService(b, "1"), "web")
	if got := b.container("web").Name; got != b.project+"-web-1" {
		t.Errorf("the container is named %s", got)
	}
	if api.Separator != "-" {
		t.Errorf("the separator is now %q", api.Separator)
	}
}

func TestUpWaitsForADependencyAndIsCancelled(t *testing.T) {
	b := newBench(t)
	text := fmt.Sprintf(`services:
  db:
    image: %[1]s
    network_mode: none
    healthcheck: {test: [CMD, /t, exit, "1"], interval: 1s, retries: 1000}
  web:
    image: %[1]s
    network_mode: none
    depends_on: {db: {condition: service_healthy}}
`, testImage(t, b.Engine, "1"))
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	b.up(text, "db")
	err := b.Engine.Up(ctx, request(b, "db", "web"), nil)
	if err == nil || ctx.Err() == nil {
		t.Errorf("it did not wait, or gave no error: %v", err)
	}
	if !strings.Contains(err.Error(), "deadline") {
		t.Errorf("got %v", err)
	}
	// Named alone, web does not wait.
	b.up(text, "web")
	if !b.container("web").Running() {
		t.Error("web does not run")
	}
}

func TestUpBuilds(t *testing.T) {
	b := newBench(t)
	image := b.project + "-built"
	write(t, b.dir, "ctx/Dockerfile", "FROM "+testImage(t, b.Engine, "1")+"\nCOPY word /word\n")
	write(t, b.dir, "ctx/word", "x")
	images.Store(image, true)
	text := "services:\n  built: {build: ./ctx, network_mode: none}\n"
	b.up(text, "built")
	if c := b.container("built"); !c.Running() {
		t.Errorf("it does not run: %+v", c)
	}
	write(t, b.dir, "bad/Dockerfile", "FROM "+testImage(t, b.Engine, "1")+"\nCOPY nothing /word\n")
	err := b.try("services:\n  other: {build: ./bad, network_mode: none}\n", "other")
	if err == nil || !strings.Contains(err.Error(), "nothing") {
		t.Errorf("a failing build gave %v", err)
	}
}

func TestUpTellsWhoHoldsThePort(t *testing.T) {
	b := newBench(t)
	text := func(service string) string {
		return fmt.Sprintf("services:\n  %s: {image: %q, ports: [\"127.0.0.1:21987:80\"], networks: [n]}\nnetworks:\n  n: {name: %s-n, ipam: {config: [{subnet: 10.213.250.0/24}]}}\n",
			service, testImage(t, b.Engine, "1"), b.platform)
	}
	b.up(text("first"), "first")
	err := b.try(text("second"), "second")
	if err == nil || hintOf(err) == "" {
		t.Errorf("got %v with hint %q", err, hintOf(err))
	}
	for _, e := range b.events {
		if e.Service != "first" && e.Service != "second" && e.Service != "" {
			t.Errorf("an event of nobody: %+v", e)
		}
	}
}
