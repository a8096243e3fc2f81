package main

import "slices"

// Kind says how much an image proves: a real image runs the program it is
// named after, a stand-in does not, a test image exists for the tests only.
type Kind string

// The three kinds an image may have.
const (
	Real    Kind = "real"
	StandIn Kind = "stand-in"
	Test    Kind = "test"
)

// Program is one binary the farm makes or takes out of a Debian package.
// Exactly one of Module, Own and Deb is set.
type Program struct {
	Name    string
	Version string

	Module  string // Go module, built in its own directory with its own go.mod
	Sum     string // h1: of the module's zip, so that the key needs no network
	Package string
	Tags    string
	CGO     bool     `json:",omitempty"` // with the C compiler; left out, so that the keys of the others stay
	Stamp   []string // linker's -X, so that the program tells its own version

	Own     string   // directory below cmd/imagefarm
	Depends []string // modules of our go.mod the own program imports

	Deb     string // Debian package, and the file in it
	DebFile string
}

// Account is the user an image runs its program as, with a group of the same
// name and number.
type Account struct {
	Name string
	ID   int
}

// Directory is made in the image with the given owner; a named volume that
// is first mounted on it takes that owner over.
type Directory struct {
	Path string
	ID   int
	Mode int64
}

// Entry describes one image: what it is called and what is in it.
type Entry struct {
	Name       string
	Repository string
	Tag        string
	Kind       Kind
	Tier       string
	Runs       string   // the program that really runs, in words
	Version    string   // its version; empty with Debian: the package's version
	Shims      []string // what stands between the name and the program, in words

	Binaries  map[string]string // path in the image -> name of a Program
	Debian    string            // Debian package whose program this is; the image then has the Debian layer
	Files     string            // directory below rootfs/ that is laid over the image
	Links     map[string]string // path in the image -> target
	Dirs      []Directory
	Account   Account
	Stop      string   // the signal that stops it well; commit takes it from the container only
	Configure []string // Dockerfile instructions for the image's configuration
}

// Reference is the exact reference the catalogue uses.
func (e Entry) Reference() string { return e.Repository + ":" + e.Tag }

// prometheusTags leave out the service discoveries no stack uses; with all of
// them the build takes several times as long.
const prometheusTags = "netgo,remove_all_sd,enable_moby_sd,enable_dns_sd"

const prometheusStamp = "github.com/prometheus/common/version.Version=3.10.0"

// Programs lists every binary, in the order in which they are built.
func Programs() []Program {
	return []Program{
		{Name: "echo", Version: "1", Own: "echo"},
		{Name: "socket-proxy", Version: "1", Own: "standin"},
		{Name: "authelia-shim", Version: "1", Own: "autheliashim", Depends: []string{"go.yaml.in/yaml/v4"}},
		{Name: "authelia", Version: "v4.37.5", Module: "github.com/authelia/authelia/v4", Package: "./cmd/authelia",
			Sum: "h1:niP82Bn907pT6C8pvfWb0RE+NnbaV5UTI+rjEto1cTU=",
			Stamp: []string{"github.com/authelia/authelia/v4/internal/utils.BuildTag=v4.37.5",
				"github.com/authelia/authelia/v4/internal/utils.BuildState=tagged clean"}},
		{Name: "promtool", Version: "v0.310.0", Module: "github.com/prometheus/prometheus", Package: "./cmd/promtool",
			Sum: "h1:iS0Uul/dHjy8ifBnqo3YEOhRxlTOWantRoDWwmIowwA=", Tags: prometheusTags, Stamp: []string{prometheusStamp}},
		{Name: "prometheus", Version: "v0.310.0", Module: "github.com/prometheus/prometheus", Package: "./cmd/prometheus",
			Sum: "h1:iS0Uul/dHjy8ifBnqo3YEOhRxlTOWantRoDWwmIowwA=", Tags: prometheusTags, Stamp: []string{prometheusStamp}},
		{Name: "traefik", Version: "v3.6.1", Module: "github.com/traefik/traefik/v3", Package: "./cmd/traefik",
			Sum:   "h1:2V3l5HXe3+9B5mGQ4HAe4lD2sx7PolFWCy6RNUE16SQ=",
			Stamp: []string{"github.com/traefik/traefik/v3/pkg/version.Version=3.6.1"}},
		{Name: "amtool", Deb: "prometheus-alertmanager", DebFile: "usr/bin/amtool"},
		{Name: "alertmanager", Deb: "prometheus-alertmanager", DebFile: "usr/bin/prometheus-alertmanager"},
		{Name: "node_exporter", Deb: "prometheus-node-exporter", DebFile: "usr/bin/prometheus-node-exporter"},
		{Name: "blackbox_exporter", Deb: "prometheus-blackbox-exporter", DebFile: "usr/bin/prometheus-blackbox-exporter"},
	}
}

// debianPackages are what the Debian layer is made of; apt adds what they need.
func debianPackages() []string {
	return []string{
		"busybox-static", "coreutils", "dash", "grep", "sed", "util-linux",
		"nginx", "postgresql-15", "redis-server",
		"prometheus-alertmanager", "prometheus-node-exporter", "prometheus-blackbox-exporter",
	}
}

const nobody = 65534

// Manifest lists every image. The references are the catalogue's, and a test
// compares them.
func Manifest() []Entry {
	return slices.Concat(gatewayImages(), dataImages(), metricsImages(), testImages())
}

func gatewayImages() []Entry {
	return []Entry{{
		Name: "traefik", Repository: "traefik", Tag: "v3.7.9", Kind: Real, Tier: "core",
		Runs: "Traefik", Version: "v3.6.1",
		Shims:     []string{"without the dashboard's web pages: its API answers"},
		Binaries:  map[string]string{"/usr/local/bin/traefik": "traefik"},
		Configure: []string{`ENTRYPOINT ["traefik"]`, `EXPOSE 80`},
	}, {
		Name: "socket-proxy", Repository: "wollomatic/socket-proxy", Tag: "1.13.1", Kind: StandIn, Tier: "core",
		Runs: "our own program in the place of wollomatic's socket-proxy", Version: "1",
		Binaries:  map[string]string{"/socket-proxy": "socket-proxy"},
		Links:     map[string]string{"/healthcheck": "/socket-proxy"},
		Configure: []string{`ENTRYPOINT ["/socket-proxy"]`, `USER 65534:65534`, `EXPOSE 2375`},
	}, {
		Name: "authelia", Repository: "authelia/authelia", Tag: "4.39.20", Kind: Real, Tier: "core",
		Runs: "Authelia", Version: "v4.37.5",
		Shims: []string{
			"the entry point translates the 4.39 configuration to 4.37's and refuses what it does not know",
			"a proxy in front answers 4.39's /api/authz/forward-auth by way of 4.37's /api/verify",
			"sessions of users who are disabled, gone or in other groups count as none at once, which 4.37 lacks",
			"the web pages are the placeholder of the Go module",
		},
		Binaries: map[string]string{"/app/authelia": "authelia-shim", "/app/authelia-4.37.5": "authelia"},
		Files:    "authelia",
		Dirs:     []Directory{{Path: "/config", ID: 0, Mode: 0o755}},
		Configure: []string{`ENTRYPOINT ["/app/entrypoint.sh"]`, `WORKDIR /app`, `EXPOSE 9091`,
			`ENV PATH=/app:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
			`ENV X_AUTHELIA_CONFIG=/config/configuration.yml`},
	}, {
		Name: "nginx", Repository: "nginxinc/nginx-unprivileged", Tag: "1.29.8-alpine", Kind: Real, Tier: "core",
		Runs: "Debian's nginx", Debian: "nginx", Files: "nginx",
		Shims:   []string{"our own nginx.conf and an entry point without upstream's templates"},
		Account: Account{"nginx", 101}, Stop: "SIGQUIT",
		Links: map[string]string{"/var/log/nginx/access.log": "/dev/stdout", "/var/log/nginx/error.log": "/dev/stderr"},
		Dirs:  []Directory{{Path: "/var/log/nginx", ID: 101, Mode: 0o755}},
		Configure: []string{`ENTRYPOINT ["/docker-entrypoint.sh"]`, `CMD ["nginx", "-g", "daemon off;"]`, `USER 101`,
			`EXPOSE 8080`},
	}}
}

func dataImages() []Entry {
	return []Entry{{
		Name: "postgres", Repository: "postgres", Tag: "18.6", Kind: Real, Tier: "core",
		Runs: "Debian's PostgreSQL", Debian: "postgresql-15", Files: "postgres",
		Shims:   []string{"our own docker-entrypoint.sh with upstream's variables"},
		Account: Account{"postgres", 999}, Stop: "SIGINT",
		Dirs: []Directory{{"/var/lib/postgresql", 999, 0o1777}, {"/run/postgresql", 999, 0o3777},
			{"/docker-entrypoint-initdb.d", 0, 0o755}},
		Configure: []string{`ENTRYPOINT ["/usr/local/bin/docker-entrypoint.sh"]`, `CMD ["postgres"]`, `EXPOSE 5432`,
			`VOLUME /var/lib/postgresql`, `ENV LANG=C.UTF-8`,
			`ENV PGDATA=/var/lib/postgresql/18/docker`,
			`ENV PATH=/usr/lib/postgresql/15/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin`},
	}, {
		Name: "valkey", Repository: "valkey/valkey", Tag: "9.1.1", Kind: StandIn, Tier: "core",
		Runs: "Redis in Valkey's place", Debian: "redis-server", Files: "valkey",
		Shims:   []string{"links with Valkey's names"},
		Account: Account{"valkey", 999},
		Links: map[string]string{"/usr/local/bin/valkey-server": "/usr/bin/redis-server",
			"/usr/local/bin/valkey-benchmark": "/usr/bin/redis-benchmark",
			"/usr/local/bin/valkey-check-aof": "/usr/bin/redis-check-aof",
			"/usr/local/bin/valkey-check-rdb": "/usr/bin/redis-check-rdb"},
		Dirs: []Directory{{"/data", 999, 0o755}},
		Configure: []string{`ENTRYPOINT ["/usr/local/bin/docker-entrypoint.sh"]`, `CMD ["valkey-server"]`,
			`WORKDIR /data`, `VOLUME /data`, `EXPOSE 6379`,
			`ENV PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin`},
	}}
}

func metricsImages() []Entry {
	return []Entry{{
		Name: "prometheus", Repository: "prom/prometheus", Tag: "v3.14.0", Kind: Real, Tier: "core",
		Runs: "Prometheus", Version: "v3.10.0", Files: "prometheus",
		Shims:    []string{"built with file, static, DNS and Docker service discovery only, and without the web pages"},
		Binaries: map[string]string{"/bin/prometheus": "prometheus", "/bin/promtool": "promtool"},
		Dirs:     []Directory{{"/prometheus", nobody, 0o777}},
		Configure: []string{`ENTRYPOINT ["/bin/prometheus"]`,
			`CMD ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]`,
			`USER nobody`, `WORKDIR /prometheus`, `VOLUME /prometheus`, `EXPOSE 9090`},
	}, {
		Name: "alertmanager", Repository: "prom/alertmanager", Tag: "v0.34.0", Kind: Real, Tier: "core",
		Runs: "Debian's Alertmanager", Debian: "prometheus-alertmanager", Files: "alertmanager",
		Links: map[string]string{"/usr/bin/alertmanager": "prometheus-alertmanager"},
		Dirs:  []Directory{{"/alertmanager", nobody, 0o755}},
		Configure: []string{`ENTRYPOINT ["/bin/alertmanager"]`,
			`CMD ["--config.file=/etc/alertmanager/alertmanager.yml", "--storage.path=/alertmanager"]`,
			`USER nobody`, `WORKDIR /alertmanager`, `VOLUME /alertmanager`, `EXPOSE 9093`},
	}, {
		Name: "node-exporter", Repository: "prom/node-exporter", Tag: "v1.12.1", Kind: Real, Tier: "core",
		Runs: "Debian's node_exporter", Debian: "prometheus-node-exporter",
		Links:     map[string]string{"/usr/bin/node_exporter": "prometheus-node-exporter"},
		Configure: []string{`ENTRYPOINT ["/bin/node_exporter"]`, `CMD []`, `USER nobody`, `EXPOSE 9100`},
	}, {
		Name: "blackbox-exporter", Repository: "prom/blackbox-exporter", Tag: "v0.28.0", Kind: Real, Tier: "core",
		Runs: "Debian's blackbox_exporter", Debian: "prometheus-blackbox-exporter", Files: "blackbox",
		Links: map[string]string{"/usr/bin/blackbox_exporter": "prometheus-blackbox-exporter"},
		Configure: []string{`ENTRYPOINT ["/bin/blackbox_exporter"]`,
			`CMD ["--config.file=/etc/blackbox_exporter/config.yml"]`, `EXPOSE 9115`},
	}}
}

func testImages() []Entry {
	return []Entry{{
		Name: "echo", Repository: "croft-test/echo", Tag: "1", Kind: Test, Tier: "core",
		Runs: "our own program that answers with the request it got", Version: "1",
		Binaries:  map[string]string{"/usr/local/bin/echo": "echo"},
		Configure: []string{`ENTRYPOINT ["/usr/local/bin/echo"]`, `USER 65534:65534`, `EXPOSE 8080`},
	}}
}

// inTier says whether an image of a tier belongs to the wanted one; each tier
// holds the smaller ones.
func inTier(tier, wanted string) bool {
	order := tiers()
	return slices.Index(order, tier) <= slices.Index(order, wanted)
}

func tiers() []string { return []string{"core", "full", "nightly"} }
