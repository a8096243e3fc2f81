package main

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/croft-sh/croft/provision"
)

func TestPortOf(t *testing.T) {
	routed := []provision.Entrance{{Service: "web", Port: 3000, Scheme: "https"}}
	for _, tt := range []struct {
		name, service string
		asked         uint16
		exposed       []uint16
		want          uint16
		scheme        string
	}{
		{"the route's", "web", 0, []uint16{22, 3000}, 3000, "https"},
		{"another than the route's", "web", 22, []uint16{22, 3000}, 22, "tcp"},
		{"the only one", "db", 0, []uint16{5432}, 5432, "tcp"},
		{"none", "db", 0, nil, 0, ""},
		{"one of several", "db", 0, []uint16{1, 2}, 0, ""},
	} {
		port, scheme, err := portOf(tt.service, tt.asked, routed, tt.exposed)
		if port != tt.want || scheme != tt.scheme || (err != nil) != (tt.want == 0) {
			t.Errorf("%s: %d, %s, %v", tt.name, port, scheme, err)
		}
		if err != nil && exitCode(err) != exitUsage {
			t.Errorf("%s: exit code %d", tt.name, exitCode(err))
		}
	}
}

// TestForward talks through a forwarder to a program that answers only once it
// has heard all, and ends it with a connection open.
func TestForward(t *testing.T) {
	behind, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer behind.Close()
	go func() {
		for {
			c, err := behind.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				heard, err := io.ReadAll(c)
				if err == nil {
					_, _ = io.WriteString(c, strings.ToUpper(string(heard)))
				}
			}()
		}
	}()
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() {
		done <- forward(ctx, front, func(ctx context.Context) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", behind.Addr().String())
		}, func(err error) { t.Error(err) })
	}()
	dial := func() *net.TCPConn {
		t.Helper()
		c, err := net.Dial("tcp", front.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return c.(*net.TCPConn)
	}
	c := dial()
	if _, err := io.WriteString(c, "hello"); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c); err != nil || string(got) != "HELLO" {
		t.Errorf("heard %q, %v", got, err)
	}
	open := dial()
	if _, err := io.WriteString(open, "still talking"); err != nil {
		t.Fatal(err)
	}
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("ended with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it goes on with a connection open")
	}
	if _, err := io.ReadAll(open); err != nil && !errors.Is(err, io.EOF) {
		var op *net.OpError
		if !errors.As(err, &op) {
			t.Error(err)
		}
	}
}

func TestBytesText(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 1_250_000: "1.2 MB", 5e15: "5000.0 TB"} {
		if got := bytesText(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}
