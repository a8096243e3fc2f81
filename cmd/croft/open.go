package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/croft-sh/croft/provision"
	"github.com/croft-sh/croft/tui"
)

type openOptions struct {
	port   uint16
	listen string
}

func newOpen(a *app) *cobra.Command {
	var o openOptions
	cmd := &cobra.Command{
		Use: "open STACK[/SERVICE]", Short: "Reach a service on this machine when its front is down",
		Long: `open listens on this machine and hands every connection on to a container, past
Traefik and past sign-in: whoever can connect here gets in. It prints the
address and goes on until it is interrupted.

The port is that of the stack's address, or the only one the container exposes,
unless --port names another. From elsewhere, reach it through ssh -L.`,
		Example:           "  croft open prometheus\n  croft open postgres --port 5432 --listen 127.0.0.1:5432",
		Args:              wantArgs(1, 1, "a stack or a service"),
		ValidArgsFunction: a.completeServices,
		RunE:              func(cmd *cobra.Command, args []string) error { return runOpen(cmd.Context(), a, args[0], o) },
	}
	cmd.Flags().Uint16Var(&o.port, "port", 0, "`port` of the container (default: that of its address)")
	cmd.Flags().StringVar(&o.listen, "listen", "127.0.0.1:0", "where to listen, `address:port`; port 0 is any that is free")
	return cmd
}

// openView says where the service is reached.
type openView struct {
	Schema  string `json:"schema"` // croft/open/v1
	Stack   string `json:"stack"`
	Service string `json:"service"`
	URL     string `json:"url"`
	Target  string `json:"target"` // address and port of the container
}

func (v openView) text(w io.Writer, _ tui.Style) { fmt.Fprintln(w, v.URL) }

func runOpen(ctx context.Context, a *app, arg string, o openOptions) error {
	if err := onLoopback(o.listen); err != nil {
		return err
	}
	m, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer m.close()
	d := door{m: m, port: o.port}
	if d.arg, err = m.entrance(arg); err != nil {
		return err
	}
	first, v, err := d.dial(ctx)
	if err != nil {
		return err
	}
	_ = first.Close() // it only had to answer
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.listen)
	if err != nil {
		return &refusedError{err: err, hint: "name another address by --listen, or leave it out for a port that is free"}
	}
	v.URL += "://" + l.Addr().String()
	if err := a.print(v, v.text); err != nil {
		return errJoin(err, l.Close())
	}
	a.note("%s/%s, past sign-in: whoever uses this machine gets in; Ctrl-C ends it", v.Stack, v.Service)
	again := func(ctx context.Context) (net.Conn, error) {
		conn, _, err := d.dial(ctx)
		return conn, err
	}
	return forward(ctx, l, again, func(err error) { a.note("warning: %v", err) })
}

// onLoopback refuses to open a way around sign-in to other machines.
func onLoopback(listen string) error {
	addr, err := netip.ParseAddrPort(listen)
	if err != nil {
		return &usageError{err: fmt.Errorf("--listen %q is not ADDRESS:PORT", listen), hint: "as in 127.0.0.1:8080"}
	}
	if !addr.Addr().IsLoopback() {
		return &refusedError{err: fmt.Errorf("--listen %s: other machines would get in past sign-in", listen),
			hint: "listen on 127.0.0.1 and come through ssh -L"}
	}
	return nil
}

// entrance makes STACK mean the one service that has an address, where the stack
// has several services.
func (m *machine) entrance(arg string) (string, error) {
	if strings.Contains(arg, "/") {
		return arg, nil
	}
	all, err := m.prov.Entrances(arg)
	if err != nil || len(all) != 1 {
		return arg, err
	}
	return arg + "/" + all[0].Service, nil
}

// door is a way to one container. It is looked up for each connection, so that
// one that was replaced meanwhile is found.
type door struct {
	m    *machine
	arg  string
	port uint16 // 0: to be found out
}

// openWait is how long a container on this very machine may take to answer.
const openWait = 3 * time.Second

// dial finds the container, and the first of its addresses that answers. The
// view has what is known of it, and the scheme for a URL.
func (d door) dial(ctx context.Context) (net.Conn, openView, error) {
	v := openView{Schema: "croft/open/v1"}
	c, err := d.m.one(ctx, d.arg)
	if err != nil {
		return nil, v, err
	}
	reach, err := d.m.engine.Reach(ctx, c.ID)
	if err != nil {
		return nil, v, err
	}
	entrances, err := d.m.prov.Entrances(c.Stack)
	if err != nil {
		return nil, v, err
	}
	port, scheme, err := portOf(c.Service, d.port, entrances, reach.Ports)
	if err != nil {
		return nil, v, err
	}
	if len(reach.Addresses) == 0 {
		return nil, v, &refusedError{err: fmt.Errorf("%s has no address of its own", d.arg), hint: "open the service whose network it shares"}
	}
	var failures []error
	for _, addr := range reach.Addresses {
		target := netip.AddrPortFrom(addr, port).String()
		conn, err := (&net.Dialer{Timeout: openWait}).DialContext(ctx, "tcp", target)
		if err == nil {
			v.Stack, v.Service, v.URL, v.Target = c.Stack, c.Service, scheme, target
			return conn, v, nil
		}
		failures = append(failures, err)
	}
	return nil, v, &failure{err: fmt.Errorf("%s does not answer on port %d: %w", d.arg, port, errors.Join(failures...)),
		hint: "croft logs " + d.arg + " shows why; --port names another port, and the engine must run on this machine"}
}

// portOf decides on the port: the one asked for, that of the route, the only one
// that is exposed.
func portOf(service string, asked uint16, entrances []provision.Entrance, exposed []uint16) (port uint16, scheme string, err error) {
	for _, e := range entrances {
		if e.Service == service && (asked == 0 || asked == e.Port) {
			return e.Port, e.Scheme, nil
		}
	}
	switch {
	case asked != 0:
		return asked, "tcp", nil
	case len(exposed) == 1:
		return exposed[0], "tcp", nil
	case len(exposed) == 0:
		return 0, "", &usageError{err: fmt.Errorf("%s has no address and exposes no port", service), hint: "name one: --port PORT"}
	}
	words := make([]string, len(exposed))
	for i, p := range exposed {
		words[i] = strconv.Itoa(int(p))
	}
	return 0, "", &usageError{err: fmt.Errorf("%s has no address and exposes several ports", service), hint: "name one: --port " + strings.Join(words, ", --port ")}
}
