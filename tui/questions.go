package tui

import (
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/croft-sh/croft/stacks"
)

// The keys of the questions: where the answer stands in croft.yaml. KeyDir is
// the exception, as a platform does not know its own place.
const (
	KeyDir      = "dir"
	KeyName     = "name"
	KeyExpose   = "expose"
	KeyDomain   = "domain"
	KeyTimezone = "timezone"
	KeyAdmin    = "admin.name"
	KeyEmail    = "admin.email"
	KeyStacks   = "stacks"
)

// Patterns of answers, the same as in the schema of croft.yaml.
const (
	namePattern  = "match:^[a-z][a-z0-9-]{0,29}$"
	adminPattern = "match:^[a-z][a-z0-9._-]{0,31}$"
	// Two labels at least: browsers keep no cookies for one alone.
	domainPattern = `match:([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?`
)

// DefaultStacks is the small set an expert would start with.
func DefaultStacks() []string {
	return []string{"traefik", "authelia", "postgres", "valkey", "prometheus", "hello"}
}

// Surroundings is what the machine suggests as defaults.
type Surroundings struct {
	Name     string // name of the platform, from its directory
	Timezone string // of the host
	Admin    string // who runs croft
	Stacks   []stacks.Choice
	Default  []string // stacks chosen without being asked
	// Exists: the platform is there already, and its name with it.
	Exists bool
}

// WhereQuestion asks for the directory of a new platform.
func WhereQuestion(dir *string) stacks.Question {
	return stacks.Question{
		Key: KeyDir, Title: "Where shall the platform's files be?",
		Help:    "A directory, best a git work tree. It will hold croft.yaml and stacks/.",
		Kind:    stacks.KindText,
		Default: func(stacks.Platform) string { return *dir },
		Check:   notEmpty,
		Set:     func(_ *stacks.Platform, v string) { *dir = v },
	}
}

// Questions gives what init asks about a platform, in order.
func Questions(s Surroundings) []stacks.Question {
	return append([]stacks.Question{
		nameQuestion(s), exposeQuestion(), domainQuestion(), timezoneQuestion(s),
		adminQuestion(s), emailQuestion(), stacksQuestion(s),
	}, storageQuestions()...)
}

// storageQuestions are never asked: the defaults do, and who wants others gives
// them.
func storageQuestions() []stacks.Question {
	question := func(class string, set func(*stacks.Platform, string)) stacks.Question {
		return stacks.Question{
			Key: "storage." + class, Title: "Where shall the data of " + class + " be?",
			Kind: stacks.KindText,
			When: func(stacks.Platform) bool { return false },
			Set:  set,
		}
	}
	return []stacks.Question{
		question("containers", func(p *stacks.Platform, v string) { p.Storage.Containers = v }),
		question("projects", func(p *stacks.Platform, v string) { p.Storage.Projects = v }),
		question("databases", func(p *stacks.Platform, v string) { p.Storage.Databases = v }),
	}
}

func nameQuestion(s Surroundings) stacks.Question {
	return stacks.Question{
		Key: KeyName, Title: "What is the platform called?",
		Help:    "Prefix of projects and networks. Fixed for life.",
		Kind:    stacks.KindText,
		Default: func(p stacks.Platform) string { return firstOf(p.Name, s.Name) },
		When:    func(stacks.Platform) bool { return !s.Exists },
		Check:   checked(namePattern, "at most 30 small letters, digits and dashes"),
		Set:     func(p *stacks.Platform, v string) { p.Name = v },
	}
}

func exposeQuestion() stacks.Question {
	return stacks.Question{
		Key: KeyExpose, Title: "From where is it reached?",
		Kind: stacks.KindChoice,
		Choices: []stacks.Choice{
			{Value: string(stacks.ExposeLoopback), Label: "from this machine: https://*.NAME.localhost, no domain needed"},
			{Value: string(stacks.ExposeLAN), Label: "from the local network: ports 80 and 443, a domain of yours"},
		},
		Default: func(p stacks.Platform) string { return firstOf(string(p.Expose), string(stacks.ExposeLoopback)) },
		Set:     func(p *stacks.Platform, v string) { p.Expose = stacks.Expose(v) },
	}
}

func domainQuestion() stacks.Question {
	return stacks.Question{
		Key: KeyDomain, Title: "Under which domain?",
		Help: "Routes appear as NAME.DOMAIN; your network's DNS must point there.",
		Kind: stacks.KindText,
		When: func(p stacks.Platform) bool { return p.Expose != stacks.ExposeLoopback },
		// Without a domain there is nothing sensible to suggest.
		Default: nil,
		Check:   checked(domainPattern, "give a name such as example.com"),
		Set:     func(p *stacks.Platform, v string) { p.Domain = v },
	}
}

func timezoneQuestion(s Surroundings) stacks.Question {
	return stacks.Question{
		Key: KeyTimezone, Title: "In which time zone?",
		Kind:    stacks.KindText,
		Default: func(p stacks.Platform) string { return firstOf(p.Timezone, s.Timezone, "UTC") },
		Check:   checkTimezone,
		Set:     func(p *stacks.Platform, v string) { p.Timezone = v },
	}
}

func adminQuestion(s Surroundings) stacks.Question {
	return stacks.Question{
		Key: KeyAdmin, Title: "Your user name at sign-in?",
		Help:    "The first account. A password is made for it.",
		Kind:    stacks.KindText,
		Default: func(p stacks.Platform) string { return firstOf(p.Admin.Name, s.Admin) },
		Check:   checked(adminPattern, "small letters, digits, dots and dashes"),
		Set:     func(p *stacks.Platform, v string) { p.Admin.Name = v },
	}
}

func emailQuestion() stacks.Question {
	return stacks.Question{
		Key: KeyEmail, Title: "Your e-mail address?",
		Kind: stacks.KindText,
		Default: func(p stacks.Platform) string {
			return firstOf(p.Admin.Email, p.Admin.Name+"@"+p.BaseDomain())
		},
		Check: checked("email", "give an address such as ada@example.com"),
		Set:   func(p *stacks.Platform, v string) { p.Admin.Email = v },
	}
}

func stacksQuestion(s Surroundings) stacks.Question {
	return stacks.Question{
		Key: KeyStacks, Title: "Which stacks?",
		Help:    "What a stack needs comes along. More later: croft stack add NAME.",
		Kind:    stacks.KindMany,
		Choices: s.Stacks,
		Default: func(p stacks.Platform) string {
			if s.Exists || len(p.Stacks) > 0 {
				return strings.Join(sortedKeys(p.Stacks), ",")
			}
			return strings.Join(s.Default, ",")
		},
		Set: func(p *stacks.Platform, v string) {
			chosen := make(map[string]stacks.StackChoice)
			for _, name := range SplitList(v) {
				chosen[name] = p.Stacks[name]
			}
			p.Stacks = chosen
		},
	}
}

// OptionKey is the key of an option's question.
func OptionKey(stack, option string) string { return KeyStacks + "." + stack + ".options." + option }

// OptionQuestions gives the questions of one stack, sorted by name.
func OptionQuestions(stack string, options map[string]stacks.Option) []stacks.Question {
	var out []stacks.Question
	for _, name := range sortedKeys(options) {
		opt := options[name]
		q := stacks.Question{
			Key: OptionKey(stack, name), Title: stack + ": " + firstOf(opt.Ask, name), Help: opt.Help,
			Kind:  stacks.KindText,
			Check: func(v string) error { return stacks.CheckAnswer(opt.Check, v) },
			Set:   func(p *stacks.Platform, v string) { setOption(p, stack, name, v, opt.Default) },
		}
		if list, ok := strings.CutPrefix(opt.Check, "one-of:"); ok {
			q.Kind = stacks.KindChoice
			for _, v := range strings.Split(list, "|") {
				q.Choices = append(q.Choices, stacks.Choice{Value: v})
			}
		}
		q.Default = func(p stacks.Platform) string { return firstOf(p.Stacks[stack].Options[name], opt.Default) }
		out = append(out, q)
	}
	return out
}

// setOption notes an answer. The default is not written down, unless another
// answer stands there: then the stack's own default goes on to be followed.
func setOption(p *stacks.Platform, stack, name, value, def string) {
	if p.Stacks == nil {
		p.Stacks = make(map[string]stacks.StackChoice)
	}
	options := make(map[string]string)
	for k, v := range p.Stacks[stack].Options {
		options[k] = v
	}
	if value == def {
		delete(options, name)
	} else {
		options[name] = value
	}
	if len(options) == 0 {
		options = nil
	}
	choice := p.Stacks[stack]
	choice.Options = options
	p.Stacks[stack] = choice
}

// checked makes a check of a rule of package stacks with words for people.
func checked(rule, advice string) func(string) error {
	return func(v string) error {
		if v == "" {
			return errors.New("an answer is needed; " + advice)
		}
		if err := stacks.CheckAnswer(rule, v); err != nil {
			return fmt.Errorf("%q will not do; %s", v, advice)
		}
		return nil
	}
}

func checkTimezone(v string) error {
	if _, err := time.LoadLocation(v); v == "" || v == "Local" || err != nil {
		return fmt.Errorf("%q is no time zone; give a name such as Europe/Berlin", v)
	}
	return nil
}

func notEmpty(v string) error {
	if strings.TrimSpace(v) == "" {
		return errors.New("an answer is needed")
	}
	return nil
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
