package stacks

import "fmt"

// What a service's image is called stays the same while the image behind the
// name moves: a registry has a newer one under the tag, somebody tagged another
// by hand, or croft pull fetched it. The lock says which one it was; a plan
// names every other.

// anotherImage is the cause of a change whose reference stayed.
func anotherImage(ref, from, to string) string {
	return fmt.Sprintf("image %s is another one now (%s -> %s)", ref, ShortDigest(from), ShortDigest(to))
}

// movedImage says that the service would run another image under the same
// reference than container g does, "" where it would not. A changed reference is
// named by the definition's causes.
func (d *differ) movedImage(svc RenderedService, g Container, old map[string]any) string {
	id, present := d.have.Images[svc.Image]
	if !present || id == g.ImageID || (g.Spec() != svc.Spec && old["image"] != svc.Image) {
		return ""
	}
	return anotherImage(svc.Image, g.ImageID, id)
}

// unlocked says that a new container would get another image than its reference
// is locked to: nothing runs that could be compared.
func (d *differ) unlocked(svc RenderedService) []string {
	id, present := d.have.Images[svc.Image]
	locked := d.have.Locked[svc.Image].ID
	if !present || locked == "" || locked == id {
		return nil
	}
	return []string{anotherImage(svc.Image, locked, id)}
}
