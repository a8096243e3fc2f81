package main

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// rule says what becomes of one key of 4.39. Without apply the value goes to
// the key to; without both it is dropped: 4.37 has no such setting.
type rule struct {
	to    string
	apply func(t *translation, value any) error
}

// rules is every key of 4.39's configuration that may be used; all others are
// refused.
func rules() map[string]rule {
	all := map[string]rule{
		"default_redirection_url":                       {to: "default_redirection_url"},
		"identity_validation.reset_password.jwt_secret": {to: "jwt_secret"},
		"webauthn.selection_criteria.user_verification": {to: "webauthn.user_verification"},
		"server.endpoints.enable_pprof":                 {to: "server.enable_pprof"},
		"server.endpoints.enable_expvars":               {to: "server.enable_expvars"},
		"server.endpoints.authz":                        {apply: authzEndpoints},
		"server.address":                                {apply: serverAddress},
		"session.cookies":                               {apply: sessionCookies},
		"session.remember_me":                           seconds("session.remember_me_duration"),
		"storage.postgres.address":                      hostPort("storage.postgres", "tcp", 5432),
		"notifier.smtp.address":                         hostPort("notifier.smtp", "submission", 587),
		"ntp.address":                                   {apply: ntpAddress},
		"telemetry.metrics.address":                     {apply: metricsAddress},
		"definitions.network":                           {apply: namedNetworks},
	}
	for _, key := range strings.Fields(kept) {
		all[key] = rule{to: key}
	}
	for _, key := range strings.Fields(durations) {
		all[key] = seconds(key)
	}
	for _, key := range strings.Fields(dropped) {
		all[key] = rule{}
	}
	return all
}

// kept means the same in both versions.
const kept = `
theme certificates_directory default_2fa_method
log.level log.format log.file_path log.keep_stdout
authentication_backend.password_reset.disable authentication_backend.password_reset.custom_url
authentication_backend.file.path authentication_backend.file.watch
authentication_backend.file.password.algorithm
authentication_backend.file.password.argon2.variant authentication_backend.file.password.argon2.iterations
authentication_backend.file.password.argon2.memory authentication_backend.file.password.argon2.parallelism
authentication_backend.file.password.argon2.key_length authentication_backend.file.password.argon2.salt_length
authentication_backend.file.search.email authentication_backend.file.search.case_insensitive
session.name session.same_site session.secret
session.redis.host session.redis.port session.redis.username session.redis.password session.redis.database_index
session.redis.maximum_active_connections session.redis.minimum_idle_connections
totp.disable totp.issuer totp.algorithm totp.digits totp.period totp.skew totp.secret_size
duo_api.disable
access_control.default_policy access_control.networks access_control.rules
ntp.version ntp.disable_startup_check ntp.disable_failure
regulation.max_retries
storage.encryption_key storage.postgres.database storage.postgres.schema storage.postgres.username
storage.postgres.password
notifier.disable_startup_check notifier.template_path notifier.filesystem.filename
notifier.smtp.username notifier.smtp.password notifier.smtp.identifier notifier.smtp.sender notifier.smtp.subject
notifier.smtp.startup_check_address notifier.smtp.disable_require_tls notifier.smtp.disable_html_emails
notifier.smtp.disable_starttls notifier.smtp.tls.server_name notifier.smtp.tls.skip_verify
notifier.smtp.tls.minimum_version notifier.smtp.tls.maximum_version
server.asset_path server.disable_healthcheck server.headers.csp_template server.buffers.read server.buffers.write
telemetry.metrics.enabled telemetry.metrics.buffers.read telemetry.metrics.buffers.write
webauthn.disable webauthn.display_name webauthn.attestation_conveyance_preference
password_policy.standard.enabled password_policy.standard.min_length password_policy.standard.max_length
password_policy.standard.require_uppercase password_policy.standard.require_lowercase
password_policy.standard.require_number password_policy.standard.require_special
password_policy.zxcvbn.enabled password_policy.zxcvbn.min_score
`

// durations are kept, but written as seconds: 4.37 knows fewer ways to say one.
const durations = `
session.expiration session.inactivity regulation.find_time regulation.ban_time ntp.max_desync
storage.postgres.timeout notifier.smtp.timeout webauthn.timeout
server.timeouts.read server.timeouts.write server.timeouts.idle
telemetry.metrics.timeouts.read telemetry.metrics.timeouts.write telemetry.metrics.timeouts.idle
`

// dropped settings have no counterpart in 4.37, and leaving them out does not
// weaken what a test of ours looks at.
const dropped = `
authentication_backend.refresh_interval authentication_backend.password_change.disable
session.redis.timeout session.redis.max_retries
identity_validation.reset_password.jwt_lifespan identity_validation.reset_password.jwt_algorithm
identity_validation.elevated_session.code_lifespan identity_validation.elevated_session.elevation_lifespan
identity_validation.elevated_session.characters identity_validation.elevated_session.require_second_factor
identity_validation.elevated_session.skip_second_factor
regulation.modes server.endpoints.rate_limits
totp.allowed_algorithms totp.allowed_digits totp.allowed_periods totp.disable_reuse_security_policy
webauthn.enable_passkey_login webauthn.experimental_enable_passkey_uv_two_factors
webauthn.experimental_enable_passkey_upgrade webauthn.filtering webauthn.metadata
webauthn.selection_criteria.attachment webauthn.selection_criteria.discoverability
privacy_policy.enabled privacy_policy.require_user_acceptance privacy_policy.policy_url
`

func seconds(to string) rule {
	return rule{apply: func(t *translation, value any) error {
		n, err := inSeconds(value)
		t.set(to, n)
		return err
	}}
}

func hostPort(prefix, scheme string, standard int) rule {
	return rule{apply: func(t *translation, value any) error {
		u, port, err := address(value, scheme, standard)
		if err != nil {
			return err
		}
		t.set(prefix+".host", u.Hostname())
		t.set(prefix+".port", port)
		return nil
	}}
}

// address reads 4.39's [SCHEME://]HOST[:PORT][/PATH].
func address(value any, scheme string, standard int) (*url.URL, int, error) {
	text := fmt.Sprint(value)
	if !strings.Contains(text, "://") {
		text = scheme + "://" + text
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, 0, err
	}
	if u.Scheme != scheme {
		return nil, 0, fmt.Errorf("the scheme %q is not translated", u.Scheme)
	}
	if u.Port() == "" {
		return u, standard, nil
	}
	port, err := strconv.Atoi(u.Port())
	return u, port, err
}

// serverAddress becomes the proxy's; the real program listens behind it.
func serverAddress(t *translation, value any) error {
	u, port, err := address(value, "tcp", 9091)
	if err != nil {
		return err
	}
	if strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return fmt.Errorf("a path in the address is not translated")
	}
	t.listen = net.JoinHostPort(u.Hostname(), strconv.Itoa(port))
	return nil
}

func ntpAddress(t *translation, value any) error {
	u, port, err := address(value, "udp", 123)
	if err != nil {
		return err
	}
	t.set("ntp.address", net.JoinHostPort(u.Hostname(), strconv.Itoa(port)))
	return nil
}

func metricsAddress(t *translation, value any) error {
	u, port, err := address(value, "tcp", 9959)
	if err != nil {
		return err
	}
	if p := strings.Trim(u.Path, "/"); p != "" && p != "metrics" {
		return fmt.Errorf("metrics on the path %q are not translated", u.Path)
	}
	host := u.Hostname()
	if host == "" {
		host = "0.0.0.0"
	}
	t.set("telemetry.metrics.address", "tcp://"+net.JoinHostPort(host, strconv.Itoa(port)))
	return nil
}

func namedNetworks(t *translation, value any) error {
	named, ok := value.(map[string]any)
	if !ok {
		return fmt.Errorf("is not a map")
	}
	var list []any
	for _, name := range sortedKeys(named) {
		list = append(list, map[string]any{"name": name, "networks": named[name]})
	}
	t.set("access_control.networks", list)
	return nil
}

// sessionCookies takes the one cookie domain that 4.37 can have.
func sessionCookies(t *translation, value any) error {
	list, ok := value.([]any)
	if !ok || len(list) != 1 {
		return fmt.Errorf("exactly one cookie domain can be translated")
	}
	cookie, ok := list[0].(map[string]any)
	if !ok {
		return fmt.Errorf("is not a list of maps")
	}
	for _, key := range sortedKeys(cookie) {
		var err error
		switch v := cookie[key]; key {
		case "domain":
			t.domain = fmt.Sprint(v)
			t.set("session.domain", v)
		case "authelia_url":
			t.portal, err = url.ParseRequestURI(fmt.Sprint(v))
		case "default_redirection_url":
			t.set(key, v)
		case "name", "same_site":
			t.set("session."+key, v)
		case "expiration", "inactivity":
			err = seconds("session."+key).apply(t, v)
		case "remember_me":
			err = seconds("session.remember_me_duration").apply(t, v)
		default:
			err = fmt.Errorf("is not translated")
		}
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	return nil
}

// authzEndpoints takes forward-auth endpoints; their names are paths.
func authzEndpoints(t *translation, value any) error {
	endpoints, ok := value.(map[string]any)
	if !ok {
		return fmt.Errorf("is not a map")
	}
	t.endpoints = map[string]endpoint{}
	for _, name := range sortedKeys(endpoints) {
		e, ok := endpoints[name].(map[string]any)
		if !ok || e["implementation"] != "ForwardAuth" {
			return fmt.Errorf("%s: only the implementation ForwardAuth is translated", name)
		}
		strategies, configured := e["authn_strategies"].([]any)
		use := endpoint{basic: !configured}
		for _, s := range strategies {
			strategy, _ := s.(map[string]any)
			switch strategy["name"] {
			case "HeaderAuthorization":
				use.basic = true
			case "CookieSession":
			default:
				return fmt.Errorf("%s: the strategy %v is not translated", name, strategy["name"])
			}
		}
		t.endpoints[name] = use
	}
	return nil
}
