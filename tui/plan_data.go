package tui

import (
	"fmt"
	"strings"

	"github.com/croft-sh/croft/stacks"
)

// data draws what new images are about to meet, and whether it is copied first.
func (v *planView) data(changes []stacks.DataChange) {
	if len(changes) == 0 {
		return
	}
	v.line("")
	v.line("%s", v.style.Bold("data"))
	width := 0
	for _, c := range changes {
		width = max(width, len(Printable(c.Name)))
	}
	for _, c := range changes {
		head := fmt.Sprintf("  = %s  copy", Pad(Printable(c.Name), width))
		paint := v.style.Green
		switch {
		case c.Asked:
			head, paint = fmt.Sprintf("  ! %s  without a copy, as asked: there is no way back", Pad(Printable(c.Name), width)), v.style.Red
		case c.Action == stacks.DataLeave:
			head, paint = fmt.Sprintf("  . %s  left", Pad(Printable(c.Name), width)), v.style.Dim
		case c.Bytes > 0:
			head += "  " + Size(c.Bytes)
		}
		v.line("%s  %s", paint(head), v.style.Dim(Printable(strings.Join(c.Causes, "; "))))
	}
}

// Size gives bytes as people read them, a thousand to the next unit.
func Size(n int64) string {
	value, units := float64(n), []string{"B", "kB", "MB", "GB", "TB"}
	for value >= 1000 && len(units) > 1 {
		value, units = value/1000, units[1:]
	}
	if units[0] == "B" {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", value, units[0])
}
