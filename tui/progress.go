package tui

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/croft-sh/croft/stacks"
)

// Progress shows the steps of an apply. Finished steps stay as lines; on a
// terminal the steps under way stand below them and are drawn over.
type Progress struct {
	mu     sync.Mutex
	out    io.Writer
	style  Style
	live   bool
	now    func() time.Time
	active []step // in the order they began
	drawn  int    // lines of the live region on the screen
	last   time.Time
}

type step struct {
	key   stepKey
	text  string
	since time.Time
}

// stepKey says on what: a service, a stack, or ("", "") the platform.
type stepKey struct{ stack, service string }

// above tells whether k is the stack of other, or the platform.
func (k stepKey) above(other stepKey) bool {
	return k != other && k.service == "" && (k.stack == "" || k.stack == other.stack)
}

// redraw is the shortest time between two drawings of what is under way.
const redraw = 100 * time.Millisecond

// maxLive is how many steps under way are shown.
const maxLive = 8

// NewProgress makes a view of events. live: out is a terminal with a cursor.
func NewProgress(out io.Writer, style Style, live bool, now func() time.Time) *Progress {
	return &Progress{out: out, style: style, live: live, now: now}
}

// On takes an event; it is a [stacks.Events].
func (p *Progress) On(e stacks.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.State == stacks.Working || passing(e) {
		p.underWay(e)
		return
	}
	took := p.end(e)
	p.clear()
	p.printf("%s\n", p.finished(e, took))
	p.draw()
}

// passing tells a step whose end says little: a container that was made or
// started, whose health is told next.
func passing(e stacks.Event) bool {
	return e.State == stacks.Done && e.Phase == "up" && (e.Service != "" || e.Message != "")
}

// Close takes away what is still drawn as under way.
func (p *Progress) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.active = nil
	p.clear()
}

// underWay shows one line a service; before a stack's services have any, one
// for the stack, and before that one for the platform.
func (p *Progress) underWay(e stacks.Event) {
	text := stepName(e)
	if e.Message != "" {
		text += ": " + Printable(e.Message)
	}
	if e.Progress != nil && e.Progress.Total > 0 {
		text += fmt.Sprintf(" (%d%%)", e.Progress.Current*100/e.Progress.Total)
	}
	key := stepKey{e.Stack, e.Service}
	p.active = slices.DeleteFunc(p.active, func(s step) bool { return s.key.above(key) })
	at := slices.IndexFunc(p.active, func(s step) bool { return s.key == key })
	if at < 0 {
		p.active = append(p.active, step{key, text, p.now()})
	} else {
		p.active[at].text = text
	}
	if at >= 0 && p.now().Sub(p.last) < redraw {
		return
	}
	p.clear()
	p.draw()
}

// end takes the line of what ended away, and those of its services.
func (p *Progress) end(e stacks.Event) time.Duration {
	key := stepKey{e.Stack, e.Service}
	var took time.Duration
	p.active = slices.DeleteFunc(p.active, func(s step) bool {
		if s.key == key {
			took = p.now().Sub(s.since)
		}
		return s.key == key || (e.Stack != "" && key.above(s.key))
	})
	return took
}

func (p *Progress) finished(e stacks.Event, took time.Duration) string {
	mark := p.style.Green("✓")
	switch e.State {
	case stacks.Warning:
		mark = p.style.Yellow("!")
	case stacks.Failed:
		mark = p.style.Red("✗")
	}
	text := stepName(e)
	if e.Message != "" {
		text += ": " + Printable(e.Message)
	}
	if e.State == stacks.Done && e.Phase == "gate" {
		text = strings.TrimSuffix(stepName(e), " gate") + " " + firstOf(Printable(e.Message), "ready")
	}
	if took >= time.Second {
		text += fmt.Sprintf(" (%s)", took.Round(100*time.Millisecond))
	}
	if !p.live || e.State != stacks.Done {
		return mark + " " + text // whole: a warning cut short is none
	}
	return mark + " " + Truncate(text, p.style.Width-2)
}

func (p *Progress) draw() {
	if !p.live {
		return
	}
	p.last = p.now()
	for i, s := range p.active {
		if i == maxLive {
			p.printf("%s\n", p.style.Dim(fmt.Sprintf("  and %d more", len(p.active)-maxLive)))
			p.drawn++
			break
		}
		p.printf("%s\n", p.style.Dim(Truncate("… "+s.text, p.style.Width-1)))
		p.drawn++
	}
}

// clear takes the live region off the screen.
func (p *Progress) clear() {
	if p.drawn > 0 {
		p.printf("\x1b[%dA\x1b[J", p.drawn)
		p.drawn = 0
	}
}

// printf writes to a terminal or a log; that it fails must not stop an apply.
func (p *Progress) printf(format string, args ...any) { _, _ = fmt.Fprintf(p.out, format, args...) }

// stepName says on what and what: "traefik/traefik up".
func stepName(e stacks.Event) string {
	name := e.Stack
	if e.Service != "" {
		name = strings.TrimPrefix(name+"/"+e.Service, "/")
	}
	if e.Phase == "result" { // the message says it all
		return name
	}
	return strings.TrimSpace(name + " " + e.Phase)
}
