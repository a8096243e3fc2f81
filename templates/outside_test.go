package templates_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/croft-sh/croft/stacks"
)

// TestDataThatCroftDidNotPlace is found where it can be written, and named as
// backup.volumes names it.
func TestDataThatCroftDidNotPlace(t *testing.T) {
	dir := platform(t, []string{"shop", "postgres"}, map[string]string{"stacks/shop/conf/a": "x", "stacks/shop/compose.yaml": `
x-croft:
  stateless: [host]
  secrets: {pw: {generate: 20, rotate: restart}}
  databases: {shop: {engine: postgres, owner: shop, password: pw, service: app}}
  backup: {volumes: {own: skip, /srv/media: skip, ./rows: skip, kept: files, "app:/cache": skip}}
services:
  app:
    image: app:1
    user: "1:1"
    secrets: [pw]
    volumes:
      - own:/a
      - kept:/k
      - nas:/b
      - mine:/c
      - theirs:/d
      - quick:/e
      - /srv/media:/f
      - /srv/read:/g:ro
      - ./conf:/h
      - ./rows:/i
      - /cache
  host: {image: app:1, network_mode: host}
volumes:
  own: {}
  kept: {}
  nas: {driver_opts: {type: nfs4, device: ":/x"}}
  mine: {driver_opts: {type: none, o: bind, device: /srv/mine}}
  theirs: {external: true, name: somewhere}
  quick: {driver_opts: {type: tmpfs, device: tmpfs}}
`})
	s, _ := render(t, load(t, dir)).Stack("shop")
	app, _ := s.Service("app")
	if diff := cmp.Diff([]stacks.RenderedMount{
		{Key: "shop/nas", Volume: "home-shop_nas", Remote: "a file system of kind nfs4"},
		{Key: "shop/mine", Volume: "home-shop_mine", Path: "/srv/mine"},
		{Key: "shop/theirs", Volume: "somewhere"},
		{Key: "/srv/media", Path: "/srv/media"},
	}, app.Mounts); diff != "" {
		t.Errorf("mounts:\n%s", diff)
	}
	if got := strings.Join(s.Disposable, " "); got != ".binds/rows /srv/media app:/cache own" {
		t.Errorf("disposable: %s", got)
	}
	if diff := cmp.Diff([]stacks.RenderedDatabase{{Name: "shop", Engine: "postgres", Service: "app", Server: "postgres", Hub: "postgres"}}, s.Databases); diff != "" {
		t.Errorf("databases:\n%s", diff)
	}
	if host, _ := s.Service("host"); !host.HostNet || !host.Stateless || app.HostNet || app.Stateless {
		t.Errorf("host: %+v", host)
	}
}
