package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// options are the proxy's flags, or SP_ and the flag's name in the environment.
type options struct {
	listen           string
	socketPath       string
	allowFrom        []string
	allowHealthcheck bool
	watchdogInterval uint
	stopOnWatchdog   bool
	graceTime        uint
	level            slog.Level
	json             bool
	allowed          map[string][]*regexp.Regexp
}

func methods() []string {
	return []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodConnect, http.MethodTrace, http.MethodOptions}
}

// rules collects a flag that may be given several times.
type rules []string

func (r *rules) String() string     { return strings.Join(*r, " ") }
func (r *rules) Set(s string) error { *r = append(*r, s); return nil }

func parseOptions(args, environ []string) (options, error) {
	var o options
	var ip, from, level string
	var port uint
	allow := map[string]*rules{}
	flags := flag.NewFlagSet("socket-proxy", flag.ContinueOnError)
	flags.StringVar(&ip, "listenip", "127.0.0.1", "ip address to listen on")
	flags.UintVar(&port, "proxyport", 2375, "tcp port to listen on")
	flags.StringVar(&from, "allowfrom", "127.0.0.1/32", "allowed networks or hostnames, separated by commas")
	flags.BoolVar(&o.allowHealthcheck, "allowhealthcheck", false, "answer HEAD http://"+healthAddress+"/health")
	flags.UintVar(&o.watchdogInterval, "watchdoginterval", 0, "seconds between looks at the socket, 0 for none")
	flags.BoolVar(&o.stopOnWatchdog, "stoponwatchdog", false, "end when the socket is gone")
	flags.UintVar(&o.graceTime, "shutdowngracetime", 10, "seconds to wait for running requests")
	flags.StringVar(&level, "loglevel", "INFO", "DEBUG, INFO, WARN, ERROR")
	flags.BoolVar(&o.json, "logjson", false, "log in JSON format")
	flags.StringVar(&o.socketPath, "socketpath", "/var/run/docker.sock", "Docker's socket")
	for _, m := range methods() {
		allow[m] = &rules{}
		flags.Var(allow[m], "allow"+m, "pattern of the paths allowed for "+m+"; may be repeated")
	}
	if err := fromEnvironment(flags, environ); err != nil {
		return o, err
	}
	fromEnv := allowedByEnvironment(environ)
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	for m, list := range allow {
		if len(*list) == 0 { // a flag wins over the environment
			*list = fromEnv[m]
		}
	}
	return o.complete(ip, port, from, level, allow)
}

// complete checks what flags alone do not.
func (o options) complete(ip string, port uint, from, level string, allow map[string]*rules) (options, error) {
	if port < 1 || port > 65535 {
		return o, errors.New("port number has to be between 1 and 65535")
	}
	if net.ParseIP(ip) == nil {
		return o, fmt.Errorf("invalid IP %q for listenip", ip)
	}
	o.listen = net.JoinHostPort(ip, strconv.FormatUint(uint64(port), 10))
	o.allowFrom = strings.Split(from, ",")
	if !slices.Contains([]string{"DEBUG", "INFO", "WARN", "ERROR"}, strings.ToUpper(level)) {
		return o, fmt.Errorf("invalid log level %s: Supported levels are DEBUG, INFO, WARN, ERROR", level)
	}
	if err := o.level.UnmarshalText([]byte(strings.ToUpper(level))); err != nil {
		return o, err
	}
	o.allowed = map[string][]*regexp.Regexp{}
	for m, list := range allow {
		for _, pattern := range *list {
			if pattern == "" {
				continue
			}
			re, err := regexp.Compile("^" + pattern + "$")
			if err != nil {
				return o, fmt.Errorf("invalid regex %q for method %s: %w", pattern, m, err)
			}
			o.allowed[m] = append(o.allowed[m], re)
		}
	}
	return o, nil
}

// fromEnvironment sets the flags that have an SP_ variable.
func fromEnvironment(flags *flag.FlagSet, environ []string) (failed error) {
	for _, v := range environ {
		name, value, _ := strings.Cut(v, "=")
		name, ours := strings.CutPrefix(name, "SP_")
		if !ours || value == "" || strings.HasPrefix(name, "ALLOW_") {
			continue
		}
		if err := flags.Set(strings.ToLower(name), value); err != nil {
			failed = errors.Join(failed, fmt.Errorf("SP_%s: %w", name, err))
		}
	}
	return failed
}

// allowedByEnvironment reads SP_ALLOW_GET and the numbered SP_ALLOW_GET_1.
func allowedByEnvironment(environ []string) map[string][]string {
	allowed := map[string][]string{}
	for _, v := range environ {
		name, value, _ := strings.Cut(v, "=")
		if rest, ours := strings.CutPrefix(name, "SP_ALLOW_"); ours {
			method, _, _ := strings.Cut(rest, "_")
			allowed[method] = append(allowed[method], value)
		}
	}
	return allowed
}

func (o options) logHandler(w io.Writer) slog.Handler {
	if o.json {
		return slog.NewJSONHandler(w, &slog.HandlerOptions{Level: o.level})
	}
	return slog.NewTextHandler(w, &slog.HandlerOptions{Level: o.level})
}
