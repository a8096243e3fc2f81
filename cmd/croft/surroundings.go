package main

import (
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/croft-sh/croft/stacks"
	"github.com/croft-sh/croft/tui"
)

// surroundings is what this machine suggests as answers.
func (a *app) surroundings(d *draft) tui.Surroundings {
	s := tui.Surroundings{
		Name:     nameLike(filepath.Base(d.dir), "home"),
		Timezone: a.hostTimezone(),
		Admin:    nameLike(firstNonEmpty(a.env["SUDO_USER"], a.env["USER"]), "admin"),
		Exists:   d.exists(),
	}
	if s.Admin == "root" {
		s.Admin = "admin"
	}
	for _, name := range d.known() {
		x, _, _, err := d.info(name)
		label := x.About
		if err != nil {
			label = ""
		}
		s.Stacks = append(s.Stacks, stacks.Choice{Value: name, Label: label})
		if contains(tui.DefaultStacks(), name) {
			s.Default = append(s.Default, name)
		}
	}
	return s
}

// nameLike makes a platform's or person's name of a word, or gives the other.
func nameLike(word, other string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(word) {
		switch {
		case r >= 'a' && r <= 'z', b.Len() > 0 && r >= '0' && r <= '9':
			b.WriteRune(r)
		case b.Len() > 0 && (r == '-' || r == '_' || r == '.' || r == ' '):
			b.WriteByte('-')
		}
	}
	name := strings.TrimRight(b.String(), "-")
	if len(name) > 30 {
		name = strings.TrimRight(name[:30], "-")
	}
	if name == "" {
		return other
	}
	return name
}

// hostTimezone gives the IANA name of the host's time zone, or UTC.
func (a *app) hostTimezone() string {
	candidates := []string{a.env["TZ"]}
	if text, err := os.ReadFile("/etc/timezone"); err == nil {
		candidates = append(candidates, strings.TrimSpace(string(text)))
	}
	if target, err := filepath.EvalSymlinks("/etc/localtime"); err == nil {
		if _, zone, ok := strings.Cut(target, "zoneinfo/"); ok {
			candidates = append(candidates, zone)
		}
	}
	for _, zone := range candidates {
		if zone == "" || zone == "Local" || strings.HasPrefix(zone, ":") {
			continue
		}
		if _, err := time.LoadLocation(zone); err == nil {
			return canonicalUTC(zone)
		}
	}
	return "UTC"
}

// canonicalUTC gives the many names of UTC the one that people know.
func canonicalUTC(zone string) string {
	switch zone {
	case "Etc/UTC", "UCT", "Etc/UCT", "Zulu", "Etc/Zulu", "Universal", "Etc/Universal":
		return "UTC"
	}
	return zone
}
