package stacks

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"sort"
	"strings"
	"time"
)

// Labels croft puts on what it makes. What a label says is fixed when the
// container is made, so the three hashes also tell what it was made from.
const (
	LabelPlatform = "croft.platform" // name of the platform
	LabelStack    = "croft.stack"    // name of the stack
	LabelRoute    = "croft.route"    // platform; only routed services carry it, and Traefik sees only those
	LabelSpec     = "croft.spec"     // hash of the rendered service
	LabelFiles    = "croft.files"    // hash of the mounted files it cannot reload
	LabelSecrets  = "croft.secrets"  // keyed fingerprint of its secrets
	LabelNetwork  = "croft.network"  // on a network: its name within the platform
	LabelSubnet   = "croft.subnet"   // on a network: the subnet it was asked to have
)

// Container is one container of the platform as the Engine's list shows it.
type Container struct {
	ID       string            `json:"id"`
	Name     string            `json:"name"`
	Project  string            `json:"project"` // Compose project
	Stack    string            `json:"stack"`   // "" for one that croft did not make
	Service  string            `json:"service"`
	Image    string            `json:"image"`    // reference it was made from
	ImageID  string            `json:"image_id"` // sha256:...
	State    string            `json:"state"`    // created running paused restarting exited dead
	Health   string            `json:"health"`   // healthy unhealthy starting, "" without a check
	ExitCode int               `json:"exit_code"`
	OneOff   bool              `json:"one_off,omitempty"`
	Labels   map[string]string `json:"-"`
	Networks []string          `json:"networks"` // names of the networks it is on, sorted
	// NetworkIDs is which network of a name it is on: that name may be another's
	// by now.
	NetworkIDs  map[string]string `json:"network_ids,omitempty"`
	NetworkMode string            `json:"network_mode,omitempty"` // "container:<id>" for one that shares another's
	Restarts    int               `json:"restarts"`               // only with Inspect
	// Mounts is what it can write of the host. It is as old as the container, so
	// the token needs no word of it.
	Mounts []Mount `json:"-"`
}

// Spec, Files and Secrets give what the container was made from.
func (c Container) Spec() string    { return c.Labels[LabelSpec] }
func (c Container) Files() string   { return c.Labels[LabelFiles] }
func (c Container) Secrets() string { return c.Labels[LabelSecrets] }

// Running tells whether the container runs now.
func (c Container) Running() bool { return c.State == "running" }

// Network is one network of the platform.
type Network struct {
	ID     string            `json:"id"`
	Name   string            `json:"name"`
	Subnet string            `json:"subnet"`
	Labels map[string]string `json:"-"`
	Driver string            `json:"driver,omitempty"`
	// Internal is one that leads out of the machine nowhere.
	Internal bool `json:"internal,omitempty"`
	// Guests names containers on it that are not the platform's.
	Guests []string `json:"guests,omitempty"`
}

// Volume is one volume of the platform.
type Volume struct {
	Name       string            `json:"name"`
	Driver     string            `json:"driver,omitempty"`
	Mountpoint string            `json:"mountpoint,omitempty"` // as the engine says it
	Options    map[string]string `json:"options,omitempty"`
	Labels     map[string]string `json:"-"`
}

// Undelivered is what is wrong with one secret file.
type Undelivered string

// What may be wrong with it. Other text says how it is not protected as it must
// be; then what is in it is right.
const (
	SecretGone    Undelivered = "gone"
	SecretChanged Undelivered = "changed"
)

// DataState is what is odd about the directory of a volume's data.
type DataState struct {
	Missing  bool   `json:"missing,omitempty"`  // it was there at the last apply
	Emptied  bool   `json:"emptied,omitempty"`  // it had something in it
	Replaced bool   `json:"replaced,omitempty"` // it is another directory
	Owner    string `json:"owner,omitempty"`    // it has this owner now
	Was      string `json:"was,omitempty"`      // and had this one
}

// State is what was observed in one pass, without a decision.
type State struct {
	Engine     string            `json:"engine"` // version of the API that is spoken
	Containers []Container       `json:"containers"`
	Networks   []Network         `json:"networks"`
	Volumes    []Volume          `json:"volumes"`
	Images     map[string]string `json:"images"` // reference -> image ID present on the engine
	// Live is what is written on disk under live/: stack -> slash path -> sha256 of the content.
	Live map[string]map[string]string `json:"live"`
	// LiveModes is the permission bits of those files.
	LiveModes map[string]map[string]uint32 `json:"live_modes,omitempty"`
	// LiveCompose is the text of each live compose.yaml, to name what differs.
	LiveCompose map[string][]byte `json:"-"`
	// Reloaded is what was last reloaded: "stack/service" -> hash.
	Reloaded map[string]string `json:"reloaded"`
	// Made is the IDs of the containers croft made: "stack/service" -> IDs. One
	// that is not among them was put there by somebody else.
	Made map[string][]string `json:"made,omitempty"`
	// Written lists what croft itself wrote under live/: stack -> slash paths. Other
	// files there are a program's own.
	Written map[string][]string `json:"written,omitempty"`
	// Ran is the image a service last passed the gate with: "stack/service" -> ID.
	Ran map[string]string `json:"ran,omitempty"`
	// Locked is what references meant when they were last applied.
	Locked map[string]ImageLock `json:"locked,omitempty"`
	// Ended names services that passed the gate by ending with exit code 0.
	Ended map[string]bool `json:"ended,omitempty"`
	// Undelivered is what is wrong with secret files on the tmpfs: path -> what.
	Undelivered map[string]Undelivered `json:"undelivered,omitempty"`
	// Wrote is what croft wrote last under live/: "stack/slash path" -> sha256 and
	// mode, see RenderedFile.Written.
	Wrote map[string]string `json:"wrote,omitempty"`
	// KnownNetworks is the networks that croft's last apply left: name -> ID.
	KnownNetworks map[string]string `json:"known_networks,omitempty"`
	// Data is what is odd about directories of data: volume key -> what.
	Data map[string]DataState `json:"data,omitempty"`
	// Kept is croft's own tags that are there; nil where it keeps none.
	Kept []string `json:"kept,omitempty"`
	// Lost names files of the state directory that were there and are not.
	Lost []string `json:"lost,omitempty"`
	// Interrupted names services whose change began and has not passed the gate:
	// stack -> services. Labels alone would call them done.
	Interrupted map[string][]string `json:"interrupted,omitempty"`
	// Stopped names stacks that the admin stopped; apply leaves them so.
	Stopped []string `json:"stopped,omitempty"`
	// Held names stacks that apply leaves alone, and until when; zero is until
	// they are released.
	Held map[string]time.Time `json:"held,omitempty"`
	// Others are the containers, with writable mounts, that are not the
	// platform's. What they do makes no plan stale.
	Others []Container `json:"-"`
	// Places gives the directory of each volume of the engine that has one.
	Places map[string]string `json:"-"`
	// NoData names paths that hold nothing which an image could migrate: sockets,
	// the time zone, what does not exist yet.
	NoData map[string]bool `json:"-"`
}

// Token names this state: two observations with the same token would give the
// same plan. Health is not in it, so a container becoming healthy changes nothing.
func (s State) Token() string {
	c := s
	c.Containers = append([]Container(nil), s.Containers...)
	sort.Slice(c.Containers, func(i, j int) bool { return c.Containers[i].ID < c.Containers[j].ID })
	for i := range c.Containers {
		c.Containers[i].Health = ""
		c.Containers[i].Restarts = 0
	}
	raw, err := json.Marshal(c)
	if err != nil {
		panic(err) // only strings, ints, times of this age and maps of them: cannot fail
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:8])
}

// KeepTag is the tag of croft's own that keeps an image for the way back.
func KeepTag(platform, imageID string) string {
	short := strings.TrimPrefix(imageID, "sha256:")
	return KeepRepository + platform + ":" + short[:min(12, len(short))]
}

// KeepRepository is where those tags stand.
const KeepRepository = "croft-keep/"

// Image gives the ID of the image that a reference, however it is written, means
// on this machine.
func (s State) Image(ref string) (string, bool) {
	if id, ok := s.Images[ref]; ok {
		return id, true
	}
	id, ok := s.Images[Reference(ref)]
	return id, ok
}

// For narrows the images to the references of what would run, as they are
// written there, so that a pull of something else does not make a plan stale.
func (s State) For(r Rendered) State {
	images, locked := map[string]string{}, map[string]ImageLock{}
	for _, stack := range r.Stacks {
		for _, svc := range stack.Services {
			if id, ok := s.Image(svc.Image); ok {
				images[svc.Image] = id
			}
			if was, ok := s.Locked[svc.Image]; ok {
				locked[svc.Image] = was
			}
		}
	}
	s.Images, s.Locked = images, locked
	return s
}

// Of gives the containers of one service, without one-off ones.
func (s State) Of(project, service string) []Container {
	var out []Container
	for _, c := range s.Containers {
		if c.Project == project && c.Service == service && !c.OneOff {
			out = append(out, c)
		}
	}
	return out
}

// Owned tells whether a container is the platform's own. One that is merely in a
// Compose project whose name begins like the platform's is somebody else's.
func (c Container) Owned(platform string) bool { return c.Labels[LabelPlatform] == platform }

// Network gives the network of that name.
func (s State) Network(name string) (Network, bool) {
	for _, n := range s.Networks {
		if n.Name == name {
			return n, true
		}
	}
	return Network{}, false
}
