package stacks

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Labels that docker compose puts on what it makes.
const (
	LabelComposeHash    = "com.docker.compose.config-hash"
	LabelComposeVersion = "com.docker.compose.version"
)

// ComposeNetwork is a network that a plain adopted project makes itself.
type ComposeNetwork struct {
	Name string
	Hash string // as docker compose computes it
}

// ComposeText is what docker compose hashes of a service. Where a service shares
// a space of another one, the ID of that one's container is part of it, which is
// known only once it is observed: [ContainerPlace] stands for it.
type ComposeText string

// ContainerPlace stands for the ID of a service's first container.
func ContainerPlace(service string) string { return "@croft-container-" + service + "@" }

// hash gives the hash as docker compose would have it on this project now.
func (t ComposeText) hash(d *differ, project string) string {
	text := regexp.MustCompile(`@croft-container-([^@]+)@`).ReplaceAllStringFunc(string(t), func(place string) string {
		name := strings.TrimSuffix(strings.TrimPrefix(place, "@croft-container-"), "@")
		got := d.have.Of(project, name)
		if len(got) == 0 {
			return place
		}
		return slices.MinFunc(got, func(a, b Container) int { return cmp.Compare(a.Name, b.Name) }).ID
	})
	return ContentSum([]byte(text))
}

// otherwise tells whether a container of a plain stack is made from another
// definition, as docker compose sees it.
func (d *differ) otherwise(s RenderedStack, svc RenderedService, c Container) bool {
	return s.Plain && c.Labels[LabelComposeHash] != svc.Compose.hash(d, s.Project)
}

// plainCauses is recreateCauses for a plain adopted stack. What docker compose
// would leave alone, croft leaves alone, whoever made the container: the
// directory may still be used without croft.
func (d *differ) plainCauses(s RenderedStack, svc RenderedService, got []Container, old, fresh map[string]any) (causes, strange []string) {
	odd := func(more ...string) {
		causes, strange = append(causes, more...), append(strange, more...)
	}
	if len(got) != svc.Replicas {
		causes = append(causes, fmt.Sprintf("%d containers instead of %d", len(got), svc.Replicas))
	}
	want := svc.Compose.hash(d, s.Project)
	for _, g := range got {
		edited := d.have.Live[s.Name][ComposeFile] != ContentSum(s.Compose())
		switch {
		case g.Labels[LabelComposeHash] == want:
			if id, present := d.have.Images[svc.Image]; present && id != g.ImageID {
				odd(anotherImage(svc.Image, g.ImageID, id))
			}
		case g.Spec() != "":
			causes = append(causes, "croft's decoration is taken off")
		case edited:
			causes = append(causes, definedOtherwise(g, old, fresh)...)
		default:
			odd(definedOtherwise(g, old, fresh)...)
		}
		if !plainName(s.Project, svc, g.Name) {
			odd("its container was renamed to " + g.Name)
		}
		for _, n := range svc.Networks {
			if !slices.Contains(g.Networks, n) {
				odd("it is not on network " + n)
			}
		}
	}
	for _, n := range s.Hashes {
		have, exists := d.have.Network(n.Name)
		label := have.Labels[LabelComposeHash]
		if exists && label != "" && label != n.Hash && slices.Contains(svc.Networks, n.Name) {
			causes = append(causes, "network "+n.Name+" is defined otherwise now")
		}
	}
	return dedupe(causes), dedupe(strange)
}

// definedOtherwise names what differs where the last written form is known, else
// by whom the container was made.
func definedOtherwise(g Container, old, fresh map[string]any) []string {
	if old != nil && fresh != nil {
		if causes := specCauses(old, fresh); len(causes) != 1 || causes[0] != noCause {
			return causes
		}
	}
	if v := g.Labels[LabelComposeVersion]; v != "" {
		return []string{"its container was made from another definition, by docker compose " + strings.TrimPrefix(v, "v")}
	}
	return []string{"its container was made from another definition"}
}

// plainName is ownName, with the underscores that docker-compose used to write.
func plainName(project string, svc RenderedService, name string) bool {
	if svc.Container == "" && strings.HasPrefix(name, project+"_"+svc.Name+"_") {
		return true
	}
	return ownName(project, svc, name)
}

// notSeen lists what is not looked at in plain adopted stacks.
func (d *differ) notSeen() {
	for _, s := range d.want.Stacks {
		if s.Plain && d.selected(s.Name) {
			d.plan.NotChecked = append(d.plan.NotChecked, "files that "+s.Name+" mounts: it was adopted, and docker compose does not look at them either")
		}
	}
}

// Volume gives the volume of that name.
func (s State) Volume(name string) (Volume, bool) {
	for _, v := range s.Volumes {
		if v.Name == name {
			return v, true
		}
	}
	return Volume{}, false
}

// DataPath is the directory of the machine that a volume's data lies in, "" where
// only its driver knows.
func (v Volume) DataPath() string {
	switch {
	case v.Driver != "" && v.Driver != "local":
		return ""
	case len(v.Options) == 0:
		return v.Mountpoint
	case slices.Contains(strings.Split(v.Options["o"], ","), "bind"):
		return v.Options["device"]
	}
	return ""
}
