// Command echo is the program of the test image croft-test/echo: a server that
// answers with the request it got, and two small probes. Tests use it to see
// what a service behind the proxy receives and whom a container can reach; it
// is part of no stack and takes no configuration but its flags.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "echo:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	if len(args) > 0 {
		switch args[0] {
		case "check":
			if len(args) != 2 {
				return errors.New("usage: echo check URL")
			}
			return check(args[1])
		case "dial":
			dial(args[1:], out)
			return nil
		}
	}
	flags := flag.NewFlagSet("echo", flag.ContinueOnError)
	listen := flags.String("listen", ":8080", "address to listen on")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unknown command %q: there are check and dial", flags.Arg(0))
	}
	server := &http.Server{Addr: *listen, Handler: handler(), ReadHeaderTimeout: 10 * time.Second}
	return server.ListenAndServe()
}

// answer is what the server says about a request.
type answer struct {
	Method     string              `json:"method"`
	Host       string              `json:"host"`
	Path       string              `json:"path"`
	Headers    map[string][]string `json:"headers"`
	RemoteAddr string              `json:"remote_addr"`
}

func handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		// A client that went away is no failure of the server.
		_ = json.NewEncoder(w).Encode(answer{r.Method, r.Host, r.URL.RequestURI(), r.Header, r.RemoteAddr})
	})
	return mux
}

// check is a health check for an image that has no other HTTP client.
func check(url string) error {
	client := http.Client{Timeout: 3 * time.Second}
	res, err := client.Get(url)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }() // only the status matters
	if res.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%s answered %s", url, res.Status)
	}
	return nil
}

// dial tells which targets accept a connection. It never fails: a closed
// target is a result.
func dial(targets []string, out io.Writer) {
	for _, target := range targets {
		state := "closed"
		if conn, err := net.DialTimeout("tcp", target, time.Second); err == nil {
			state = "open"
			_ = conn.Close() // nothing was sent
		}
		fmt.Fprintln(out, state, target)
	}
}
