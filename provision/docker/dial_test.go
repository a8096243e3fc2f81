package docker

import (
	"errors"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// dialAt dials whatever DOCKER_HOST says, apart from the user's settings.
func dialAt(t *testing.T, host string) error {
	t.Helper()
	t.Setenv("DOCKER_HOST", host)
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	e, err := Dial(t.Context())
	if err == nil {
		_ = e.Close()
	}
	return err
}

func TestDialSaysThatThereIsNoEngine(t *testing.T) {
	dir := t.TempDir()
	left := filepath.Join(dir, "left.sock")
	l, err := net.Listen("unix", left)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // as a daemon that was killed leaves it
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for host, hint := range map[string]string{
		"unix://" + filepath.Join(dir, "none.sock"): "install Docker Engine",
		"unix://" + left:       "is not running",
		"tcp://127.0.0.1:1":    "DOCKER_HOST",
		"nonsense://somewhere": "DOCKER_HOST",
	} {
		err := dialAt(t, host)
		var e *Error
		if !errors.Is(err, ErrNoEngine) || !errors.As(err, &e) || !strings.Contains(e.Hint(), hint) {
			t.Errorf("%s gives %v", host, err)
		}
	}
}

func TestDialSaysThatThereAreNoRights(t *testing.T) {
	err := explain("unix:///x", &net.OpError{Op: "dial", Net: "unix", Err: syscall.EACCES})
	var e *Error
	if !errors.Is(err, ErrNoRights) || errors.Is(err, ErrNoEngine) || !errors.As(err, &e) || !strings.Contains(e.Hint(), "usermod") {
		t.Errorf("got %v", err)
	}
}

func TestErrorKeepsTheInnerHint(t *testing.T) {
	inner := &Error{Doing: "a", Err: errors.New("line one\n  line two"), Advice: "do this"}
	var e *Error
	if err := failed("b", inner); !errors.As(err, &e) || e.Hint() != "do this" || err.Error() != "b: a: line one line two" {
		t.Errorf("got %q with hint %q", err, e.Hint())
	}
	if failed("x", nil) != nil {
		t.Error("no error became one")
	}
}
