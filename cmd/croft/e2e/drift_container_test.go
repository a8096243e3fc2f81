//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// byHand makes a container as somebody would who copies what there is, labels
// and all.
func (s *driftScene) byHand(service, name string, remove bool) string {
	s.t.Helper()
	id := s.id(service)
	args := []string{"run", "-d", "--name", name, "--network", s.name + "-app_own"}
	for key, value := range s.container(s.t, "app", service).Config.Labels {
		args = append(args, "--label", key+"="+value)
	}
	image := s.docker("inspect", "-f", "{{.Config.Image}}", id)
	if remove {
		s.docker("rm", "-f", id)
	}
	return s.docker(append(args, image, "-listen", ":8081")...)
}

// again lets Compose replace a service's container from the live file.
func (s *driftScene) again(service string) {
	s.t.Helper()
	binary, err := composeBinary()
	s.check(err)
	out, err := exec.Command(binary, "-p", s.name+"-app", "-f", s.live("app/compose.yaml"), "up", "-d", "--no-deps", "--force-recreate", service).CombinedOutput()
	if err != nil {
		s.t.Fatalf("%v\n%s", err, out)
	}
	s.await(service, "(healthy)")
}

// crash kills a program until the engine waits before it starts it again.
func (s *driftScene) crash(service string) {
	s.t.Helper()
	id := s.id(service)
	for range 12 {
		if s.docker("inspect", "-f", "{{.State.Status}}", id) == "running" {
			pid, err := strconv.Atoi(s.docker("inspect", "-f", "{{.State.Pid}}", id))
			s.check(err)
			if pid > 0 {
				_ = syscall.Kill(pid, syscall.SIGKILL) // it may just have ended
			}
		}
		if count, _ := strconv.Atoi(s.docker("inspect", "-f", "{{.RestartCount}}", id)); count >= 6 {
			break
		}
		time.Sleep(1700 * time.Millisecond)
	}
	s.await(service, "Restarting")
}

func containerDrift() []drift {
	var taken net.Listener
	var webStarted string
	started := func(s *driftScene) string { return s.docker("inspect", "-f", "{{.State.StartedAt}}", s.id("web")) }
	return []drift{
		{name: "container removed", do: func(s *driftScene) { s.docker("rm", "-f", s.id("web")) },
			want: []string{"app/web: its container is gone"}, changes: []string{"app/web create"}},
		{name: "container stopped", do: func(s *driftScene) { s.docker("stop", "-t", "1", s.id("web")) },
			want: []string{"app/web: it is exited"}, changes: []string{"app/web start"}},
		{name: "container killed", do: func(s *driftScene) { s.docker("kill", s.id("scraper")) },
			want: []string{"hub/scraper: it is exited"}, changes: []string{"hub/scraper start"}},
		{name: "container paused", do: func(s *driftScene) { s.docker("pause", s.id("web")) },
			want: []string{"app/web: it is paused"}, changes: []string{"app/web start"}},
		{name: "container renamed", do: func(s *driftScene) { s.docker("rename", s.id("web"), s.name+"-mine") },
			want: []string{"app/web: its container was renamed to PLATFORM-mine"}, changes: []string{"app/web recreate"},
			after: func(s *driftScene) {
				if name := s.container(s.t, "app", "web").Name; name != "/"+s.name+"-app-web-1" {
					s.t.Errorf("it is called %s", name)
				}
			}},
		{name: "container made again by hand with its labels", do: func(s *driftScene) {
			webStarted = started(s)
			s.byHand("side", s.name+"-app-side-1", true)
		},
			want: []string{"app/side: its container is not the one croft made", "app/sharer: it shares the network of a container that is gone"},
			// web asks to be restarted with side, sharer has its network.
			changes: []string{"app/side recreate", "app/sharer recreate", "app/web restart"},
			after: func(s *driftScene) {
				if started(s) == webStarted {
					s.t.Error("web was not restarted")
				}
				if s.docker("inspect", "-f", "{{.HostConfig.NetworkMode}}", s.id("sharer")) != "container:"+s.id("side") {
					s.t.Error("the sharer is not on the new container's network")
				}
			}},
		{name: "container replaced by docker compose", do: func(s *driftScene) { s.again("web") },
			want: []string{"app/web: its container is not the one croft made"}, changes: []string{"app/web recreate"}},
		{name: "a second container beside it", do: func(s *driftScene) { s.byHand("side", s.name+"-app-side-2", false) },
			want: []string{"app/side: container PLATFORM-app-side-2 beside it is not croft's"}, changes: []string{"app/side remove"}},
		{name: "a container that says it is of the project", do: func(s *driftScene) {
			s.docker("run", "-d", "--network", "none", "--name", s.name+"-intruder", "--label", "com.docker.compose.project="+s.name+"-app",
				"--label", "com.docker.compose.service=intruder", s.name+"/echo:1")
		}, want: []string{"container PLATFORM-intruder: it says it is of project PLATFORM-app, and croft did not make it"},
			left: true, undo: func(s *driftScene) { s.docker("rm", "-f", s.name+"-intruder") }},
		{name: "a container with croft's labels", do: func(s *driftScene) {
			s.docker("run", "-d", "--network", "none", "--name", s.name+"-false", "--label", "com.docker.compose.project="+s.name+"-app", "--label", "croft.platform="+s.name,
				"--label", "croft.stack=app", "--label", "com.docker.compose.service=false", s.name+"/echo:1")
		}, want: []string{"container PLATFORM-false: croft did not make it"},
			left: true, undo: func(s *driftScene) { s.docker("rm", "-f", s.name+"-false") }},
		{name: "docker update of memory", do: func(s *driftScene) { s.docker("update", "--memory", "64m", "--memory-swap", "64m", s.id("web")) },
			notChecked: "docker update", undo: func(s *driftScene) { s.docker("update", "--memory", "256m", "--memory-swap", "512m", s.id("web")) }},
		{name: "docker update of cpus", do: func(s *driftScene) { s.docker("update", "--cpus", "0.5", s.id("web")) },
			notChecked: "limits", undo: func(s *driftScene) { s.docker("update", "--cpus", "1", s.id("web")) }},
		{name: "docker update of the restart policy", do: func(s *driftScene) { s.docker("update", "--restart", "no", s.id("web")) },
			notChecked: "restart policies", undo: func(s *driftScene) { s.docker("update", "--restart", "unless-stopped", s.id("web")) }},
		{name: "a file written inside a container", do: func(s *driftScene) {
			pid := s.docker("inspect", "-f", "{{.State.Pid}}", s.id("web"))
			s.check(os.WriteFile("/proc/"+pid+"/root/tmp/there", []byte("x"), 0o644))
		}, notChecked: "inside a running container", undo: func(s *driftScene) {
			pid := s.docker("inspect", "-f", "{{.State.Pid}}", s.id("web"))
			s.check(os.Remove("/proc/" + pid + "/root/tmp/there"))
		}},
		{name: "unhealthy", do: func(s *driftScene) {
			pid, err := strconv.Atoi(s.docker("inspect", "-f", "{{.State.Pid}}", s.id("sharer")))
			s.check(err)
			s.check(syscall.Kill(pid, syscall.SIGSTOP))
			s.await("sharer", "(unhealthy)")
		}, want: []string{"app/sharer: it runs, and its health check fails"}, left: true, undo: func(s *driftScene) {
			pid, err := strconv.Atoi(s.docker("inspect", "-f", "{{.State.Pid}}", s.id("sharer")))
			s.check(err)
			s.check(syscall.Kill(pid, syscall.SIGCONT))
			s.await("sharer", "(healthy)")
		}},
		{name: "crash loop", do: func(s *driftScene) { s.crash("scraper") },
			want: []string{"hub/scraper: it crashes again and again, last with exit code 137"},
			left: true, undo: func(s *driftScene) { s.await("scraper", "(healthy)") }},
		{name: "one restart of a container that runs", do: func(s *driftScene) { s.docker("restart", "-t", "1", s.id("scraper")); s.await("scraper", "(healthy)") },
			notChecked: "restarts of a container that runs", undo: func(*driftScene) {}},
		{name: "its port taken while it was stopped", do: func(s *driftScene) {
			s.docker("stop", "-t", "1", s.id("web"))
			var err error
			taken, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", s.port))
			s.check(err)
		}, want: []string{"app/web: it is exited"}, changes: []string{"app/web start"}, blocked: "app/web",
			undo: func(s *driftScene) { s.check(taken.Close()) }},
		{name: "croft.yaml edited is no drift", do: func(s *driftScene) {
			s.write(s.t, "stacks/hub/compose.yaml", strings.Replace(fmt.Sprintf(driftHub, s.name), "    healthcheck", "    environment: {A: b}\n    healthcheck", 1))
		}, changes: []string{"hub/scraper recreate"}},
	}
}
