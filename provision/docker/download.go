package docker

import (
	"sync"
	"time"

	"github.com/moby/moby/api/types/jsonstream"

	"github.com/croft-sh/croft/stacks"
)

// download follows the layers of one pull: how much of them is here, and whether
// anything still arrives.
type download struct {
	mu     sync.Mutex
	layers map[string]layer
	limit  time.Duration
	timer  *time.Timer
	ended  bool
}

type layer struct {
	status  string
	current int64
	total   int64
}

// newDownload calls stalled once nothing arrived for the limit.
func newDownload(limit time.Duration, stalled func()) *download {
	d := &download{layers: map[string]layer{}, limit: limit}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.timer = time.AfterFunc(limit, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		switch {
		case d.ended:
		case d.unpacking():
			d.timer.Reset(d.limit) // that is the disk's time, not the registry's
		default:
			stalled()
		}
	})
	return d
}

func (d *download) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ended = true
	d.timer.Stop()
}

// unpacking tells whether a layer is being checked or unpacked, or all are
// there: engines say nothing while a large one is.
func (d *download) unpacking() bool {
	coming := 0
	for _, l := range d.layers {
		switch l.status {
		case "Verifying Checksum", "Extracting":
			return true
		case "Download complete", "Pull complete", "Already exists":
		default:
			coming++
		}
	}
	return coming == 0 && len(d.layers) > 0
}

// add takes a message. It gives the sum of all layers where a download went on.
func (d *download) add(m jsonstream.Message) *stacks.Progress {
	d.mu.Lock()
	defer d.mu.Unlock()
	if m.ID == "" {
		return nil
	}
	was, next := d.layers[m.ID], layer{status: m.Status}
	next.current, next.total = was.current, was.total
	switch m.Status {
	case "Downloading":
		if m.Progress != nil {
			next.current, next.total = m.Progress.Current, m.Progress.Total
		}
	case "Download complete", "Pull complete":
		next.current = next.total
	}
	d.layers[m.ID] = next
	// Engines with containerd's store repeat themselves whether or not a byte
	// came, so only what differs counts as a sign of life.
	if next != was || m.Status == "Extracting" {
		d.timer.Reset(d.limit)
	}
	if next.current == was.current && next.total == was.total {
		return nil
	}
	var sum stacks.Progress
	for _, l := range d.layers {
		sum.Current += l.current
		sum.Total += l.total
	}
	return &sum
}
