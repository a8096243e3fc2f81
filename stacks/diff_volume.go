package stacks

import (
	"fmt"
)

// volumes compares a stack's volumes and the directories their data lies in.
// Nothing here removes or replaces data; what would need that blocks the plan.
func (d *differ) volumes(s RenderedStack) {
	have := d.byName()
	for _, v := range s.Volumes {
		d.data(s, v)
		if v.Name == "" || v.Kept {
			continue
		}
		got, exists := have[v.Name]
		_, known := d.have.Data[v.Key]
		switch {
		case !exists && known:
			d.plan.Volumes = append(d.plan.Volumes, ResourceChange{Name: v.Name, Action: ActionCreate, Causes: []string{"it is gone; its data lies at " + v.Path}})
			if len(d.have.Made) > 0 {
				d.drifted("volume "+v.Name, "it is gone; its data lies at "+v.Path)
			}
		case !exists:
			d.plan.Volumes = append(d.plan.Volumes, ResourceChange{Name: v.Name, Action: ActionCreate, Causes: []string{"new, at " + v.Path}})
		default:
			d.placed(v, got)
		}
	}
}

// placed blocks a plan whose volume lies elsewhere, or is bound otherwise.
func (d *differ) placed(v RenderedVolume, got Volume) {
	why := ""
	switch {
	case got.Options["device"] != v.Path:
		why = fmt.Sprintf("it exists and lies at %s, not at %s", orUnknown(got.Options["device"]), v.Path)
	case got.Driver != "" && got.Driver != "local":
		why = "its driver is " + got.Driver + ", not local"
	case got.Options["o"] != "" && got.Options["o"] != "bind":
		why = fmt.Sprintf("it is mounted with %q, not with \"bind\"", got.Options["o"])
	default:
		return
	}
	d.drifted("volume "+v.Name, why)
	d.plan.Blocked = append(d.plan.Blocked, Blocked{
		Subject: "volume " + v.Name, Why: why,
		Hint: "croft never moves or replaces data; back it up, remove the volume by hand, and apply again, or name the volume otherwise",
	})
}

func orUnknown(s string) string {
	if s == "" {
		return "a place of the engine's own"
	}
	return s
}

// data looks at the directory of a volume.
func (d *differ) data(s RenderedStack, v RenderedVolume) {
	name := "data of " + v.Key
	have := d.have.Data[v.Key]
	if _, underWay := d.have.Interrupted[s.Name]; underWay {
		return // killed between two renames, the next apply does the second
	}
	switch {
	case have.Missing:
		// A disk that is not mounted looks like this too: a program started now
		// would begin with nothing.
		d.drifted(name, "its directory "+v.Path+" is gone")
		d.plan.Blocked = append(d.plan.Blocked, Blocked{
			Subject: name, Why: "its directory " + v.Path + " is gone",
			Hint: "mount the disk it lies on, or put it back from a backup; to begin with nothing, mkdir -p " + v.Path,
		})
		return
	case have.Emptied:
		d.odd(name, v.Path+" is empty, and was not when croft last applied", "put it back from a backup; the next apply takes it as it is")
	case have.Replaced:
		d.odd(name, v.Path+" is another directory than when croft last applied",
			"a container that ran before has the old one until croft restart "+s.Name+"; the next apply takes it as it is")
	}
	if have.Owner != have.Was {
		d.odd(name, fmt.Sprintf("%s belongs to %s, and belonged to %s", v.Path, have.Owner, have.Was), "the next apply takes it as it is")
	}
}
