package provision

import (
	"context"
	"slices"

	"github.com/croft-sh/croft/stacks"
)

// PullRequest is one image that is to be present.
type PullRequest struct {
	Reference string
	// Locked is what the reference meant when it was last applied. An image that
	// is not here is then that one again, and never another: by its ID where it
	// still lies here, else by its digest.
	Locked stacks.ImageLock
	// Fresh asks the registry what the reference means now, whatever is here and
	// whatever is locked.
	Fresh bool
}

// Registries are asked before anything is touched.
type Registries interface {
	// Check tells what stands against pulling what is not here: a registry that
	// does not answer or refuses, an image that it does not have for this machine,
	// a disk that is too small. It fetches nothing, and asks no registry where
	// everything is here.
	Check(ctx context.Context, wants []PullRequest, ev stacks.Events) ([]stacks.Blocked, error)
}

// wants gives the images that the plan needs present, each once.
func (r *run) wants() []PullRequest {
	var out []PullRequest
	for _, c := range r.prep.Plan.Changes {
		s, _ := r.prep.Rendered.Stack(c.Stack)
		svc, ok := s.Service(c.Service)
		if !ok || svc.Build || (c.Action != stacks.ActionCreate && c.Action != stacks.ActionRecreate) ||
			slices.ContainsFunc(out, func(w PullRequest) bool { return w.Reference == svc.Image }) {
			continue
		}
		if _, here := r.prep.meanings[svc.Image]; here {
			continue // a rollback gives the reference its old meaning again
		}
		out = append(out, PullRequest{Reference: svc.Image, Locked: r.locked(c.Stack, svc.Image)})
	}
	return out
}

// imagesCanBeHad refuses, before anything is touched, what could not be pulled.
func (r *run) imagesCanBeHad(ctx context.Context) error {
	if r.p.Registries == nil {
		return nil
	}
	blocked, err := r.p.Registries.Check(ctx, r.wants(), r.ev)
	if err != nil {
		return err
	}
	if len(blocked) > 0 {
		return &BlockedError{Blocked: blocked}
	}
	return nil
}

// locked gives what a reference is locked to for a stack. One that was rolled
// back wants the image of its revision; without its digest whatever comes is
// compared with it afterwards.
func (r *run) locked(stack, ref string) stacks.ImageLock {
	lock := r.prep.Lock.Images[ref]
	back := r.prep.backs[stack]
	if _, old := r.prep.Desired.Held[stack]; !old || !back.Rollback {
		return lock
	}
	then, err := r.p.revision(back.Good)
	switch id, digest := then.Images[ref], then.Digests[ref]; {
	case err != nil || id == "" || id == lock.ID:
		return lock
	case digest != "":
		return stacks.ImageLock{ID: id, Digest: digest}
	}
	return stacks.ImageLock{}
}

// lockImages remembers what each reference meant. The revision notes every
// image; the lock moves only with stacks that were applied: what failed, or was
// left alone, keeps the lock it had. Killed before the lock is written, the
// images are here and the next apply writes it; until then the old lock names
// the difference in the plan.
func (r *run) lockImages(ctx context.Context, present map[string]string) error {
	for _, s := range r.prep.Rendered.Stacks {
		for _, svc := range s.Services {
			id, known := r.rev.Images[svc.Image]
			if known && r.rev.Stacks[s.Name] == "applied" {
				r.prep.Lock.Images[svc.Image] = lockOf(present, svc.Image, id, r.prep.Lock.Images[svc.Image])
			}
		}
	}
	if err := r.p.writeLock(r.prep.Lock); err != nil {
		return err
	}
	// What runs, runs: a tag that cannot be kept or dropped fails no apply.
	if err := r.keepImages(context.WithoutCancel(ctx)); err != nil {
		r.ev(stacks.Event{Phase: "images", State: stacks.Warning, Message: err.Error()})
	}
	return nil
}

// lockOf gives the lock of an image. The digest of one that stayed is kept, even
// where the engine has forgotten which registry it came from.
func lockOf(images map[string]string, ref, id string, was stacks.ImageLock) stacks.ImageLock {
	lock := stacks.ImageLock{ID: id, Digest: stacks.DigestOf(images, ref, id, was.Digest)}
	if lock.Digest == "" && was.ID == id {
		lock.Digest = was.Digest
	}
	return lock
}

// lockedImages is the part of the lock that a plan compares with.
func (p *Provisioner) lockedImages() (map[string]stacks.ImageLock, error) {
	lock, err := p.readLock()
	return lock.Images, err
}
