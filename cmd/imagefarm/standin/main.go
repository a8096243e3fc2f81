// Command standin takes the place of wollomatic's socket-proxy, which no
// module proxy serves: the same flags, the same decisions, our own code. It
// lets through to Docker's socket what a rule names and nothing else. It
// proves how the stacks use the proxy, and nothing about the proxy itself;
// per-container rules by label and bind mount rules are not there, and their
// flags are refused.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// healthAddress is where the health command of the image looks.
const healthAddress = "127.0.0.1:55555"

func main() {
	if filepath.Base(os.Args[0]) == "healthcheck" {
		if err := healthcheck("http://" + healthAddress + "/health"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	o, err := parseOptions(os.Args[1:], os.Environ())
	if err != nil {
		slog.Error("error initializing config", "error", err)
		os.Exit(1)
	}
	os.Exit(serve(o))
}

func healthcheck(address string) error {
	client := http.Client{Timeout: 5 * time.Second}
	res, err := client.Head(address)
	if err != nil {
		return fmt.Errorf("error doing health check: %w", err)
	}
	defer func() { _ = res.Body.Close() }() // a HEAD has no body
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("health check failed, got status: %d", res.StatusCode)
	}
	return nil
}

// serve runs until a signal or the watchdog ends it, and returns the exit code.
func serve(o options) int {
	logger := slog.New(o.logHandler(os.Stdout))
	logger.Info("starting croft's stand-in for wollomatic/socket-proxy: not the real program",
		"socketpath", o.socketPath, "listen", o.listen, "allowfrom", o.allowFrom)
	if err := reachable(o.socketPath); err != nil {
		logger.Error("socket not available", "error", err)
		return 2
	}
	listener, err := net.Listen("tcp", o.listen)
	if err != nil {
		logger.Error("error listening on address", "error", err)
		return 2
	}
	g := gate{options: o, resolve: net.DefaultResolver.LookupIPAddr, log: logger, next: socketProxy(o.socketPath)}
	// No timeouts: event streams live as long as their client.
	server := &http.Server{Handler: g}
	failed := make(chan int, 2)
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			logger.Error("http server problem", "error", err)
			failed <- 2
		}
	}()
	if o.allowHealthcheck {
		go serveHealth(o.socketPath, logger)
	}
	if o.watchdogInterval > 0 {
		go watchdog(o, logger, failed)
	}
	return waitAndStop(o, logger, server, failed)
}

func waitAndStop(o options, logger *slog.Logger, server *http.Server, failed <-chan int) (code int) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	select {
	case <-signals:
	case code = <-failed:
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(o.graceTime)*time.Second)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		logger.Warn("timeout stopping server", "error", err)
	}
	return code
}

// socketProxy forwards to the socket; a negative flush interval passes every
// piece of an event stream on at once.
func socketProxy(path string) http.Handler {
	target := &url.URL{Scheme: "http", Host: "localhost"}
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		}},
		FlushInterval: -1,
	}
}

func reachable(path string) error {
	conn, err := net.DialTimeout("unix", path, 5*time.Second)
	if err != nil {
		return err
	}
	return conn.Close()
}

func watchdog(o options, logger *slog.Logger, failed chan<- int) {
	for range time.Tick(time.Duration(o.watchdogInterval) * time.Second) {
		if err := reachable(o.socketPath); err != nil {
			logger.Error("socket is unavailable", "origin", "watchdog", "error", err)
			if o.stopOnWatchdog {
				failed <- 10
				return
			}
		}
	}
}

func serveHealth(socket string, logger *slog.Logger) {
	server := &http.Server{Addr: healthAddress, Handler: healthHandler(socket), ReadHeaderTimeout: 5 * time.Second}
	if err := server.ListenAndServe(); err != nil {
		logger.Error("health check server problem", "error", err)
	}
}

func healthHandler(socket string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/health", func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method != http.MethodHead:
			w.WriteHeader(http.StatusMethodNotAllowed)
		case reachable(socket) != nil:
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	return mux
}
