//go:build e2e

package e2e

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestOpenReachesAServiceWithoutItsFront opens a routed service of a platform
// whose Traefik was never started.
func TestOpenReachesAServiceWithoutItsFront(t *testing.T) {
	p := catalogPlatform(t, "open", "traefik")
	if err := os.CopyFS(filepath.Join(p.dir, "stacks/quiet"), os.DirFS("testdata/stacks/quiet")); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(p.dir, "croft.yaml")
	p.write(t, "croft.yaml", strings.Replace(string(read(t, config)), "\nstacks:", "\nstacks:\n  quiet: {}", 1))
	p.must(t, "apply", "-y", "--stack", "quiet")
	binary, err := croftBinary()
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"open", "quiet"}, {"open", "quiet/back", "--port", "8081"}} {
		cmd := exec.Command(binary, args...)
		cmd.Env = append(os.Environ(), "CROFT_STATE="+p.state, "CROFT_DIR="+p.dir, "NO_COLOR=1")
		var said strings.Builder
		cmd.Stderr = &said
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(out).ReadString('\n')
		if err != nil {
			t.Errorf("%v: no address: %v", args, err)
		}
		address := "http://" + strings.TrimSpace(line[strings.Index(line, "://")+3:])
		res, err := http.Get(address + "/some/page")
		if err != nil {
			t.Errorf("%v: %v", args, err)
		} else {
			body, _ := io.ReadAll(res.Body)
			_ = res.Body.Close()
			if !strings.Contains(string(body), `"remote_addr"`) {
				t.Errorf("%v: %s does not answer as the program does: %s", args, address, body)
			}
		}
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v ended with %v: %s", args, err, &said)
		}
		if !strings.Contains(said.String(), "past sign-in") {
			t.Errorf("%v does not say that it goes around sign-in: %s", args, &said)
		}
	}
	if r := p.run(t, "open", "quiet/back"); r.code != exitFailed || !strings.Contains(r.said(), "--port names another port") {
		t.Errorf("%s", r)
	}
}
