package stacks

import (
	"strings"
	"testing"
)

func TestARelativePathStaysInItsStack(t *testing.T) {
	tests := []struct{ name, compose, want string }{
		{"short bind", "services: {s: {image: \"s:1\", volumes: [\"../b/secret:/x\"]}}\n", `stacks/a/compose.yaml:1:40: services.s.volumes.0: "../b/secret" leaves the stack's directory`},
		{"out of the platform", "services: {s: {image: \"s:1\", volumes: [\"./x/../../../../etc:/x\"]}}\n", `"./x/../../../../etc" leaves the stack's directory`},
		{"long bind", "services: {s: {image: \"s:1\", volumes: [{type: bind, source: ../../croft.yaml, target: /x}]}}\n", `"../../croft.yaml" leaves`},
		{"by a variable", "services: {s: {image: \"s:1\", volumes: [\"./${UP:-..}/b:/x\"]}}\n", `leaves the stack's directory`},
		{"config", "services: {s: {image: \"s:1\", configs: [c]}}\nconfigs: {c: {file: ../b/c}}\n", `configs.c.file: "../b/c" leaves`},
		{"secret", "services: {s: {image: \"s:1\", secrets: [c]}}\nsecrets: {c: {file: ../b/c}}\n", `secrets.c.file: "../b/c" leaves`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, problems := desire(t, map[string]string{"a": tt.compose})
			if err := problems.Err(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("problems %v, want one with %s", problems, tt.want)
			}
		})
	}
	for _, fine := range []string{"/srv/x:/x", "./sub/../x:/x", "named..dots:/x"} {
		_, problems := desire(t, map[string]string{"a": "services: {s: {image: \"s:1\", volumes: [\"" + fine + "\"]}}\nvolumes: {named..dots: {}}\n"})
		if err := problems.Err(); err != nil {
			t.Errorf("%s: %v", fine, err)
		}
	}
}
