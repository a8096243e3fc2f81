package docker

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/container"
)

// Engines before API 1.52 show health and exit code in the list only as words:
// "Up 3 seconds (healthy)", "Up 1 second (health: starting)",
// "Exited (3) 5 minutes ago", "Restarting (1) 2 seconds ago".
var (
	healthWords = regexp.MustCompile(`\((healthy|unhealthy|health: starting)\)`)
	exitWords   = regexp.MustCompile(`^(?:Exited|Restarting) \((-?\d+)\)`)
)

func healthFromStatus(status string) string {
	m := healthWords.FindStringSubmatch(status)
	if m == nil {
		return ""
	}
	return strings.TrimPrefix(m[1], "health: ")
}

func exitFromStatus(status string) int {
	m := exitWords.FindStringSubmatch(status)
	if m == nil {
		return 0
	}
	code, err := strconv.Atoi(m[1])
	if err != nil {
		return 0
	}
	return code
}

// healthOf prefers the field of newer engines.
func healthOf(c container.Summary) string {
	if c.Health != nil && c.Health.Status != "" {
		if c.Health.Status == container.NoHealthcheck {
			return ""
		}
		return string(c.Health.Status)
	}
	return healthFromStatus(c.Status)
}
