package main

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"slices"
)

// gate decides about every request: who asks, by what method, for what path.
// The query takes no part in it.
type gate struct {
	options
	resolve func(context.Context, string) ([]net.IPAddr, error)
	log     *slog.Logger
	next    http.Handler
}

func (g gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	patterns, known := g.allowed[r.Method]
	switch {
	case !g.clientAllowed(r):
		g.refuse(w, r, "forbidden IP", http.StatusForbidden)
	case !known:
		g.refuse(w, r, "method not allowed", http.StatusMethodNotAllowed)
	case !slices.ContainsFunc(patterns, func(p *regexp.Regexp) bool { return p.MatchString(r.URL.Path) }):
		g.refuse(w, r, "path not allowed", http.StatusForbidden)
	default:
		g.log.Debug("allowed request", "method", r.Method, "URL", r.URL.String(), "client", r.RemoteAddr)
		g.next.ServeHTTP(w, r)
	}
}

func (g gate) refuse(w http.ResponseWriter, r *http.Request, reason string, status int) {
	g.log.Warn("blocked request", "reason", reason, "method", r.Method, "URL", r.URL.String(), "client", r.RemoteAddr,
		"response", status)
	http.Error(w, http.StatusText(status), status)
}

// clientAllowed looks names up for every request: a container that comes back
// has another address.
func (g gate) clientAllowed(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	client := net.ParseIP(host)
	if client == nil {
		return false
	}
	for _, allowed := range g.allowFrom {
		if _, network, err := net.ParseCIDR(allowed); err == nil {
			if network.Contains(client) {
				return true
			}
			continue
		}
		addresses, err := g.resolve(r.Context(), allowed)
		if err != nil {
			g.log.Warn("error looking up allowed client hostname", "hostname", allowed, "error", err)
		}
		if slices.ContainsFunc(addresses, func(a net.IPAddr) bool { return a.IP.Equal(client) }) {
			return true
		}
	}
	return false
}
