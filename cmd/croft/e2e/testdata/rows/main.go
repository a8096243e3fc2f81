// Command rows is the database of the chaos tests: it writes a row every few
// milliseconds, and acknowledges each only when it is on disk. What must never
// happen to a database it notices, and writes down as a violation.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	data     = "/data/"
	acks     = "/acks/"
	socket   = "@rows" // health: in the container's own network namespace
	pause    = 30 * time.Millisecond
	ballast  = 24 << 20 // so that a copy of the data takes its time
	format   = "2"
	migrated = "9"
)

func main() {
	verb := ""
	if len(os.Args) > 1 {
		verb = os.Args[1]
	}
	var err error
	switch verb {
	case "check":
		_, err = net.Dial("unix", socket)
	case "idle":
		_, err = net.Listen("unix", socket)
		if err == nil {
			<-ended()
		}
	default:
		err = serve()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "rows:", err)
		os.Exit(1)
	}
}

func ended() chan os.Signal {
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, syscall.SIGTERM)
	return ch
}

func serve() error {
	end := ended()
	if err := alone(); err != nil {
		return err
	}
	if err := password(); err != nil {
		return err
	}
	if err := prepare(); err != nil {
		return err
	}
	if _, err := net.Listen("unix", socket); err != nil {
		return err
	}
	fmt.Println("up")
	return write(end)
}

// violation is what the test looks for.
func violation(text string) error {
	f, err := os.OpenFile(acks+"violations", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
	if err == nil {
		_, err = fmt.Fprintln(f, time.Now().Format(time.RFC3339), text)
	}
	return errors.Join(errors.New(text), err)
}

// alone makes sure that no other container has the same data open.
func alone() error {
	f, err := os.OpenFile(data+"lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	for range 100 {
		if err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err == nil {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return violation("two containers on the same data")
}

// password keeps what the first start was given, as a database does: another one
// later would lock everybody out.
func password() error {
	raw, err := os.ReadFile("/run/secrets/pw")
	if err != nil {
		return err
	}
	sum := sha256.Sum256(raw)
	now := hex.EncodeToString(sum[:])
	before, err := os.ReadFile(data + "pw")
	if err != nil {
		return durable("pw", []byte(now))
	}
	if string(before) != now {
		return violation("another password than the database was made with")
	}
	return nil
}

func durable(name string, content []byte) error {
	f, err := os.Create(data + name + ".tmp")
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(content); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := os.Rename(data+name+".tmp", data+name); err != nil {
		return err
	}
	d, err := os.Open(data)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// prepare makes the data, or migrates it: the bad version leaves what the others
// cannot read, and ends.
func prepare() error {
	version, err := os.ReadFile("/version")
	if err != nil {
		return err
	}
	found, err := os.ReadFile(data + "format")
	if err != nil {
		if err := durable("ballast", bytes.Repeat([]byte("ballast\n"), ballast/8)); err != nil {
			return err
		}
		if err := durable("format", []byte(format)); err != nil {
			return err
		}
		found = []byte(format)
	}
	if strings.TrimSpace(string(version)) == "bad" {
		if err := durable("format", []byte(migrated)); err != nil {
			return err
		}
		_ = os.Rename(data+"rows", data+"rows.migrated")
		return errors.New("migrated, and cannot start")
	}
	if string(found) != format {
		return violation("an old version met data of format " + string(found))
	}
	return nil
}

// write adds rows until it is told to end. A row that does not get to the disk is
// taken out again and not acknowledged.
func write(end chan os.Signal) error {
	rows, err := os.OpenFile(data+"rows", os.O_APPEND|os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	ack, err := os.OpenFile(acks+"acks", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	if _, err := rows.WriteString("\n"); err == nil { // whatever a kill left of a row ends here
		_ = rows.Sync()
	}
	for {
		select {
		case <-end:
			return nil
		case <-time.After(pause):
		}
		info, err := rows.Stat()
		if err != nil {
			return err
		}
		row := strconv.FormatInt(time.Now().UnixNano(), 10) + ".\n"
		_, err = rows.WriteString(row)
		if err = errors.Join(err, rows.Sync()); err != nil {
			_ = rows.Truncate(info.Size())
			continue
		}
		if _, err := ack.WriteString(row); err != nil {
			return err
		}
	}
}
