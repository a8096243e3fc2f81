package tui

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/croft-sh/croft/stacks"
)

func typed(in string) (*Prompt, *bytes.Buffer) {
	var out bytes.Buffer
	noSecret := func(context.Context) (string, error) { return "hidden", nil }
	return NewPrompt(strings.NewReader(in), &out, Style{Width: 80}, noSecret), &out
}

func TestPromptTakesKeys(t *testing.T) {
	colour := stacks.Question{Key: "colour", Title: "Which colour?", Kind: stacks.KindChoice,
		Choices: []stacks.Choice{{Value: "red", Label: "like a rose"}, {Value: "blue"}}}
	fruit := stacks.Question{Key: "fruit", Title: "Which fruit?", Kind: stacks.KindMany,
		Choices: []stacks.Choice{{Value: "apple"}, {Value: "pear"}, {Value: "plum"}}}
	sure := stacks.Question{Key: "sure", Title: "Sure?", Kind: stacks.KindYesNo}
	port := stacks.Question{Key: "port", Title: "Which port?", Kind: stacks.KindText,
		Check: func(v string) error { return stacks.CheckAnswer("port", v) }}
	secret := stacks.Question{Key: "token", Title: "Token?", Kind: stacks.KindSecret}
	cases := []struct {
		name, keys, def string
		q               stacks.Question
		want            string
		says            string // on the way
	}{
		{"a default by return", "\n", "8080", port, "8080", "[8080]"},
		{"text instead of it", "9090\n", "8080", port, "9090", ""},
		{"blanks around are nothing", "  9090 \n", "", port, "9090", ""},
		{"the last line without return", "9090", "", port, "9090", ""},
		{"again after a bad one", "x\n70000\n9090\n", "", port, "9090", `! "70000" is not a port`},
		{"a choice by number", "2\n", "red", colour, "blue", "2  blue"},
		{"a choice by name", "red\n", "blue", colour, "red", "red   like a rose"},
		{"a number that is none", "3\n1\n", "", colour, "red", `! "3" is not one of red, blue`},
		{"nothing where something is needed", "\nred\n", "", colour, "red", `! "" is not one of`},
		{"many by number, name and blank", "1, pear 3\n", "", fruit, "apple,pear,plum", ""},
		{"many by default", "\n", "pear,plum", fruit, "pear,plum", "* 2  pear"},
		{"many with one wrong", "apple,kiwi\napple\n", "", fruit, "apple", `"kiwi" is not one of`},
		{"yes by letter", "Y\n", "", sure, "yes", ""},
		{"no by word", "no\n", "yes", sure, "no", ""},
		{"neither", "perhaps\nn\n", "", sure, "no", "neither yes nor no"},
		{"a secret is not read from the line", "seen\n", "", secret, "hidden", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p, out := typed(c.keys)
			got, err := p.Ask(context.Background(), c.q, c.def, c.def != "")
			if err != nil || got != c.want {
				t.Errorf("answer %q, %v; want %q\n%s", got, err, c.want, out)
			}
			if !strings.Contains(out.String(), c.says) {
				t.Errorf("it did not say %q:\n%s", c.says, out)
			}
			for _, line := range strings.Split(out.String(), "\n") {
				if len([]rune(line)) > 80 {
					t.Errorf("a line of %d columns: %s", len([]rune(line)), line)
				}
			}
		})
	}
}

func TestPromptNamesTheKeyAtEndOfInput(t *testing.T) {
	p, _ := typed("bad\n")
	q := stacks.Question{Key: "port", Title: "Which port?", Kind: stacks.KindText,
		Check: func(v string) error { return stacks.CheckAnswer("port", v) }}
	_, err := p.Ask(context.Background(), q, "", false)
	var missing *MissingError
	if !errors.As(err, &missing) || missing.Key != "port" || !strings.Contains(err.Error(), `"port"`) {
		t.Errorf("end of input: %v", err)
	}
	if _, err := p.Confirm(context.Background(), "Sure?", true); !errors.Is(err, ErrAborted) {
		t.Errorf("end of input is not yes: %v", err)
	}
	if _, err := p.Line(context.Background(), "Code:"); !errors.Is(err, ErrAborted) {
		t.Errorf("end of input is no line: %v", err)
	}
}

func TestPromptEndsWithItsContext(t *testing.T) {
	never, writer := io.Pipe()
	defer writer.Close()
	p := NewPrompt(never, io.Discard, Style{}, nil)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := p.Ask(ctx, stacks.Question{Key: "name"}, "", false); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a prompt that nobody answers: %v", err)
	}
}

func TestPromptRefusesAnEndlessLine(t *testing.T) {
	p, _ := typed(strings.Repeat("x", 10*maxLine))
	if _, err := p.Ask(context.Background(), stacks.Question{Key: "name"}, "", false); err == nil {
		t.Error("an answer of 640 KiB was taken")
	}
}

func TestConfirm(t *testing.T) {
	for _, c := range []struct {
		keys      string
		def, want bool
	}{{"\n", false, false}, {"\n", true, true}, {"y\n", false, true}, {"YES\n", false, true}, {"n\n", true, false}, {"what\ny\n", false, true}} {
		p, _ := typed(c.keys)
		if got, err := p.Confirm(context.Background(), "Sure?", c.def); err != nil || got != c.want {
			t.Errorf("%q with default %v: %v, %v", c.keys, c.def, got, err)
		}
	}
}

func questionsForTest() []stacks.Question {
	var list []stacks.Choice
	for _, name := range []string{"hello", "traefik", "authelia"} {
		list = append(list, stacks.Choice{Value: name})
	}
	qs := Questions(Surroundings{Name: "home", Timezone: "UTC", Admin: "grace", Stacks: list, Default: []string{"traefik"}})
	return append(qs, OptionQuestions("traefik", map[string]stacks.Option{
		"HTTPS_PORT": {Ask: "Which port", Default: "443", Check: "port"},
		"MODE":       {Ask: "Which mode", Default: "fast", Check: "one-of:fast|slow"},
	})...)
}

// TestEveryWayToAnswerGivesTheSamePlatform is the promise of questions as data.
func TestEveryWayToAnswerGivesTheSamePlatform(t *testing.T) {
	set := Answers{}
	for _, s := range []string{"name=house", "expose=lan", "domain=example.com", "timezone=Europe/Berlin", "admin.name=ada",
		"admin.email=ada@example.com", "stacks=hello,traefik", "stacks.traefik.options.HTTPS_PORT=8443", "stacks.traefik.options.MODE=fast"} {
		k, v, _ := strings.Cut(s, "=")
		set[k] = v
	}
	file, err := ParseAnswers([]byte(`
version: 1
name: house
expose: lan
domain: example.com
timezone: Europe/Berlin
admin: {name: ada, email: ada@example.com}
stacks:
  traefik: {options: {HTTPS_PORT: 8443, MODE: fast}}
  hello: {}
`))
	if err != nil {
		t.Fatal(err)
	}
	p, out := typed("house\n2\nexample.com\nEurope/Berlin\nada\n\n1 2\n8443\n1\n")
	ways := []struct {
		name  string
		given Answers
		ask   Asker
	}{
		{"--set", set, Refuse},
		{"--answers", file, Refuse},
		{"prompt", nil, func(q stacks.Question, def string, ok bool) (string, error) {
			return p.Ask(context.Background(), q, def, ok)
		}},
	}
	var first stacks.Platform
	for i, way := range ways {
		draft := stacks.Platform{Version: 1}
		if err := Fill(questionsForTest(), &draft, way.given, way.ask); err != nil {
			t.Fatalf("%s: %v\n%s", way.name, err, out)
		}
		if i == 0 {
			first = draft
			continue
		}
		if !reflect.DeepEqual(draft, first) {
			t.Errorf("%s gives\n%+v\nand %s gave\n%+v", way.name, draft, ways[0].name, first)
		}
	}
	if got := first.Stacks["traefik"].Options; !reflect.DeepEqual(got, map[string]string{"HTTPS_PORT": "8443"}) {
		t.Errorf("a default was written down: %v", got)
	}
}

func TestDefaultsNeedNobody(t *testing.T) {
	draft := stacks.Platform{Version: 1}
	if err := Fill(questionsForTest(), &draft, nil, Defaults); err != nil {
		t.Fatal(err)
	}
	want := stacks.Platform{Version: 1, Name: "home", Expose: stacks.ExposeLoopback, Timezone: "UTC",
		Admin: stacks.Admin{Name: "grace", Email: "grace@home.localhost"}, Stacks: map[string]stacks.StackChoice{"traefik": {}}}
	if !reflect.DeepEqual(draft, want) {
		t.Errorf("got  %+v\nwant %+v", draft, want)
	}
	// A question without a default is an error even then.
	err := Fill(questionsForTest(), &stacks.Platform{}, Answers{KeyExpose: "lan"}, Defaults)
	var missing *MissingError
	if !errors.As(err, &missing) || missing.Key != KeyDomain {
		t.Errorf("lan without a domain: %v", err)
	}
}

func TestAnswersAreRefusedByName(t *testing.T) {
	for key, bad := range map[string]string{
		KeyName: "9house", KeyExpose: "moon", KeyDomain: "localhost", KeyTimezone: "Local", KeyAdmin: "Ada!",
		KeyEmail: "nowhere", KeyStacks: "hello,nope", OptionKey("traefik", "MODE"): "slower",
	} {
		err := Fill(questionsForTest(), &stacks.Platform{}, Answers{KeyExpose: "loopback", key: bad}, Defaults)
		var answer *AnswerError
		if !errors.As(err, &answer) || answer.Key != key {
			t.Errorf("%s=%s: %v", key, bad, err)
		}
	}
}

func TestParseAnswersRefuses(t *testing.T) {
	for _, text := range []string{"[a, b]", "a: [", "a: [{b: c}]", "a: &x [1]\nb: *x", "just words"} {
		if a, err := ParseAnswers([]byte(text)); err == nil {
			t.Errorf("%q was taken as %v", text, a)
		}
	}
	for _, text := range []string{"", "# nothing\n", "a: ~\n"} {
		if a, err := ParseAnswers([]byte(text)); err != nil || len(a) != 0 {
			t.Errorf("%q: %v, %v", text, a, err)
		}
	}
	a := Answers{"name": "x", "nmae": "y"}
	if got := fmt.Sprint(a.Unknown(questionsForTest())); got != "[nmae]" {
		t.Errorf("unknown keys: %s", got)
	}
}
