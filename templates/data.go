package templates

import "github.com/croft-sh/croft/stacks"

// Data is what a stack's *.tmpl file sees. It is a promise to everybody who
// wrote a stack: fields are added, never renamed or removed.
//
// Functions beside those of text/template: quote (a YAML/JSON string), yaml
// (any value as flow YAML), indent N, join, split, lower, has, default.
// In a template named by a secret also: secret "name" (this stack's, or
// "stack/name"), scram "name" "role" (PostgreSQL verifier).
type Data struct {
	Platform  Platform
	Stack     string
	Options   map[string]string
	Addresses map[string]string // from x-croft.addresses of this stack
	// Peers gives the addresses of other stacks: {{ index .Peers "authelia" "AUTHELIA_IP" }}.
	Peers     map[string]map[string]string
	Routes    []Route
	Metrics   []stacks.Metric
	Databases []stacks.Database
}

// Platform is the part of croft.yaml that templates may use.
type Platform struct {
	Name, Domain, Timezone string
	Expose                 stacks.Expose
	Admin                  stacks.Admin
	AuthURL                string // https://auth.<domain>, "" without a stack that serves auth
}

// Route is an address as templates see it.
type Route struct {
	stacks.Route
	// Policy is Authelia's word: two_factor, one_factor, bypass.
	Policy string
	// Groups that may pass; empty means every account.
	Groups []string
}
