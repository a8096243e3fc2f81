package docker

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moby/moby/api/types/jsonstream"
)

func message(id, status string, current, total int64) jsonstream.Message {
	return jsonstream.Message{ID: id, Status: status, Progress: &jsonstream.Progress{Current: current, Total: total}}
}

func TestDownloadSumsItsLayers(t *testing.T) {
	d := newDownload(time.Hour, func() {})
	defer d.end()
	if d.add(jsonstream.Message{Status: "Pulling from shop/app"}) != nil || d.add(message("a", "Pulling fs layer", 0, 0)) != nil {
		t.Error("a message without bytes is progress")
	}
	d.add(message("a", "Downloading", 10, 100))
	if sum := d.add(message("b", "Downloading", 5, 50)); sum == nil || sum.Current != 15 || sum.Total != 150 {
		t.Errorf("the sum is %+v", sum)
	}
	if sum := d.add(message("b", "Downloading", 5, 50)); sum != nil {
		t.Errorf("the same again is progress: %+v", sum)
	}
	if sum := d.add(jsonstream.Message{ID: "a", Status: "Download complete"}); sum == nil || sum.Current != 105 {
		t.Errorf("the sum is %+v", sum)
	}
}

// TestDownloadStalls: only a byte is a sign of life, and unpacking is no stall.
func TestDownloadStalls(t *testing.T) {
	const limit = time.Minute
	for name, c := range map[string]struct {
		before  jsonstream.Message
		again   func(i int64) jsonstream.Message
		stalled bool
	}{
		"silence":            {message("a", "Downloading", 1, 100), nil, true},
		"bytes":              {message("a", "Downloading", 1, 100), func(i int64) jsonstream.Message { return message("a", "Downloading", i+2, 100) }, false},
		"the same, repeated": {message("a", "Downloading", 1, 100), func(int64) jsonstream.Message { return message("a", "Downloading", 1, 100) }, true},
		"unpacking":          {message("a", "Extracting", 1, 100), nil, false},
		"all is here":        {message("a", "Download complete", 0, 0), nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var stalled atomic.Bool
				d := newDownload(limit, func() { stalled.Store(true) })
				defer d.end()
				d.add(c.before)
				for i := range int64(20) {
					time.Sleep(limit / 6)
					if c.again != nil {
						d.add(c.again(i))
					}
				}
				synctest.Wait()
				if stalled.Load() != c.stalled {
					t.Errorf("stalled is %v", stalled.Load())
				}
			})
		})
	}
}
