package provision

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// places gives where data lies beside which copies can be: every volume of the
// lock, and what else was copied and is listed.
func (c *cleaner) places(listed []aside) []aside {
	var out []aside
	places := c.lock.Places()
	for _, key := range slices.Sorted(maps.Keys(places)) {
		stack, _, _ := strings.Cut(key, "/")
		out = append(out, aside{Stack: stack, Volume: key, Path: places[key]})
	}
	for _, a := range listed {
		known := func(b aside) bool { return b.Path == a.Path }
		if a.Database == nil && !slices.ContainsFunc(out, known) {
			out = append(out, aside{Stack: a.Stack, Volume: a.Volume, Path: a.Path})
		}
	}
	return out
}

// databases gives the copies on servers that run, after the rules of directories.
// Those on a server that does not run are told another time.
func (c *cleaner) databases(ctx context.Context) ([]Reclaimable, error) {
	var listed []aside
	if err := readJSON(c.p.asidesPath(), &listed); err != nil {
		return nil, err
	}
	var out []Reclaimable
	for _, a := range listed {
		if a.Database == nil || c.p.Databases == nil || c.wanted[a.Copy] || c.underWay(a.Stack, a.Revision) || !a.Failed && !c.old(a.Revision) {
			continue
		}
		server, err := c.p.server(ctx, *a.Database)
		if err != nil {
			continue
		}
		bytes, there, err := c.p.Databases.Size(ctx, server, a.Copy)
		if err != nil {
			return nil, err
		}
		if !there {
			continue
		}
		one := Reclaimable{Owner: a.Stack, Kind: "copy", Database: a.Copy, Bytes: bytes,
			Why: fmt.Sprintf("data of %s from before revision %d, more than 7 days ago", a.Volume, a.Revision)}
		if a.Failed {
			one.Kind, one.Why = "failed-data", fmt.Sprintf("data of %s that the failed revision %d left", a.Volume, a.Revision)
		}
		out = append(out, one)
	}
	return out, nil
}

// dropCopy removes the copy of a database, and then forgets it: killed in between,
// one that is not there is not told any more.
func (p *Provisioner) dropCopy(ctx context.Context, name string) error {
	var listed []aside
	if err := readJSON(p.asidesPath(), &listed); err != nil {
		return err
	}
	for _, a := range listed {
		if a.Database == nil || a.Copy != name {
			continue
		}
		server, err := p.server(ctx, *a.Database)
		if err != nil {
			return err
		}
		if err := p.Databases.Drop(ctx, server, name); err != nil {
			return err
		}
	}
	return p.writeJSON(p.asidesPath(), slices.DeleteFunc(listed, func(a aside) bool { return a.Database != nil && a.Copy == name }))
}
