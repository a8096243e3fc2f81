package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os/user"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/containerd/platforms"
	"github.com/docker/cli/cli/command"
	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/flags"
	"github.com/moby/moby/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sirupsen/logrus"

	"github.com/croft-sh/croft/provision"
)

// dialTimeout bounds how long an engine may take to answer at all.
const dialTimeout = 15 * time.Second

// Engine is a container engine that answers.
type Engine struct {
	api     client.APIClient
	cli     func() (command.Cli, error)      // what the Compose SDK works with; same connection as api
	machine func() (ocispec.Platform, error) // what the engine runs images for
	// patience is for registries.
	patience patience
	starts   chan struct{} // one place for each start of ours under way
	adopted  map[string]string
}

var (
	_ provision.Engine     = (*Engine)(nil)
	_ provision.Networks   = (*Engine)(nil)
	_ provision.Containers = (*Engine)(nil)
	_ provision.Registries = (*Engine)(nil)
)

// Dial connects to the engine that the docker command would use: DOCKER_HOST,
// else the current docker context. It speaks the newest API both sides know
// (1.41 of Engine 20.10 and newer). The error wraps ErrNoEngine or ErrNoRights
// where that is what is wrong, and has a Hint.
func Dial(ctx context.Context) (*Engine, error) {
	// The SDK warns through the global logger of logrus, straight onto the
	// terminal and into JSON output. What matters of it reaches the caller as
	// events and errors.
	logrus.SetOutput(io.Discard)

	opts := flags.NewClientOptions()
	api, err := command.NewAPIClientFromFlags(opts, config.LoadDefaultConfigFile(io.Discard))
	if err != nil {
		return nil, &Error{Doing: "find the container engine", Err: fmt.Errorf("%w: %w", ErrNoEngine, err),
			Advice: "check DOCKER_HOST and docker context ls"}
	}
	e, err := connect(ctx, api)
	if err != nil {
		return nil, errors.Join(err, closeQuietly(api))
	}
	return e, nil
}

// connect shakes hands through api. What most commands do without is made when
// it is first used: the SDK's side, and what the machine is, which the engine
// starts programs to answer.
func connect(ctx context.Context, api client.APIClient) (*Engine, error) {
	bounded, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if _, err := api.Ping(bounded, client.PingOptions{NegotiateAPIVersion: true}); err != nil {
		return nil, diagnose(ctx, api.DaemonHost(), err)
	}
	return &Engine{
		api: api, patience: defaultPatience(), starts: make(chan struct{}, startsAtOnce),
		cli:     sync.OnceValues(func() (command.Cli, error) { return newCLI(api) }),
		machine: sync.OnceValues(func() (ocispec.Platform, error) { return machineOf(ctx, api) }),
	}, nil
}

func machineOf(ctx context.Context, api client.APIClient) (ocispec.Platform, error) {
	bounded, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	v, err := api.ServerVersion(bounded, client.ServerVersionOptions{})
	if err != nil {
		return ocispec.Platform{}, failed("ask the container engine for its version", err)
	}
	return platforms.Normalize(ocispec.Platform{OS: v.Os, Architecture: v.Arch}), nil
}

func newCLI(api client.APIClient) (command.Cli, error) {
	// The client is given, as DockerCli ends the whole process when it cannot
	// make one itself.
	cli, err := command.NewDockerCli(command.WithCombinedStreams(io.Discard), command.WithAPIClient(api))
	if err == nil {
		err = cli.Initialize(flags.NewClientOptions())
	}
	if err != nil {
		return nil, failed("prepare the Compose SDK", err)
	}
	return cli, nil
}

// closeQuietly closes a client that never answered; only a real failure is worth telling.
func closeQuietly(c io.Closer) error {
	if err := c.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// Close gives the connections back.
func (e *Engine) Close() error { return e.api.Close() }

// diagnose says why the engine at host did not answer. The client drops the
// system's error on its way, so a Unix socket is asked once more here.
func diagnose(ctx context.Context, host string, cause error) error {
	if ctx.Err() != nil {
		return failed("connect to the container engine at "+host, ctx.Err())
	}
	if path, ok := strings.CutPrefix(host, "unix://"); ok {
		c, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "unix", path)
		if err == nil {
			_ = c.Close() // it listens, so what the client said stands
		} else {
			cause = err
		}
	}
	return explain(host, cause)
}

// explain classes an error of connecting.
func explain(host string, err error) error {
	e := &Error{Doing: "connect to the container engine at " + host}
	switch {
	case errors.Is(err, fs.ErrPermission), strings.Contains(err.Error(), "permission denied"):
		e.Err = fmt.Errorf("%w: %w", ErrNoRights, err)
		e.Advice = "run croft as root, or let this user use the engine: sudo usermod -aG docker " + userName() +
			", then log in again"
	case errors.Is(err, fs.ErrNotExist):
		e.Err = fmt.Errorf("%w: %w", ErrNoEngine, err)
		e.Advice = "install Docker Engine (https://docs.docker.com/engine/install/), or start it: sudo systemctl start docker"
	case errors.Is(err, syscall.ECONNREFUSED):
		e.Err = fmt.Errorf("%w: %w", ErrNoEngine, err)
		e.Advice = "the engine is not running: sudo systemctl start docker; journalctl -u docker says why it stopped"
	case strings.Contains(err.Error(), "is not supported by this client"):
		e.Err = err
		e.Advice = "this engine is too old: croft needs Docker Engine 20.10 or newer"
	default:
		e.Err = fmt.Errorf("%w: %w", ErrNoEngine, err)
		e.Advice = "check that the engine runs and that DOCKER_HOST or the docker context points to it"
	}
	return e
}

func userName() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "$USER"
}

// Info is what the engine says about itself.
type Info struct {
	Version       string   `json:"version"`
	API           string   `json:"api"` // as negotiated
	StorageDriver string   `json:"storage_driver"`
	CgroupVersion string   `json:"cgroup_version"`
	CgroupDriver  string   `json:"cgroup_driver"`
	Runtimes      []string `json:"runtimes"` // sorted
	Rootless      bool     `json:"rootless"`
	RootDir       string   `json:"root_dir"` // where it keeps images and volumes
	OS            string   `json:"os"`
	Arch          string   `json:"arch"`
	CPUs          int      `json:"cpus"`
	Memory        int64    `json:"memory"` // bytes
	Warnings      []string `json:"warnings,omitempty"`
}

// Version asks the engine about itself.
func (e *Engine) Version(ctx context.Context) (Info, error) {
	res, err := e.api.Info(ctx, client.InfoOptions{})
	if err != nil {
		return Info{}, failed("ask the container engine about itself", err)
	}
	in := res.Info
	out := Info{
		Version: in.ServerVersion, API: e.api.ClientVersion(),
		StorageDriver: in.Driver, CgroupVersion: in.CgroupVersion, CgroupDriver: in.CgroupDriver,
		RootDir: in.DockerRootDir, OS: in.OperatingSystem, Arch: in.Architecture,
		CPUs: in.NCPU, Memory: in.MemTotal, Warnings: in.Warnings,
	}
	for name := range in.Runtimes {
		out.Runtimes = append(out.Runtimes, name)
	}
	sort.Strings(out.Runtimes)
	for _, o := range in.SecurityOptions {
		if strings.Contains(o, "name=rootless") {
			out.Rootless = true
		}
	}
	return out, nil
}
