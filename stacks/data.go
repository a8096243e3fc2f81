package stacks

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// What a new image is about to meet. The image that changes need not be the one
// that has the data mounted: a program migrates its database over the network.

// Kinds of data.
const (
	DataVolume   = "volume"
	DataBind     = "bind"
	DataDatabase = "database"
)

// What becomes of data that a new image meets.
const (
	DataCopy  = "copy"  // copied aside first, and back on the way back
	DataLeave = "leave" // left as it is
)

// DataChange is data that a new image is about to meet.
type DataChange struct {
	Stack  string   `json:"stack"`
	Kind   string   `json:"kind"`
	Name   string   `json:"name"` // by which it is told apart on this platform
	Action string   `json:"action"`
	Causes []string `json:"causes"`
	Path   string   `json:"path,omitempty"`  // directory or file of this machine
	Bytes  int64    `json:"bytes,omitempty"` // 0 where it is not known
	// Volume is the engine's name of a volume.
	Volume string `json:"volume,omitempty"`
	// Database is where a database is.
	Database *RenderedDatabase `json:"database,omitempty"`
	// Asked is true where a person said that it may go without a copy: then the
	// stack is not taken back by itself.
	Asked bool `json:"asked,omitempty"`
	// By names the services with the new image.
	By []string `json:"by"`
}

// RenderedMount is writable data that lies where croft did not put it.
type RenderedMount struct {
	Key    string // the path of a bind, "<stack>/<volume>" of a volume
	Path   string // on this machine; "" where only the engine knows
	Volume string // name on the engine, "" for a bind
	Remote string // the driver or kind of file system that holds it elsewhere
}

// RenderedDatabase is a database on a shared server.
type RenderedDatabase struct {
	Name    string `json:"name"`
	Engine  string `json:"engine"`
	Service string `json:"service"` // that connects
	Server  string `json:"server"`  // stack that serves it
	Hub     string `json:"hub"`     // its service
}

// Place is what lies at a path of the machine.
type Place struct {
	Path  string // without links
	Data  bool   // false: nothing, or what a change of image has no part in, as a socket
	Bytes int64  // 0 where counting took too long
	Why   string // why it cannot be copied aside; "" where it can
}

// Mount is what a container has of the host and can write.
type Mount struct {
	Volume string // name on the engine, "" for a bind
	Path   string // on the host, "" where it is not known
	Target string // in the container
}

// meets tells whether a service that changes gets another image than the one its
// data knows.
func (d *differ) meets(s RenderedStack, svc RenderedService, c Change) bool {
	id := d.sureImage(svc)
	switch c.Action {
	case ActionRecreate:
		return slices.ContainsFunc(d.of(s.Project, svc.Name), func(g Container) bool { return g.ImageID != id })
	case ActionCreate:
		if ran := d.have.Ran[s.Name+"/"+svc.Name]; ran != "" {
			return ran != id
		}
		// A service that is new, or has another name now, on data that is not new.
		for key := range d.have.Ran {
			if strings.HasPrefix(key, s.Name+"/") {
				return true
			}
		}
	}
	return false
}

// sureImage gives the image that a service will get, "" where it may be another
// than was seen: it is built anew, or its tag may have moved in the registry.
func (d *differ) sureImage(svc RenderedService) string {
	if id, here := d.have.Images[svc.Image]; here {
		return id
	}
	if locked := d.have.Locked[svc.Image]; locked.Digest != "" && !svc.Build {
		return locked.ID
	}
	return ""
}

// atRisk lists what the services with another image can reach, and what becomes of
// it. changes are the stack's, and are told the risk.
func (d *differ) atRisk(s RenderedStack, meets []string, changes []Change) {
	if len(meets) == 0 {
		return
	}
	found := exposure{d: d, s: s, by: map[string]*DataChange{}}
	for _, name := range meets {
		svc, _ := s.Service(name)
		found.of(svc, name, true)
		if !svc.Stateless {
			for _, other := range reach(s, name) {
				next, _ := s.Service(other)
				found.of(next, name, false)
			}
		}
		found.databases(name)
		for i := range changes {
			if changes[i].Service == name && found.touched[name] {
				changes[i].Risk = RiskData
			}
		}
	}
	for _, one := range found.list {
		d.plan.Data = append(d.plan.Data, *one)
	}
	d.pauses(s, changes, found.list)
	for _, name := range meets {
		svc, _ := s.Service(name)
		if shared := d.strangerNetworks(svc); len(shared) > 0 {
			d.plan.NotChecked = append(d.plan.NotChecked, fmt.Sprintf(
				"data of others that %s/%s reaches over network %s, which no stack of this platform made", s.Name, name, strings.Join(shared, ", ")))
		}
	}
}

// strangerNetworks are networks of a service that neither its project nor croft
// makes.
func (d *differ) strangerNetworks(svc RenderedService) []string {
	return slices.DeleteFunc(slices.Clone(svc.Networks), func(n string) bool { return strings.HasPrefix(n, d.want.Platform+"-") })
}

// pauses says of services that run on that they stop while their data is copied.
func (d *differ) pauses(s RenderedStack, changes []Change, list []*DataChange) {
	paused := map[string]bool{}
	for i, c := range changes { // in dependency order: those followed come first
		if c.Action != ActionNone || len(c.Containers) == 0 {
			continue
		}
		svc, _ := s.Service(c.Service)
		why := ""
		for _, one := range list {
			if one.Action == DataCopy && d.holds(s, svc, one) {
				why = "it stops while " + one.Name + " is copied"
				break
			}
		}
		for _, f := range svc.Follows {
			if paused[f] && why == "" {
				why = "it shares a space of " + f + ", which stops while data is copied"
			}
		}
		if why != "" {
			paused[c.Service] = true
			changes[i].Action, changes[i].Risk, changes[i].Causes = ActionRestart, RiskRestart, []string{why}
		}
	}
}

// holds tells whether a service has the data open.
func (d *differ) holds(s RenderedStack, svc RenderedService, one *DataChange) bool {
	if one.Database != nil {
		return one.Database.Service == svc.Name || slices.Contains(svc.Follows, one.Database.Service)
	}
	if slices.Contains(svc.Volumes, one.Name) || slices.ContainsFunc(svc.Mounts, func(m RenderedMount) bool { return m.Key == one.Name }) {
		return true
	}
	return slices.ContainsFunc(d.of(s.Project, svc.Name), func(c Container) bool { return one.MountedBy(c) })
}

// MountedBy tells whether a container has the data, or a part of it, mounted.
func (c DataChange) MountedBy(by Container) bool {
	return slices.ContainsFunc(by.Mounts, func(m Mount) bool {
		return c.Volume != "" && m.Volume == c.Volume || c.Path != "" && (Within(c.Path, m.Path) || Within(m.Path, c.Path))
	})
}

// Within tells whether path is root or lies below it; both are absolute and clean.
func Within(root, path string) bool {
	return path != "" && root != "" && (path == root || strings.HasPrefix(path, strings.TrimSuffix(root, "/")+"/"))
}

// reach gives the services that one can reach: over networks, shared spaces,
// shared data and declared needs, and what those reach in turn. A change may pass
// through a pooler or an API that stays as it is.
func reach(s RenderedStack, from string) []string {
	seen := map[string]bool{from: true}
	for todo := []string{from}; len(todo) > 0; todo = todo[1:] {
		a, _ := s.Service(todo[0])
		for _, b := range s.Services {
			if !seen[b.Name] && (linked(a, b) || linked(b, a)) {
				seen[b.Name] = true
				todo = append(todo, b.Name)
			}
		}
	}
	delete(seen, from)
	return slices.Sorted(maps.Keys(seen))
}

func linked(a, b RenderedService) bool {
	common := func(x, y []string) bool {
		return slices.ContainsFunc(x, func(n string) bool { return slices.Contains(y, n) })
	}
	return a.HostNet || common(a.Networks, b.Networks) || common(a.Volumes, b.Volumes) ||
		slices.Contains(a.DependsOn, b.Name) || slices.Contains(a.Follows, b.Name)
}

// exposure collects the data of a stack that new images can reach.
type exposure struct {
	d       *differ
	s       RenderedStack
	by      map[string]*DataChange
	list    []*DataChange
	touched map[string]bool // services with a new image that meet something
}

// of adds what a service holds. own is true for the service with the new image
// itself: what it mounts is copied even where it is declared disposable, because
// the old image would not start on it.
func (e *exposure) of(svc RenderedService, cause string, own bool) {
	for _, v := range e.s.Volumes {
		if !slices.Contains(svc.Volumes, v.Key) {
			continue
		}
		have, made := e.d.byName()[v.Name]
		switch {
		case !v.Kept || v.Name == "":
		case !made:
			continue // of no interest before it is made
		default:
			v.Path = have.DataPath()
		}
		e.add(DataChange{Kind: DataVolume, Name: v.Key, Path: v.Path, Volume: v.Name}, cause, !own && e.disposable(v.Key))
		if got := e.by[v.Key]; v.Path == "" && got.Action == DataCopy {
			e.d.block(*got, "it is held by the driver "+have.Driver+", where croft cannot copy it aside")
		}
	}
	declared := map[string]bool{}
	for _, m := range svc.Mounts {
		one := DataChange{Kind: DataBind, Name: m.Key, Path: m.Path, Volume: m.Volume}
		if m.Volume != "" {
			one.Kind, declared[m.Volume] = DataVolume, true
			if one.Path == "" && m.Remote == "" {
				one.Path = e.d.have.Places[m.Volume]
			}
		}
		e.add(one, cause, e.disposable(m.Key))
		if got := e.by[m.Key]; m.Remote != "" && got.Action == DataCopy {
			e.d.block(*got, "it is held by "+m.Remote+", where croft cannot copy it aside")
		}
	}
	for _, v := range e.s.Volumes {
		declared[v.Name] = true
	}
	for _, c := range e.d.of(e.s.Project, svc.Name) {
		for _, m := range c.Mounts {
			if have, ok := e.d.byName()[m.Volume]; ok && have.Options["type"] == "tmpfs" {
				continue // what is in memory ends with its container
			}
			if m.Volume != "" && !declared[m.Volume] {
				key := fmt.Sprintf("%s/%s:%s", e.s.Name, svc.Name, m.Target)
				e.add(DataChange{Kind: DataVolume, Name: key, Path: e.d.have.Places[m.Volume], Volume: m.Volume}, cause, e.disposable(key))
			}
		}
	}
}

// disposable tells whether backup.volumes says skip.
func (e *exposure) disposable(key string) bool {
	return slices.Contains(e.s.Disposable, strings.TrimPrefix(key, e.s.Name+"/"))
}

// block holds a change for a person.
func (d *differ) block(one DataChange, why string) {
	d.plan.Blocked = append(d.plan.Blocked, one.Hold(why))
}

// Hold says why a change waits for a person, and how he lets it pass.
func (c DataChange) Hold(why string) Blocked {
	return Blocked{
		Subject: "data " + c.Name, Why: fmt.Sprintf("a new image would meet it (%s), and %s", strings.Join(c.Causes, "; "), why),
		Hint: fmt.Sprintf("back it up yourself and croft apply --without-copy %s: the stack is then not taken back by itself; "+
			"where no version changes it, write backup: {volumes: {%q: skip}} into x-croft of stack %s", c.Name, strings.Replace(strings.TrimPrefix(c.Name, c.Stack+"/"), ".binds/", "./", 1), c.Stack),
	}
}

// databases adds those that the service, or one that it reaches, connects to.
func (e *exposure) databases(name string) {
	near := append(reach(e.s, name), name)
	if svc, _ := e.s.Service(name); svc.Stateless {
		near = []string{name}
	}
	for _, db := range e.s.Databases {
		if !slices.Contains(near, db.Service) || db.Server == e.s.Name {
			continue // its own server's volume is copied already
		}
		one := DataChange{Kind: DataDatabase, Name: e.s.Name + "/" + db.Engine + "/" + db.Name, Database: &db}
		e.add(one, name, db.Engine != "postgres")
		if got := e.by[one.Name]; db.Engine != "postgres" {
			got.Causes = append(got.Causes, "what is kept in "+db.Engine+" stays as it is: sessions, queues and caches")
		}
	}
}

// add notes data once, with every service that puts it at risk.
func (e *exposure) add(one DataChange, cause string, disposable bool) {
	if e.d.have.NoData[one.Path] {
		return
	}
	got, known := e.by[one.Name]
	switch {
	case known:
		if !slices.Contains(got.By, cause) {
			got.By = append(got.By, cause)
			got.Causes = append(got.Causes, cause+" gets another image")
		}
		if !disposable && !got.Asked {
			got.Action = DataCopy
		}
	default:
		one.Stack, one.Action, one.By, one.Causes = e.s.Name, DataCopy, []string{cause}, []string{cause + " gets another image"}
		if slices.Contains(e.d.o.WithoutCopy, one.Name) {
			one.Action, one.Asked = DataLeave, true
		} else if disposable {
			one.Action = DataLeave
		}
		got = &one
		e.by[one.Name] = got
		e.list = append(e.list, got)
	}
	if got.Action == DataCopy || got.Asked {
		if e.touched == nil {
			e.touched = map[string]bool{}
		}
		e.touched[cause] = true
	}
}
