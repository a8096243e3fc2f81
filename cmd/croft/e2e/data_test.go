//go:build e2e

package e2e

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// ledgerImage makes an image of the ledger and gives its reference; declared, if
// it is not empty, is a path that the image declares as a volume.
func ledgerImage(t *testing.T, tag, declared string, args ...string) string {
	t.Helper()
	binary, err := ledgerBinary()
	if err != nil {
		t.Fatal(err)
	}
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	for _, f := range []tar.Header{{Name: "ledger", Mode: 0o755, Size: int64(len(binary))}, {Name: "data/", Typeflag: tar.TypeDir, Mode: 0o777}} {
		if err := w.WriteHeader(&f); err != nil {
			t.Fatal(err)
		}
		if f.Size > 0 {
			if _, err := w.Write(binary); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	entry, err := json.Marshal(append([]string{"/ledger"}, args...))
	if err != nil {
		t.Fatal(err)
	}
	ref := "croft-test/ledger-" + strings.ToLower(t.Name()[4:8]) + ":" + tag
	cmd := exec.Command("docker", "import", "--change", "ENTRYPOINT "+string(entry), "--change", "LABEL version="+tag)
	if declared != "" {
		cmd.Args = append(cmd.Args, "--change", "VOLUME "+declared)
	}
	cmd.Args = append(cmd.Args, "-", ref)
	cmd.Stdin = &layer
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("docker import: %s", out)
	}
	t.Cleanup(func() { _ = exec.Command("docker", "rmi", "-f", ref).Run() })
	return ref
}

var ledgerBinary = sync.OnceValues(func() ([]byte, error) {
	path := filepath.Join(scratch, "bin", "ledger")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "./testdata/ledger")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	return os.ReadFile(path)
})

// writer writes numbered rows through add until one is refused, and gives those
// that were acknowledged.
type writer struct {
	add  func(row string) bool
	mu   sync.Mutex
	rows []string
	done chan struct{}
}

func startWriter(add func(string) bool) *writer {
	w := &writer{add: add, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		for n := 1; ; n++ {
			row := "row" + strconv.Itoa(n)
			if !w.add(row) {
				return
			}
			w.mu.Lock()
			w.rows = append(w.rows, row)
			w.mu.Unlock()
		}
	}()
	return w
}

// count gives how many rows were acknowledged so far.
func (w *writer) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.rows)
}

// missing gives the acknowledged rows that have does not hold. The writer must
// have been refused: only then is it known what it was promised.
func (w *writer) missing(t *testing.T, have []string) []string {
	t.Helper()
	select {
	case <-w.done:
	case <-time.After(time.Minute):
		t.Fatal("nobody refused the writer")
	}
	there := map[string]bool{}
	for _, row := range have {
		there[row] = true
	}
	var out []string
	for _, row := range w.rows {
		if !there[row] {
			out = append(out, row)
		}
	}
	return out
}

// ledger is a platform with a ledger that answers on a port, and a neighbour.
type ledger struct {
	*platform
	port    int
	mount   string // lines of the service, and of the file
	volumes string
}

func (l *ledger) show(t *testing.T, image string) {
	t.Helper()
	l.write(t, "stacks/ledger/compose.yaml", fmt.Sprintf(`
services:
  ledger:
    image: %s
    restart: on-failure:1
    ports: ["127.0.0.1:%d:8080"]
%s    healthcheck: {test: [CMD, /ledger, check], interval: 1s, timeout: 5s, retries: 3}
%s`, image, l.port, l.mount, l.volumes))
}

func (l *ledger) add(row string) bool {
	client := http.Client{Timeout: 5 * time.Second}
	res, err := client.Post(fmt.Sprintf("http://127.0.0.1:%d/rows", l.port), "text/plain", strings.NewReader(row))
	if err != nil {
		return false
	}
	_ = res.Body.Close()
	return res.StatusCode == http.StatusCreated
}

func (l *ledger) rows(t *testing.T) []string {
	t.Helper()
	res, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/rows", l.port))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", res.Status, raw, err)
	}
	return strings.Fields(string(raw))
}

// newLedger applies version 1 and waits for the first rows.
func newLedger(t *testing.T, image, mount, volumes string) (*ledger, *writer) {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	l := &ledger{platform: newPlatform(t, "data", map[string]string{"stacks/side/compose.yaml": quietStack("side")}), port: port, mount: mount, volumes: volumes}
	l.writeConfig(t, "ledger", "side")
	l.show(t, image)
	l.must(t, "apply", "-y")
	w := startWriter(l.add)
	if !eventually(func() bool { return w.count() >= 10 }) {
		t.Fatal("no rows")
	}
	return l, w
}

// takenBack wants exit code 14, and journal and status that say so.
func (p *platform) takenBack(t *testing.T, r result) {
	t.Helper()
	if r.code != exitTakenBack || !strings.Contains(r.stderr, "hint:") {
		t.Fatalf("want %d and a hint: %s", exitTakenBack, r)
	}
	status := decode[struct {
		Revision struct{ Result string }
	}](t, p.must(t, "status", "-o", "json").stdout)
	if status.Revision.Result != "taken-back" {
		t.Errorf("status says %q", status.Revision.Result)
	}
	if journal := string(read(t, filepath.Join(p.state, "journal.jsonl"))); !strings.Contains(journal, "apply ends: taken-back") {
		t.Errorf("the journal does not know:\n%s", journal)
	}
}

func TestDataGoesBackWithItsImage(t *testing.T) {
	one, crash := ledgerImage(t, "1", ""), ledgerImage(t, "2-crash", "", "-version", "2", "-fate", "crash")
	sick, well := ledgerImage(t, "2-sick", "", "-version", "2", "-fate", "sick"), ledgerImage(t, "2-well", "", "-version", "2")
	declared, declaredCrash := ledgerImage(t, "1-declared", "/data"), ledgerImage(t, "2-declared", "/data", "-version", "2", "-fate", "crash")
	outside := t.TempDir()
	external := "croft-e2e-ledger-" + strconv.Itoa(os.Getpid())
	docker(t, "volume", "create", external)
	t.Cleanup(func() { _ = exec.Command("docker", "volume", "rm", external).Run() })
	const named, volume = "    volumes: [\"rows:/data\"]\n", "volumes: {rows: {}}\n"
	for _, tt := range []struct{ name, mount, volumes, from, to string }{
		{"a volume crashes", named, volume, one, crash},
		{"a volume never healthy", named, volume, one, sick},
		{"a directory of the stack", "    volumes: [\"./rows:/data\"]\n", "", one, crash},
		{"a directory outside", "    volumes: [\"" + outside + ":/data\"]\n", "", one, crash},
		{"an external volume", named, "volumes: {rows: {external: true, name: " + external + "}}\n", one, crash},
		{"a volume without a name", "", "", declared, declaredCrash},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, w := newLedger(t, tt.from, tt.mount, tt.volumes)
			side := ids(l.containersOf(t, "side"))
			l.show(t, tt.to)
			r := l.run(t, "apply", "-y", "--wait-timeout", "20s")
			l.takenBack(t, r)
			if lost := w.missing(t, l.rows(t)); len(lost) > 0 {
				t.Errorf("of %d acknowledged rows %d are gone: %v", w.count(), len(lost), lost)
			}
			if now := ids(l.containersOf(t, "side")); now != side {
				t.Error("the neighbour was touched")
			}
			t.Logf("%d rows; the upgrade and its way back took %s", w.count(), r.took.Round(time.Millisecond))
		})
	}
	t.Run("and stays where the new version is well", func(t *testing.T) {
		l, w := newLedger(t, one, named, volume)
		l.show(t, well)
		plan := decode[struct {
			Data []struct {
				Name, Action string
				Bytes        int64
			}
		}](t, l.must(t, "plan", "-o", "json").stdout)
		if len(plan.Data) != 1 || plan.Data[0].Name != "ledger/rows" || plan.Data[0].Action != "copy" || plan.Data[0].Bytes == 0 {
			t.Errorf("the plan says of data: %+v", plan.Data)
		}
		l.must(t, "apply", "-y")
		if lost := w.missing(t, l.rows(t)); len(lost) > 0 {
			t.Errorf("of %d acknowledged rows %d are gone", w.count(), len(lost))
		}
		l.show(t, "croft-test/no-such:1")
		before := ids(l.containers(t))
		if r := l.run(t, "apply", "-y"); r.code == exitDone || ids(l.containers(t)) != before {
			t.Errorf("a missing image touched something: %s", r)
		}
	})
}

// TestDataIsKeptWhereCroftIsKilled kills croft in the middle of the copy and of
// the way back.
func TestDataIsKeptWhereCroftIsKilled(t *testing.T) {
	one, crash := ledgerImage(t, "1", ""), ledgerImage(t, "2", "", "-version", "2", "-fate", "crash")
	for _, tt := range []struct {
		phase string
		code  int // of the next apply
	}{{"copy", exitTakenBack}, {"way back", exitDone}} {
		t.Run(tt.phase, func(t *testing.T) {
			l, w := newLedger(t, one, "    volumes: [\"rows:/data\"]\n", "volumes: {rows: {}}\n")
			l.show(t, crash)
			l.killAt(t, tt.phase, "data of")
			if r := l.run(t, "apply", "-y", "--wait-timeout", "20s"); r.code != tt.code {
				t.Errorf("want %d: %s", tt.code, r)
			}
			if lost := w.missing(t, l.rows(t)); len(lost) > 0 {
				t.Errorf("of %d acknowledged rows %d are gone", w.count(), len(lost))
			}
			l.must(t, "plan", "--detailed-exitcode")
		})
	}
}

// killAt kills an apply with SIGKILL when it tells of a step.
func (p *platform) killAt(t *testing.T, phase, message string) {
	t.Helper()
	binary, err := croftBinary()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "apply", "-y", "-o", "json", "--wait-timeout", "20s")
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), "CROFT_STATE="+p.state, "CROFT_DIR="+p.dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killed := false
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var e struct{ Phase, Message string }
		if json.Unmarshal(lines.Bytes(), &e) == nil && e.Phase == phase && strings.HasPrefix(e.Message, message) {
			killed = cmd.Process.Signal(syscall.SIGKILL) == nil
			break
		}
	}
	_ = cmd.Wait() // it was killed
	if !killed {
		t.Fatalf("no apply was killed at %q", phase)
	}
}

func (p *platform) containersOf(t *testing.T, stack string) []container {
	t.Helper()
	return slices.DeleteFunc(p.containers(t), func(c container) bool { return c.stack() != stack })
}
