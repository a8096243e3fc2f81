package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

const cookies = `
session:
  cookies:
    - {domain: example.com, authelia_url: 'https://auth.example.com', default_redirection_url: 'https://home.example.com'}
`

// always is what every translation holds.
const always = `
default_redirection_url: https://home.example.com
server: {host: 127.0.0.1, port: 19091}
session: {domain: example.com}
`

func TestTranslate(t *testing.T) {
	tests := []struct {
		name, in, want string
		listen         string
	}{
		{name: "smallest", in: ""},
		{name: "server", listen: "0.0.0.0:9092",
			in:   "server: {address: 'tcp://0.0.0.0:9092/', disable_healthcheck: true, timeouts: {read: 10 seconds}}",
			want: "server: {disable_healthcheck: true, timeouts: {read: 10}}"},
		{name: "address without scheme and port", listen: "127.0.0.1:9091", in: "server: {address: 127.0.0.1}"},
		{name: "session", in: "session: {name: s, expiration: 1 hour, inactivity: 5m, remember_me: 1M, redis: {host: valkey, port: 6379, timeout: 5s}}",
			want: "session: {name: s, expiration: 3600, inactivity: 300, remember_me_duration: 2592000, redis: {host: valkey, port: 6379}}"},
		{name: "storage", in: "storage: {postgres: {address: 'tcp://postgres:5433', database: a, username: b, timeout: 5s}}",
			want: "storage: {postgres: {host: postgres, port: 5433, database: a, username: b, timeout: 5}}"},
		{name: "reset secret", in: "identity_validation: {reset_password: {jwt_secret: abc, jwt_lifespan: 5m}}", want: "jwt_secret: abc"},
		{name: "users file", in: "authentication_backend: {refresh_interval: always, file: {path: /u.yml, watch: true, password: {algorithm: argon2, argon2: {memory: 65536}}}}",
			want: "authentication_backend: {file: {path: /u.yml, watch: true, password: {algorithm: argon2, argon2: {memory: 65536}}}}"},
		{name: "rules", in: "access_control: {default_policy: deny, rules: [{domain: ['*.example.com'], policy: two_factor, subject: ['group:admins']}]}",
			want: "access_control: {default_policy: deny, rules: [{domain: ['*.example.com'], policy: two_factor, subject: ['group:admins']}]}"},
		{name: "named networks", in: "definitions: {network: {lan: [10.0.0.0/8], dmz: [192.168.1.0/24]}}",
			want: "access_control: {networks: [{name: dmz, networks: [192.168.1.0/24]}, {name: lan, networks: [10.0.0.0/8]}]}"},
		{name: "regulation", in: "regulation: {modes: [user], max_retries: 3, find_time: 2 minutes, ban_time: 1h 30m}",
			want: "regulation: {max_retries: 3, find_time: 120, ban_time: 5400}"},
		{name: "telemetry", in: "telemetry: {metrics: {enabled: true, address: 'tcp://:9959/metrics'}}",
			want: "telemetry: {metrics: {enabled: true, address: 'tcp://0.0.0.0:9959'}}"},
		{name: "mail", in: "notifier: {smtp: {address: 'submission://mail.example.com', username: x, sender: 'A <a@example.com>'}}",
			want: "notifier: {smtp: {host: mail.example.com, port: 587, username: x, sender: 'A <a@example.com>'}}"},
		{name: "second factors", in: "totp: {issuer: example.com, allowed_digits: [6]}\nwebauthn: {enable_passkey_login: true, timeout: 1 minute, selection_criteria: {user_verification: preferred, discoverability: preferred}}",
			want: "totp: {issuer: example.com}\nwebauthn: {timeout: 60, user_verification: preferred}"},
		{name: "time", in: "ntp: {address: 'udp://time.example.com:123', disable_failure: true, max_desync: 3 seconds}",
			want: "ntp: {address: 'time.example.com:123', disable_failure: true, max_desync: 3}"},
		{name: "empty sections", in: "theme:\nnotifier:\nregulation: {modes: }"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := translate(tree(t, cookies, tt.in), nil)
			if err != nil {
				t.Fatal(err)
			}
			if want := text(t, tree(t, always, tt.want)); text(t, got.out) != want {
				t.Errorf("got\n%s\nwant\n%s", text(t, got.out), want)
			}
			if tt.listen != "" && got.listen != tt.listen {
				t.Errorf("listens on %s, want %s", got.listen, tt.listen)
			}
		})
	}
}

func tree(t *testing.T, texts ...string) map[string]any {
	t.Helper()
	all := map[string]any{}
	for _, s := range texts {
		var one map[string]any
		if err := yaml.Unmarshal([]byte(s), &one); err != nil {
			t.Fatal(err)
		}
		merge(all, one)
	}
	return all
}

func text(t *testing.T, tree map[string]any) string {
	t.Helper()
	b, err := marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestTranslateRefuses(t *testing.T) {
	tests := map[string]struct {
		in   string
		env  []string
		want string
	}{
		"unknown key":           {"nonsense: 1", nil, "nonsense: this key is not translated"},
		"unknown nested key":    {"session: {cokie: 1}", nil, "session.cokie"},
		"unknown map":           {"identity_providers: {oidc: {clients: []}}", nil, "identity_providers"},
		"all at once":           {"a: 1\nb: 2", nil, "b: this key"},
		"two domains":           {"session: {cookies: [{domain: a.b}, {domain: c.d}]}", nil, "exactly one cookie domain"},
		"cookie key":            {"session: {cookies: [{domain: a.b, authelia_url: 'https://x.a.b', color: red}]}", nil, "color"},
		"path in the address":   {"server: {address: 'tcp://:9091/auth'}", nil, "a path in the address"},
		"unix socket":           {"server: {address: 'unix:///run/a.sock'}", nil, "scheme"},
		"secure mail":           {"notifier: {smtp: {address: 'submissions://m'}}", nil, "scheme"},
		"other endpoint":        {"server: {endpoints: {authz: {x: {implementation: ExtAuthz}}}}", nil, "ForwardAuth"},
		"other strategy":        {"server: {endpoints: {authz: {x: {implementation: ForwardAuth, authn_strategies: [{name: HeaderLegacy}]}}}}", nil, "HeaderLegacy"},
		"no duration":           {"session: {expiration: soon}", nil, "not a duration"},
		"unknown variable":      {"", []string{"AUTHELIA_NONSENSE=1"}, "AUTHELIA_NONSENSE"},
		"unknown secret":        {"", []string{"AUTHELIA_IDENTITY_PROVIDERS_OIDC_HMAC_SECRET_FILE=/x"}, "OIDC_HMAC"},
		"address from a file":   {"", []string{"AUTHELIA_SERVER_ADDRESS_FILE=/x"}, "AUTHELIA_SERVER_ADDRESS_FILE"},
		"old name of the reset": {"jwt_secret: x", nil, "jwt_secret"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := translate(tree(t, cookies, tt.in), tt.env)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want %q", err, tt.want)
			}
		})
	}
	if _, err := translate(map[string]any{}, nil); err == nil || !strings.Contains(err.Error(), "session.cookies") {
		t.Errorf("without cookies: %v", err)
	}
}

func TestEnvironment(t *testing.T) {
	got, err := translate(tree(t, cookies, "log: {level: info}"), []string{
		"PATH=/app", "X_AUTHELIA_CONFIG=/config/configuration.yml",
		"AUTHELIA_IDENTITY_VALIDATION_RESET_PASSWORD_JWT_SECRET_FILE=/run/secrets/jwt",
		"AUTHELIA_SESSION_SECRET_FILE=/run/secrets/session",
		"AUTHELIA_STORAGE_POSTGRES_PASSWORD_FILE=/run/secrets/pg",
		"AUTHELIA_LOG_LEVEL=debug", "AUTHELIA_STORAGE_POSTGRES_ADDRESS=tcp://db:5432",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"PATH=/app", "AUTHELIA_JWT_SECRET_FILE=/run/secrets/jwt", "AUTHELIA_SESSION_SECRET_FILE=/run/secrets/session",
		"AUTHELIA_STORAGE_POSTGRES_PASSWORD_FILE=/run/secrets/pg"}
	if !slices.Equal(got.environ, want) {
		t.Errorf("environment = %q", got.environ)
	}
	if w := text(t, tree(t, always, "log: {level: debug}\nstorage: {postgres: {host: db, port: 5432}}")); text(t, got.out) != w {
		t.Errorf("got\n%s", text(t, got.out))
	}
}

func TestLoadFilesDirectoriesAndTemplates(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"key": "line 1\nline 2\n", "secret": "s3\n", "a.yml": cookies,
		"b.yml": "session:\n  name: {{ secret \"" + dir + "/secret\" | msquote }}\n" +
			"totp:\n  issuer: {{ fileContent \"" + dir + "/key\" | mindent 4 \"|\" | msquote }}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := load([]string{dir}, true, nil)
	if err != nil {
		t.Fatal(err)
	}
	session, totp := got.out["session"].(map[string]any), got.out["totp"].(map[string]any)
	if session["name"] != "s3" || totp["issuer"] != "line 1\nline 2\n" {
		t.Errorf("session %v, totp %q", session, totp)
	}
	if _, err := load([]string{dir}, false, nil); err == nil {
		t.Error("without the filter a template was read")
	}
	if _, err := load([]string{filepath.Join(dir, "none.yml")}, true, nil); err == nil {
		t.Error("a missing file was read")
	}
}

func TestParseCall(t *testing.T) {
	tests := []struct {
		args, env []string
		real      []string
		configs   []string
		err       string
	}{
		{nil, []string{"X_AUTHELIA_CONFIG=/config/configuration.yml"}, nil, []string{"/config/configuration.yml"}, ""},
		{[]string{"--config", "/a.yml,/b.yml", "--config=/c.yml"}, nil, nil, []string{"/a.yml", "/b.yml", "/c.yml"}, ""},
		{[]string{"storage", "user", "totp", "generate", "ada", "--force", "--config", "/a.yml"}, nil,
			[]string{"storage", "--config=F", "user", "totp", "generate", "ada", "--force"}, []string{"/a.yml"}, ""},
		{[]string{"config", "validate", "-c", "/a.yml"}, nil, []string{"validate-config", "--config=F"}, []string{"/a.yml"}, ""},
		{[]string{"config", "template"}, nil, nil, nil, "not translated"},
		{[]string{"--config"}, nil, nil, nil, "needs a value"},
		{nil, []string{"X_AUTHELIA_CONFIG_FILTERS=expand-env"}, nil, nil, "expand-env"},
	}
	for _, tt := range tests {
		c, err := parseCall(tt.args, tt.env)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%q: error = %v", tt.args, err)
			}
			continue
		}
		if err != nil || !slices.Equal(c.configs, tt.configs) {
			t.Errorf("%q: %q, %v", tt.args, c.configs, err)
		}
		if tt.real != nil && !slices.Equal(c.real("F"), tt.real) {
			t.Errorf("%q became %q", tt.args, c.real("F"))
		}
	}
	c, err := parseCall([]string{"crypto", "hash", "generate", "argon2", "--password", "x"}, nil)
	if err != nil || !c.plain() {
		t.Errorf("crypto: %+v, %v", c, err)
	}
}
