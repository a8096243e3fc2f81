package provision

import "context"

// LostError means that the engine went away in the middle of an apply. What was
// begun is neither good nor bad: nothing was taken back, because a new version may
// have taken rows meanwhile, and those would go with its data.
type LostError struct{ Failed *FailedError }

func (e *LostError) Error() string {
	return "the engine went away in the middle: " + e.Failed.Stack + ": " + e.Failed.Reason
}

// Hint says how to go on.
func (e *LostError) Hint() string {
	return "when the engine runs again, croft apply goes on where this ended; croft boot does the same"
}

// watch tells later whether the engine went away meanwhile.
func (p *Provisioner) watch(ctx context.Context) (gone func() bool, end context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	if p.Watch == nil {
		return func() bool { return false }, cancel
	}
	return p.Watch(ctx), cancel
}
