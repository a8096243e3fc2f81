package stacks

import "maps"

// Lock is what was given once and is never given otherwise: subnets of
// networks, places of volumes, images by ID. Host state, not in git.
type Lock struct {
	Version int                   `json:"version"`
	Range   string                `json:"range"`   // CIDR that subnets are cut from
	Subnets map[string]string     `json:"subnets"` // network key -> CIDR
	Volumes map[string]VolumeLock `json:"volumes"` // "<stack>/<volume>"
	Images  map[string]ImageLock  `json:"images"`  // reference -> what it was when last applied
	// Kept is where the data of adopted projects lies, by "<stack>/<volume>". It is
	// never a place for croft to make a volume.
	Kept map[string]string `json:"kept,omitempty"`
}

// VolumeLock is where a volume was made.
type VolumeLock struct {
	Class string `json:"class"`
	Path  string `json:"path"` // absolute
}

// ImageLock is what a reference meant when it was last applied. With the digest
// another machine can pull the same image, whatever the tag means by then.
type ImageLock struct {
	ID     string `json:"id"`               // sha256:... under which this machine's engine has it
	Digest string `json:"digest,omitempty"` // sha256:... under which the registry has it, if it came from one
}

// Places gives the directories that data lies in, by "<stack>/<volume>".
func (l Lock) Places() map[string]string {
	out := maps.Clone(l.Kept)
	if out == nil {
		out = map[string]string{}
	}
	for key, v := range l.Volumes {
		out[key] = v.Path
	}
	return out
}
