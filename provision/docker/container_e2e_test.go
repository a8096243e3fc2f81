//go:build e2e

package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/croft-sh/croft/provision"
	"github.com/croft-sh/croft/stacks"
)

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func request(b *bench, services ...string) provision.UpRequest {
	return provision.UpRequest{File: filepath.Join(b.dir, stacks.ComposeFile), Project: b.project, Services: services}
}

func hintOf(err error) string {
	var e interface{ Hint() string }
	if errors.As(err, &e) {
		return e.Hint()
	}
	return ""
}

// services writes services that need no network, one per command.
func services(b *bench, commands map[string]string) string {
	text := "services:\n"
	for name, command := range commands {
		text += fmt.Sprintf("  %s: {image: %q, network_mode: none, %s, labels: {croft.platform: %s, croft.stack: shop}}\n",
			name, testImage(b.t, b.Engine, "1"), command, b.platform)
	}
	return text
}

func TestVersion(t *testing.T) {
	info, err := dial(t).Version(t.Context())
	if err != nil || info.Version == "" || info.API == "" || info.StorageDriver == "" || info.RootDir == "" ||
		len(info.Runtimes) == 0 || info.CgroupVersion == "" {
		t.Errorf("got %+v, %v", info, err)
	}
	t.Logf("%+v", info)
}

func TestRemoveLetsAContainerEnd(t *testing.T) {
	b := newBench(t)
	b.up(services(b, map[string]string{"slow": `command: [stubborn, "3"], stop_grace_period: 20s`}), "slow")
	begin := time.Now()
	if err := b.Remove(t.Context(), []string{b.container("slow").ID}); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took < 2500*time.Millisecond || took > 12*time.Second {
		t.Errorf("it took %s", took)
	}
	b.up(services(b, map[string]string{"hard": `command: [stubborn, "60"], stop_grace_period: 1s`}), "hard")
	begin = time.Now()
	if err := b.Remove(t.Context(), []string{b.container("hard").ID}); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took > 6*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestInspectTellsExitAndRestarts(t *testing.T) {
	b := newBench(t)
	b.up(services(b, map[string]string{
		"once": `command: [exit, "3"]`, "loop": `command: [crash, "10"], restart: always`,
	}), "once", "loop")
	eventually(t, "restarts and an exit code", func() bool {
		list, err := b.Inspect(t.Context(), []string{b.container("once").ID, b.container("loop").ID})
		if err != nil {
			t.Fatal(err)
		}
		return list[0].State == "exited" && list[0].ExitCode == 3 && list[1].Restarts >= 2
	})
	if c := b.container("once"); c.ExitCode != 3 || c.State != "exited" {
		t.Errorf("the list shows %+v", c)
	}
}

func TestExecBoundsOutput(t *testing.T) {
	b := newBench(t)
	b.up(services(b, map[string]string{"web": `command: []`}), "web")
	id := b.container("web").ID
	res, err := b.Exec(t.Context(), id, []string{"/t", "spew", "5000000"}, nil)
	if err != nil || len(res.Stdout) != outputLimit || res.ExitCode != 0 {
		t.Errorf("got %d bytes, exit %d, %v", len(res.Stdout), res.ExitCode, err)
	}
	big := strings.Repeat("y", 700_000)
	res, err = b.Exec(t.Context(), id, []string{"/t", "cat"}, strings.NewReader(big))
	if err != nil || res.Stdout != big {
		t.Errorf("stdin came back as %d bytes, %v", len(res.Stdout), err)
	}
	res, err = b.Exec(t.Context(), id, []string{"/nothing"}, nil)
	if err == nil && res.ExitCode == 0 {
		t.Errorf("a missing program gave %+v", res)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	begin := time.Now()
	if _, err := b.Exec(ctx, id, []string{"/t", "stubborn", "30"}, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a cancelled exec gave %v", err)
	}
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("cancelling took %s", took)
	}
}

func TestExecInteractive(t *testing.T) {
	b := newBench(t)
	b.up(services(b, map[string]string{"web": `command: []`}), "web")
	id := b.container("web").ID
	var out, errOut bytes.Buffer
	code, err := b.ExecInteractive(t.Context(), id, []string{"/t", "both"}, false, nil, &out, &errOut)
	if err != nil || code != 0 || out.String() != "to stdout\n" || errOut.String() != "to stderr\n" {
		t.Errorf("got %d, %v, %q, %q", code, err, out.String(), errOut.String())
	}
	out.Reset()
	code, err = b.ExecInteractive(t.Context(), id, []string{"/t", "both"}, true, nil, &out, nil)
	if err != nil || code != 0 || !strings.Contains(out.String(), "to stderr\r\n") {
		t.Errorf("with a terminal: %d, %v, %q", code, err, out.String())
	}
	if code, err = b.ExecInteractive(t.Context(), id, []string{"/t", "exit", "7"}, false, nil, &out, &errOut); err != nil || code != 7 {
		t.Errorf("exit 7 gave %d, %v", code, err)
	}
}

func TestExecFollowsTheTerminal(t *testing.T) {
	b := newBench(t)
	b.up(services(b, map[string]string{"web": `command: []`}), "web")
	main, terminal := openTerminal(t)
	resize := func(w, h uint16) {
		if err := unix.IoctlSetWinsize(int(main.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: w, Row: h}); err != nil {
			t.Fatal(err)
		}
	}
	resize(91, 31)
	var out safeBuffer
	done := make(chan error, 1)
	go func() {
		_, err := b.ExecInteractive(t.Context(), b.container("web").ID, []string{"/t", "size"}, true, terminal, &out, nil)
		done <- err
	}()
	eventually(t, "the first size", func() bool { return strings.Contains(out.String(), "91x31") })
	resize(92, 32)
	if err := syscall.Kill(os.Getpid(), syscall.SIGWINCH); err != nil { // not our controlling terminal, so the kernel does not send it
		t.Fatal(err)
	}
	eventually(t, "the second size", func() bool { return strings.Contains(out.String(), "92x32") })
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// openTerminal gives both ends of a pseudo terminal.
func openTerminal(t *testing.T) (main, terminal *os.File) {
	t.Helper()
	main, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no pseudo terminals here:", err)
	}
	n, err := unix.IoctlGetInt(int(main.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(main.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = main.Close(), terminal.Close() })
	return main, terminal
}

func TestLogs(t *testing.T) {
	b := newBench(t)
	b.up(services(b, map[string]string{
		"both": `command: [both]`, "terminal": `command: [both], tty: true`, "web": `command: []`,
	}), "both", "terminal", "web")
	req := LogRequest{Sources: []LogSource{
		{ID: b.container("both").ID, Name: "shop/both"}, {ID: b.container("terminal").ID, Name: "shop/terminal"},
	}}
	eventually(t, "four lines", func() bool {
		var out bytes.Buffer
		if err := b.Logs(t.Context(), req, &out); err != nil {
			t.Fatal(err)
		}
		text := out.String()
		return strings.Contains(text, "shop/both     | to stdout\n") && strings.Contains(text, "shop/both     | to stderr\n") &&
			strings.Contains(text, "shop/terminal | to stderr\r\n") && strings.Count(text, "\n") == 4
	})
	text, err := b.Tail(t.Context(), b.container("both").ID, 1)
	if err != nil || strings.Count(text, "\n") != 1 {
		t.Errorf("the last line is %q, %v", text, err)
	}
}

func TestLogsFollowOverARestart(t *testing.T) {
	b := newBench(t)
	b.up(services(b, map[string]string{"web": `command: []`}), "web")
	id := b.container("web").ID
	var out safeBuffer
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		done <- b.Logs(ctx, LogRequest{Sources: []LogSource{{ID: id}}, Follow: true}, &out)
	}()
	eventually(t, "the first line", func() bool { return strings.Contains(out.String(), "up\n") })
	if err := b.Restart(t.Context(), []string{id}); err != nil {
		t.Fatal(err)
	}
	if err := b.Signal(t.Context(), id, "HUP"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the line of the second run", func() bool { return strings.Contains(out.String(), "got hangup") })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestStopStartDestroy(t *testing.T) {
	b := newBench(t)
	net := subnet()
	text := fmt.Sprintf(`services:
  db: {image: %[1]q, volumes: ["data:/data", "/anonymous"]}
  web: {image: %[1]q, depends_on: [db]}
networks:
  default: {name: %[2]s-own, ipam: {config: [{subnet: %[3]s}]}}
volumes:
  data: {name: %[2]s-data}
`, testImage(t, b.Engine, "1"), b.platform, net)
	b.up(text, "db")
	b.up(text, "web") // apart, so that the label does not know of db
	if err := b.Stop(t.Context(), b.project); err != nil {
		t.Fatal(err)
	}
	db, web := b.container("db"), b.container("web")
	if db.Running() || web.Running() {
		t.Errorf("still running: %+v %+v", db, web)
	}
	one := b.finishedAt(db.ID)
	if two := b.finishedAt(web.ID); !two.Before(one) {
		t.Errorf("web ended at %s, after db at %s", two, one)
	}
	if err := b.Start(t.Context(), []string{db.ID, web.ID}); err != nil {
		t.Fatal(err)
	}
	if !b.container("web").Running() {
		t.Error("web was not started")
	}
	volumes := b.volumeNames()
	for range 2 {
		if err := b.Destroy(t.Context(), b.project); err != nil {
			t.Fatal(err)
		}
	}
	state, err := b.Observe(t.Context(), b.platform)
	if err != nil || len(state.Containers) != 0 || len(state.Networks) != 0 || len(state.Volumes) != 1 {
		t.Errorf("left: %+v, %v", state, err)
	}
	if after := b.volumeNames(); len(after) < len(volumes) {
		t.Errorf("volumes before %v, after %v", volumes, after)
	}
	if err := b.RemoveVolume(t.Context(), b.platform+"-data"); err != nil {
		t.Error(err)
	}
	if err := b.RemoveVolume(t.Context(), b.platform+"-data"); err == nil {
		t.Error("a missing volume was removed")
	}
}

func TestSettleWaitsForAStop(t *testing.T) {
	b := newBench(t)
	b.up(services(b, map[string]string{"slow": `command: [stubborn, "4"], stop_grace_period: 20s`}), "slow")
	id := b.container("slow").ID
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_ = b.Remove(ctx, []string{id}) // gives up, the engine goes on
	if b.container("slow").ID != id {
		t.Fatal("it was removed by force")
	}
	eventually(t, "the stop ends", func() bool { return !b.container("slow").Running() })
	begin := time.Now()
	if err := b.Settle(t.Context(), b.project); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took < 900*time.Millisecond || took > 3*time.Second {
		t.Errorf("a quiet project took %s to settle", took)
	}
}
