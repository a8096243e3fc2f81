package templates

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/traefik/paerser/parser"

	"github.com/croft-sh/croft/stacks"
)

// The part of Traefik's dynamic configuration that croft writes as labels; the
// names are Traefik's own (https://doc.traefik.io/traefik/reference/dynamic-configuration/docker/).
type dynamic struct {
	HTTP *httpConfig
}

type httpConfig struct {
	Routers     map[string]*router     `json:",omitempty"`
	Services    map[string]*service    `json:",omitempty"`
	Middlewares map[string]*middleware `json:",omitempty"`
}

type router struct {
	EntryPoints []string
	Rule        string
	Service     string
	Middlewares []string
	Priority    int
	TLS         *struct{} `label:"allowEmpty"`
}

type service struct{ LoadBalancer *loadBalancer }

type loadBalancer struct{ Server *server }

type server struct{ Scheme, Port string }

type middleware struct{ Buffering *buffering }

type buffering struct{ MaxRequestBodyBytes int64 }

// Middlewares that the stack serving routes defines in its own files.
const (
	authMiddleware  = "authelia@file"
	loginMiddleware = "login-ratelimit@file"
)

// routeLabels makes Traefik route to the service. Labels of the author's that
// speak to Traefik are dropped here: routes are declared, never smuggled in.
func (r *renderer) routeLabels(s *stacks.Stack, name string, svc *types.ServiceConfig) error {
	var routes []stacks.Route
	for _, route := range r.in.Desired.Routes {
		if route.Stack == s.Name && route.Service == name {
			routes = append(routes, route)
		}
	}
	if len(routes) == 0 {
		return nil
	}
	labels := types.Labels{}
	for k, v := range svc.Labels {
		if !strings.HasPrefix(strings.ToLower(k), "traefik.") {
			labels[k] = v
		}
	}
	conf := dynamic{HTTP: &httpConfig{Routers: map[string]*router{}, Services: map[string]*service{}, Middlewares: map[string]*middleware{}}}
	for _, route := range routes {
		r.addRoute(conf.HTTP, s, route)
	}
	node, err := parser.EncodeToNode(conf, "traefik", parser.EncoderToNodeOpts{OmitEmpty: true, TagName: "label", AllowSliceAsStruct: true})
	if err != nil {
		return fmt.Errorf("routes of service %s: %w", name, err)
	}
	for k, v := range parser.EncodeNode(node) {
		labels[labelCase(k)] = v
	}
	labels["traefik.enable"] = "true"
	labels["traefik.docker.network"] = r.engineName(s.Name + "-front")
	labels[stacks.LabelRoute] = r.in.Desired.Platform.Name
	svc.Labels = labels
	return nil
}

// labelCase writes Traefik's option names as its documentation does. Names of
// routers and services are lower case already, so nothing of ours changes.
func labelCase(label string) string {
	parts := strings.Split(label, ".")
	for i, p := range parts {
		if p == strings.ToUpper(p) {
			parts[i] = strings.ToLower(p)
			continue
		}
		parts[i] = strings.ToLower(p[:1]) + p[1:]
	}
	return strings.Join(parts, ".")
}

// addRoute adds a router for the address, and one of higher priority for each
// path with another access.
func (r *renderer) addRoute(h *httpConfig, s *stacks.Stack, route stacks.Route) {
	name := r.in.Desired.Platform.Name + "-" + s.Name + "-" + route.Name
	h.Services[name] = &service{LoadBalancer: &loadBalancer{Server: &server{Scheme: route.Scheme, Port: strconv.Itoa(int(route.Port))}}}
	var common []string
	if route.BodyBytes > 0 {
		h.Middlewares[name] = &middleware{Buffering: &buffering{MaxRequestBodyBytes: route.BodyBytes}}
		common = append(common, name)
	}
	if s.X != nil && serves(s, "auth") {
		common = append(common, loginMiddleware)
	}
	host := "Host(`" + route.Host + "`)"
	h.Routers[name] = &router{
		EntryPoints: []string{"websecure"}, Rule: host, Service: name, TLS: &struct{}{},
		Middlewares: chain(common, route.Access), Priority: 1000,
	}
	for i, p := range route.Paths {
		rule := host + " && " + pathRule(p.Prefix)
		if strictness(p.Access) < strictness(route.Access) {
			rule += " && " + plainPath
		}
		h.Routers[name+"-"+strconv.Itoa(i)] = &router{
			EntryPoints: []string{"websecure"}, Rule: rule,
			Service: name, TLS: &struct{}{}, Middlewares: chain(common, p.Access), Priority: 2000 + len(p.Prefix),
		}
	}
}

// plainPath keeps encoded slashes, backslashes and path parameters off a looser
// path: many programs decode /open/..%2fadmin to /admin after Traefik judged it
// by its prefix. Such a request falls back to the router of the whole address.
const plainPath = "!PathRegexp(`(?i)%2f|%5c|;|\\\\`)"

func pathRule(prefix string) string {
	prefix = strings.TrimSuffix(prefix, "/")
	if prefix == "" {
		return "PathPrefix(`/`)"
	}
	return "(Path(`" + prefix + "`) || PathPrefix(`" + prefix + "/`))"
}

// strictness orders accesses from the most open.
func strictness(a stacks.Access) int {
	switch a {
	case stacks.AccessPublic, stacks.AccessAppLogin:
		return 0
	case stacks.AccessLogin:
		return 1
	case stacks.AccessAdmin:
		return 3
	}
	return 2
}

// chain gives the middlewares of a router: every router has authentication
// unless its access says that nobody, or the program itself, asks.
func chain(common []string, access stacks.Access) []string {
	out := append([]string(nil), common...)
	if (stacks.Route{Access: access}).Protected() {
		out = append(out, authMiddleware)
	}
	return out
}

func serves(s *stacks.Stack, what string) bool {
	for _, w := range s.X.Serves {
		if w == what {
			return true
		}
	}
	return false
}

func parsePort(text string) uint16 {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0
	}
	return uint16(n)
}
