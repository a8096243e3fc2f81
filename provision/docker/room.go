package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"

	mediatypes "github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/platforms"
	"github.com/docker/go-units"
	"github.com/moby/moby/api/types/system"
	"github.com/moby/moby/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/croft-sh/croft/stacks"
)

const (
	// unpacked is how much room an image takes for each byte that is downloaded:
	// the compressed layer itself, and about twice of it unpacked.
	unpacked = 3
	// plenty is the free room for each image above which nobody asks how large it
	// is: registries count manifests that are fetched, and few images come near.
	plenty = 10 << 30

	manifestLimit = 4 << 20 // what registries themselves allow
)

// room refuses a pull that the disk cannot hold. It goes by what registries say:
// an image whose registry tells this program nothing counts for nothing, and
// layers that are here already are counted too.
func (e *Engine) room(ctx context.Context, all []found) ([]stacks.Blocked, error) {
	if !strings.HasPrefix(e.api.DaemonHost(), "unix://") {
		return nil, nil // its disk is not this machine's
	}
	res, err := e.api.Info(ctx, client.InfoOptions{})
	if err != nil {
		return nil, failed("ask the container engine about itself", err)
	}
	dir := imageDir(res.Info)
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return nil, nil // the engine sees another file system, as in a container
	}
	free := int64(fs.Bavail) * int64(fs.Bsize)
	if free/plenty >= int64(len(all)) {
		return nil, nil
	}
	bytes := e.bytes(ctx, all, res.Info)
	if ctx.Err() != nil {
		return nil, fmt.Errorf("ask registries: %w", ctx.Err())
	}
	if need := bytes * unpacked; need > free {
		return []stacks.Blocked{{
			Subject: "disk",
			Why: fmt.Sprintf("%s of images to download need about %s below %s, where %s are free",
				units.BytesSize(float64(bytes)), units.BytesSize(float64(need)), dir, units.BytesSize(float64(free))),
			Hint: "make room: croft clean and docker system df show what can go; nothing was touched",
		}}, nil
	}
	return nil, nil
}

// imageDir is where the engine keeps images. With containerd's store that is
// containerd's own directory, unless the engine runs one of its own.
func imageDir(in system.Info) string {
	const own, theirs = "/run/containerd/containerd.sock", "/var/lib/containerd"
	for _, s := range in.DriverStatus {
		if s[0] == "driver-type" && strings.HasPrefix(s[1], "io.containerd.snapshotter") && in.Containerd != nil && in.Containerd.Address == own {
			if _, err := os.Stat(theirs); err == nil {
				return theirs
			}
		}
	}
	return in.DockerRootDir
}

// bytes sums up the layers to download, one that several images share once.
func (e *Engine) bytes(ctx context.Context, all []found, in system.Info) (sum int64) {
	var mu sync.Mutex
	layers := map[string]int64{}
	var g errgroup.Group
	g.SetLimit(asksAtOnce)
	for _, f := range all {
		g.Go(func() error {
			bounded, cancel := context.WithTimeout(ctx, e.patience.answer)
			defer cancel()
			of, err := e.layersOf(bounded, f, in)
			if err != nil {
				return nil // not known; the pull itself says what is wrong
			}
			mu.Lock()
			defer mu.Unlock()
			for _, l := range of {
				layers[l.Digest.String()] = max(l.Size, 0)
			}
			return nil
		})
	}
	_ = g.Wait() // nothing in it fails
	for _, size := range layers {
		sum += size
	}
	return sum
}

// layersOf reads an image's manifest. The engine has no call for that.
func (e *Engine) layersOf(ctx context.Context, f found, in system.Info) ([]ocispec.Descriptor, error) {
	fetcher, err := e.fetcher(ctx, f.ref, in)
	if err != nil {
		return nil, err
	}
	desc := f.desc
	if mediatypes.IsIndexType(desc.MediaType) {
		var index ocispec.Index
		if err := read(ctx, fetcher, desc, &index); err != nil {
			return nil, err
		}
		if desc, err = e.ofMachine(index.Manifests); err != nil {
			return nil, err
		}
	}
	var manifest ocispec.Manifest
	err = read(ctx, fetcher, desc, &manifest)
	return manifest.Layers, err
}

// ofMachine gives the manifest that the engine would take.
func (e *Engine) ofMachine(list []ocispec.Descriptor) (ocispec.Descriptor, error) {
	here, err := e.machine()
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	match := platforms.Only(here)
	list = slices.DeleteFunc(slices.Clone(list), func(d ocispec.Descriptor) bool { return d.Platform == nil || !match.Match(*d.Platform) })
	if len(list) == 0 {
		return ocispec.Descriptor{}, errors.New("no manifest for this machine")
	}
	return slices.MinFunc(list, func(a, b ocispec.Descriptor) int {
		switch {
		case match.Less(*a.Platform, *b.Platform):
			return -1
		case match.Less(*b.Platform, *a.Platform):
			return 1
		}
		return 0
	}), nil
}

func read(ctx context.Context, from remotes.Fetcher, desc ocispec.Descriptor, into any) error {
	body, err := from.Fetch(ctx, desc)
	if err != nil {
		return err
	}
	defer body.Close()
	return json.NewDecoder(io.LimitReader(body, manifestLimit)).Decode(into)
}

// fetcher speaks to the registry of ref with the credentials of docker login,
// without encryption only where the engine does so too.
func (e *Engine) fetcher(ctx context.Context, ref string, in system.Info) (remotes.Fetcher, error) {
	cli, err := e.cli()
	if err != nil {
		return nil, err
	}
	auth, err := cli.ConfigFile().GetAuthConfig(registryOf(ref))
	if err != nil {
		return nil, err
	}
	credentials := func(string) (string, string, error) {
		if auth.IdentityToken != "" {
			return "", auth.IdentityToken, nil
		}
		return auth.Username, auth.Password, nil
	}
	web := &http.Client{Transport: http.DefaultTransport}
	resolver := docker.NewResolver(docker.ResolverOptions{Hosts: docker.ConfigureDefaultRegistries(
		docker.WithClient(web),
		docker.WithPlainHTTP(func(host string) (bool, error) { return insecure(in, host), nil }),
		docker.WithAuthorizer(docker.NewDockerAuthorizer(docker.WithAuthClient(web), docker.WithAuthCreds(credentials))),
	)})
	return resolver.Fetcher(ctx, full(ref))
}
