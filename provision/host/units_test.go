package host

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func bootUnits(t *testing.T) BootUnits {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return BootUnits{Platform: "home", Binary: self, Dir: "/srv/my platform/100%", State: "/var/lib/croft $HOME",
		Needs: []string{"/var/lib/croft/home", "/etc/croft"}, Storage: []string{"/srv/croft/home/with space"}, DockerHost: "unix:///run/other.sock"}
}

// TestSystemdReadsTheUnits lets systemd's own tool judge them, with a docker.service
// beside them.
func TestSystemdReadsTheUnits(t *testing.T) {
	tool, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not on this machine: the units are not judged")
	}
	dir := t.TempDir()
	files := []string{}
	units := append(bootUnits(t).Units(), Unit{Name: "docker.service", Text: "[Unit]\nDescription=x\n[Service]\nExecStart=/bin/true\n"})
	for _, u := range units {
		path := filepath.Join(dir, u.Name)
		if err := os.WriteFile(path, []byte(u.Text), 0o644); err != nil {
			t.Fatal(err)
		}
		files = append(files, path)
	}
	judge := func() string {
		cmd := exec.Command(tool, append([]string{"verify", "--man=no", "--recursive-errors=yes"}, files...)...)
		cmd.Env = append(os.Environ(), "SYSTEMD_UNIT_PATH="+dir+":", "SYSTEMD_LOG_LEVEL=warning")
		out, err := cmd.CombinedOutput()
		var own []string
		for _, line := range strings.Split(string(out), "\n") {
			if strings.Contains(line, "croft") {
				own = append(own, line)
			}
		}
		if err != nil {
			own = append(own, err.Error())
		}
		return strings.Join(own, "\n")
	}
	if said := judge(); said != "" {
		t.Errorf("systemd says:\n%s", said)
	}
	// The judge does find what is wrong: a word of the [Service] section misspelt.
	text := strings.Replace(units[0].Text, "TimeoutStartSec=60", "TimeoutStartSec=soon", 1)
	if err := os.WriteFile(files[0], []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if said := judge(); said == "" {
		t.Error("systemd sees nothing wrong in a wrong unit: this test proves nothing")
	}
}

// TestDockerStartsWhateverBecomesOfTheUnits: nothing may make docker.service need
// them, and each is bounded in time.
func TestDockerStartsWhateverBecomesOfTheUnits(t *testing.T) {
	units := bootUnits(t).Units()
	if len(units) != 2 || units[0].Name != "croft-home-secrets.service" || units[1].Name != "croft-home-boot.service" {
		t.Fatalf("units %v", units)
	}
	for _, u := range units {
		for _, word := range []string{"RequiredBy", "Requires=", "BindsTo", "PartOf", "Conflicts", "PrivateTmp", "PrivateMounts", "Protect"} {
			if strings.Contains(u.Text, word) {
				t.Errorf("%s says %s", u.Name, word)
			}
		}
		for _, word := range []string{"TimeoutStartSec=", "Type=oneshot", "WantedBy="} {
			if !strings.Contains(u.Text, word) {
				t.Errorf("%s does not say %s", u.Name, word)
			}
		}
	}
	if !strings.Contains(units[0].Text, "\nBefore=docker.service\n") || !strings.Contains(units[1].Text, "\nAfter=docker.service ") {
		t.Errorf("order:\n%s\n%s", units[0].Text, units[1].Text)
	}
	if !strings.Contains(units[0].Text, `--dir "/srv/my platform/100%%" --state "/var/lib/croft $$HOME"`) {
		t.Errorf("words are not quoted for systemd:\n%s", units[0].Text)
	}
	// Without the platform's own files secrets are delivered all the same.
	if strings.Contains(units[0].Text, `RequiresMountsFor="/srv`) {
		t.Errorf("secrets wait for the platform's directory:\n%s", units[0].Text)
	}
}

func TestOnlyOwnUnitsAreWrittenAndRemoved(t *testing.T) {
	dir := t.TempDir()
	units := bootUnits(t).Units()
	names := unitNamesOf(units)
	if got := MissingUnits(dir, units); !slices.Equal(got, names) {
		t.Errorf("missing %v", got)
	}
	if wrote, err := InstallUnits(dir, units); err != nil || !slices.Equal(wrote, names) {
		t.Fatalf("wrote %v: %v", wrote, err)
	}
	if wrote, err := InstallUnits(dir, units); err != nil || len(wrote) != 0 || len(MissingUnits(dir, units)) != 0 {
		t.Errorf("wrote %v a second time: %v", wrote, err)
	}
	foreign := filepath.Join(dir, names[1])
	if err := os.WriteFile(foreign, []byte("[Unit]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := InstallUnits(dir, units); err == nil {
		t.Error("a foreign unit was written over")
	}
	asked := false
	if _, err := RemoveUnits(dir, units, func([]string) error { asked = true; return nil }); err == nil || asked {
		t.Error("a foreign unit was removed")
	}
	if _, err := os.Stat(filepath.Join(dir, names[0])); err != nil {
		t.Error("something was removed although one is foreign")
	}
	if err := os.Remove(foreign); err != nil {
		t.Fatal(err)
	}
	refuse := errors.New("no")
	if _, err := RemoveUnits(dir, units, func([]string) error { return refuse }); !errors.Is(err, refuse) {
		t.Errorf("error %v", err)
	}
	removed, err := RemoveUnits(dir, units, func([]string) error { return nil })
	if err != nil || !slices.Equal(removed, names[:1]) {
		t.Errorf("removed %v: %v", removed, err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("left %v: %v", entries, err)
	}
}
