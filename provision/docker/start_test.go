package docker

import (
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/compose/v5/pkg/api"
	"github.com/moby/moby/api/types/container"
)

func TestStartsAlone(t *testing.T) {
	web := func(state container.ContainerState) []container.Summary {
		return []container.Summary{{State: state, Labels: map[string]string{api.ServiceLabel: "web"}}}
	}
	for name, c := range map[string]struct {
		text     string
		existing []container.Summary
		want     bool
	}{
		"plain":                    {"", nil, true},
		"fixed ports":              {`ports: ["8080:80", "127.0.0.1:8443:443/udp", "7000-7002:7000-7002"]`, nil, true},
		"a port of a range":        {`ports: ["8000-8010:80"]`, nil, false},
		"a port of the engine's":   {`ports: ["80"]`, nil, false},
		"needs another":            {`depends_on: [db]`, nil, false},
		"shares a namespace":       {`network_mode: "service:db"`, nil, false},
		"linked":                   {`links: [db]`, nil, false},
		"a hook after its start":   {`post_start: [{command: [x]}]`, nil, false},
		"a hook before its start":  {`pre_start: [{command: [x]}]`, nil, false},
		"the engine's socket":      {`use_api_socket: true`, nil, false},
		"a config from a file":     {`configs: [file]`, nil, true},
		"a config written inline":  {`configs: [inline]`, nil, false},
		"a secret from a file":     {`secrets: [file]`, nil, true},
		"a secret of our own":      {`secrets: [inline]`, nil, false},
		"created by a killed run":  {"", web(container.StateCreated), true},
		"stopped":                  {"", web(container.StateExited), true},
		"running":                  {"", web(container.StateRunning), false},
		"crashing":                 {"", web(container.StateRestarting), false},
		"paused":                   {"", web(container.StatePaused), false},
		"dead":                     {"", web(container.StateDead), false},
		"another service runs":     {"", []container.Summary{{State: container.StateRunning, Labels: map[string]string{api.ServiceLabel: "other"}}}, true},
		"replicas with fixed port": {`scale: 2`, nil, true},
	} {
		text := "name: x\nservices:\n  db: {image: i}\n  web:\n    image: i\n    " + c.text + `
configs: {file: {file: ./a}, inline: {content: x}}
secrets: {file: {file: ./a}, inline: {environment: X}}
`
		p, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{
			WorkingDir: t.TempDir(), ConfigFiles: []types.ConfigFile{{Filename: "compose.yaml", Content: []byte(text)}},
			Environment: types.Mapping{"X": "y"},
		})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := startsAlone(p, c.existing); got != c.want {
			t.Errorf("%s: %t, want %t", name, got, c.want)
		}
	}
}
