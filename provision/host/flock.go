package host

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/croft-sh/croft/stacks"
)

// ErrLocked is found in the error of Acquire when another run holds the lock;
// errors.As with *LockedError says who.
var ErrLocked = errors.New("locked by another run")

// LockedError says who holds the lock, as far as the holder wrote it down.
type LockedError struct {
	Path    string
	PID     int       `json:"pid"`
	Command string    `json:"command"`
	Since   time.Time `json:"since"`
	Why     string    `json:"why,omitempty"` // of a lease
}

func (e *LockedError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("%s: %v", e.Path, ErrLocked)
	}
	return fmt.Sprintf("%s: %v: %q, process %d, since %s", e.Path, ErrLocked, e.Command, e.PID, e.Since.Format(time.RFC3339))
}

// Unwrap gives the sentinel, and a Problem so that the hint is found.
func (e *LockedError) Unwrap() []error {
	hint := "wait for it to end and run the command again"
	if e.PID != 0 {
		hint = fmt.Sprintf("wait for process %d to end and run the command again", e.PID)
	}
	return []error{ErrLocked, stacks.Problem{
		Severity: stacks.SeverityError, Subject: e.Path, Message: ErrLocked.Error(), Hint: hint,
	}}
}

// Acquire takes the platform's lock without waiting. The kernel drops it when
// the process ends, however it ends, so no lock outlives its holder; the file
// itself is never removed, because two processes could then lock two files.
func Acquire(path string) (release func(), err error) { return acquire(path, "") }

func acquire(path, why string) (release func(), err error) {
	if err := MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, wrap(path, err)
	}
	err = lockExclusive(f)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		defer f.Close()
		return nil, holder(f, path)
	}
	if err != nil {
		_ = f.Close()
		return nil, failed(path, "cannot lock", "the state directory must be on a local file system", err)
	}
	// Killed here: the file names the previous holder. It is read only while the
	// lock is held, so at worst the next refusal names the wrong process.
	note, err := json.Marshal(LockedError{PID: os.Getpid(), Command: commandName(os.Args), Since: time.Now().UTC().Truncate(time.Second), Why: why})
	if err == nil {
		err = rewrite(f, note)
	}
	if err != nil {
		_ = f.Close()
		return nil, wrap(path, err)
	}
	return func() {
		_ = rewrite(f, nil) // a stale note is harmless, see above
		_ = f.Close()       // drops the lock
	}, nil
}

// lockExclusive does not wait for who holds the lock, but for who only looks at
// it (see Locked): that takes a moment.
func lockExclusive(f *os.File) error {
	const looks, pause = 50, time.Millisecond
	for range looks {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return err
		}
		time.Sleep(pause)
	}
	return syscall.EWOULDBLOCK
}

// Locked tells who holds a lock now, nil where nobody does. It takes no lock that
// would keep another reader or, for longer than a moment, a run away.
func Locked(path string) *LockedError {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil // never taken yet, or not ours to see
	}
	defer f.Close()
	if !errors.Is(syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB), syscall.EWOULDBLOCK) {
		return nil
	}
	var e *LockedError
	errors.As(holder(f, path), &e)
	return e
}

func rewrite(f *os.File, data []byte) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt(data, 0)
	return err
}

func holder(f *os.File, path string) error {
	e := &LockedError{}
	raw, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil || json.Unmarshal(raw, e) != nil {
		e = &LockedError{} // the holder is just about to write itself down
	}
	e.Path = path
	return e
}

// commandName keeps the program and the words of the command, not its
// arguments: those may be long, and are nobody's business in a lock file.
func commandName(args []string) string {
	if len(args) == 0 {
		return ""
	}
	words := []string{filepath.Base(args[0])}
	for _, a := range args[1:min(len(args), 3)] {
		if strings.HasPrefix(a, "-") || strings.ContainsAny(a, "=/ ") {
			break
		}
		words = append(words, a)
	}
	return strings.Join(words, " ")
}
