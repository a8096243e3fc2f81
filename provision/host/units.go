package host

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// UnitDir is where an admin's units of systemd are.
const UnitDir = "/etc/systemd/system"

// unitMark begins every unit that croft wrote: one without it is not croft's.
const unitMark = "# Written by croft schedule install; croft schedule remove takes it away.\n"

// BootUnits is what the units of a platform are made from. Paths are absolute.
type BootUnits struct {
	Platform   string
	Binary     string   // croft
	Dir        string   // of the platform
	State      string   // what --state was given, "" for none
	Needs      []string // what has to be mounted before secrets can be delivered
	Storage    []string // what has to be mounted before programs are started
	DockerHost string   // DOCKER_HOST, "" for none
}

// Unit is one file for systemd.
type Unit struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// Units gives both units. Docker wants the first and requires neither, so it
// starts whatever becomes of them; both are bounded in time. Neither may have a
// mount namespace of its own (PrivateTmp, ProtectSystem and the like): what the
// first one mounts must be seen by everybody.
func (b BootUnits) Units() []Unit {
	environment := ""
	if b.DockerHost != "" {
		environment = "Environment=" + unitWord("DOCKER_HOST="+b.DockerHost) + "\n"
	}
	secrets := fmt.Sprintf(`%s[Unit]
Description=croft %s: secrets in memory, before Docker starts containers
Before=docker.service
RequiresMountsFor=%s

[Service]
Type=oneshot
ExecStart=%s boot --secrets%s
TimeoutStartSec=60

[Install]
WantedBy=docker.service multi-user.target
`, unitMark, b.Platform, unitWords(b.Needs), unitWord(b.Binary), b.flags())
	boot := fmt.Sprintf(`%s[Unit]
Description=croft %s: finish or undo an interrupted apply, start what could not start
Wants=docker.service croft-%[2]s-secrets.service
After=docker.service croft-%[2]s-secrets.service
RequiresMountsFor=%[3]s

[Service]
Type=oneshot
%[4]sExecStart=%[5]s boot%[6]s
TimeoutStartSec=30min

[Install]
WantedBy=multi-user.target
`, unitMark, b.Platform, unitWords(append(append([]string{}, b.Needs...), b.Storage...)), environment, unitWord(b.Binary), b.flags())
	return []Unit{{b.name("secrets"), secrets}, {b.name("boot"), boot}}
}

func (b BootUnits) name(what string) string { return "croft-" + b.Platform + "-" + what + ".service" }

func (b BootUnits) flags() string {
	out := " --dir " + unitWord(b.Dir)
	if b.State != "" {
		out += " --state " + unitWord(b.State)
	}
	return out
}

// unitWord quotes a word as systemd reads it: specifiers, variables, quotes.
func unitWord(s string) string {
	s = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "%", "%%", "$", "$$", "\n", `\n`, "\t", `\t`).Replace(s)
	return `"` + s + `"`
}

// unitWords is for lists of paths, where a dollar is only a dollar.
func unitWords(list []string) string {
	words := make([]string, len(list))
	for i, s := range list {
		words[i] = strings.ReplaceAll(unitWord(s), "$$", "$")
	}
	return strings.Join(words, " ")
}

// InstallUnits writes units that are not there as they should be, and gives those
// it wrote. Nothing is written where one of the names is somebody else's. Killed
// in between: some are new, and the next call writes the rest.
func InstallUnits(dir string, units []Unit) (wrote []string, err error) {
	var due []Unit
	for _, u := range units {
		old, err := ownUnit(dir, u.Name)
		if err != nil {
			return nil, err
		}
		if string(old) != u.Text {
			due = append(due, u)
		}
	}
	for _, u := range due {
		if err := WriteFile(filepath.Join(dir, u.Name), []byte(u.Text), 0o644); err != nil {
			return wrote, err
		}
		wrote = append(wrote, u.Name)
	}
	return wrote, nil
}

// RemoveUnits removes those of the units that are there, and gives their names.
// before is asked to let go of them first. One that croft did not write stays, and
// is an error before anything is removed.
func RemoveUnits(dir string, units []Unit, before func(names []string) error) (removed []string, err error) {
	var there []string
	for _, u := range units {
		old, err := ownUnit(dir, u.Name)
		if err != nil {
			return nil, err
		}
		if old != nil {
			there = append(there, u.Name)
		}
	}
	if len(there) == 0 {
		return nil, nil
	}
	if err := before(there); err != nil {
		return nil, err
	}
	for _, name := range there {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return removed, failed(name, "cannot remove the unit", "run as root", err)
		}
		removed = append(removed, name)
	}
	return removed, wrap(dir, syncDir(dir))
}

// MissingUnits gives the names of units that are not there as they should be.
func MissingUnits(dir string, units []Unit) []string {
	var out []string
	for _, u := range units {
		if old, err := os.ReadFile(filepath.Join(dir, u.Name)); err != nil || string(old) != u.Text {
			out = append(out, u.Name)
		}
	}
	return out
}

// ownUnit reads a unit that croft wrote; nil where there is none.
func ownUnit(dir, name string) ([]byte, error) {
	path := filepath.Join(dir, name)
	old, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, failed(path, "cannot read the unit", "run as root", err)
	case !bytes.HasPrefix(old, []byte(unitMark)):
		return nil, failed(path, "was not written by croft", "move it away, and run the command again", nil)
	}
	return old, nil
}

// Systemd tells whether systemd runs this machine.
func Systemd() bool {
	_, err := os.Stat("/run/systemd/system")
	return err == nil
}
