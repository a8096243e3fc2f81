package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/croft-sh/croft/provision/host"
	"github.com/croft-sh/croft/stacks"
	"github.com/croft-sh/croft/tui"
)

type initOptions struct {
	answers  string
	set      []string
	defaults bool
}

func newInit(a *app) *cobra.Command {
	var o initOptions
	cmd := &cobra.Command{
		Use: "init", Short: "Set up a platform, or change its answers",
		Long: `init asks a few questions and makes a platform: croft.yaml, and the stacks that
were chosen, each copied from the catalogue with what it needs. It makes the key
of this machine and the first account, whose password it shows once. Nothing
runs before croft apply.

Run again, it starts from the answers that are there, shows the difference, and
never writes over a stack's directory or a key.

An answer comes from --set, else from the file of --answers, else it is asked
for; with --defaults it is the default. Without a terminal nothing is asked: a
missing answer is an error that names its key. The keys are the places in
croft.yaml, so a croft.yaml is also a file of answers:

  name, expose (loopback, lan), domain, timezone, admin.name, admin.email,
  stacks, stacks.STACK.options.NAME, storage.containers, storage.projects,
  storage.databases; and dir, the directory of the platform`,
		Example: `  croft init
  croft init --defaults
  croft init --answers answers.yaml --set name=home
  croft init --defaults --set stacks=traefik,hello --dir /srv/home`,
		Args: wantArgs(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error { return runInit(cmd.Context(), a, o) },
	}
	cmd.Flags().StringVar(&o.answers, "answers", "", "take answers from a YAML `file`")
	cmd.Flags().StringArrayVar(&o.set, "set", nil, "give an answer: `KEY=VALUE`; may be repeated")
	cmd.Flags().BoolVar(&o.defaults, "defaults", false, "do not ask: loopback and the small set of stacks")
	return cmd
}

// initView is what init says.
type initView struct {
	Schema   string    `json:"schema"`
	Platform string    `json:"platform"`
	Dir      string    `json:"dir"`
	StateDir string    `json:"state_dir"`
	Files    []written `json:"files"`
	Diff     string    `json:"diff,omitempty"` // of croft.yaml, where there was one
	Account  account   `json:"account"`
	Next     []string  `json:"next"`
}

func runInit(ctx context.Context, a *app, o initOptions) error {
	answers, err := readAnswers(o)
	if err != nil {
		return err
	}
	dir, err := a.whereToInit(ctx, o, answers)
	if err != nil {
		return err
	}
	d, err := loadDraft(dir)
	if err != nil {
		return err
	}
	if err := a.fillDraft(ctx, d, o, answers); err != nil {
		return err
	}
	paths := a.pathsFor(d.platform.Name)
	if err := refuseNamesake(paths, d); err != nil {
		return err
	}
	desired, err := d.check(a.facts(paths))
	if err != nil {
		return err
	}
	a.printWarnings(desired.Warnings)
	v := initView{Schema: "croft/init/v1", Platform: d.platform.Name, Dir: dir, StateDir: paths.State}
	if v.Diff, err = a.showDifference(ctx, d, o); err != nil {
		return err
	}
	if v.Files, err = d.write(); err != nil {
		return err
	}
	if v.Account, err = a.setUpMachine(d, desired, paths); err != nil {
		return err
	}
	v.Next = nextSteps(v.Account)
	if err := a.print(v, v.text); err != nil {
		return err
	}
	a.showAccount(v.Account)
	if a.asks(o) && !a.structured() {
		return a.offerApply(ctx, dir, desired)
	}
	return nil
}

// asks tells whether init may ask.
func (a *app) asks(o initOptions) bool { return a.terminal != nil && !o.defaults && !a.flags.yes }

// readAnswers joins the file of answers and --set, which goes before it.
func readAnswers(o initOptions) (tui.Answers, error) {
	answers := tui.Answers{}
	if o.answers != "" {
		text, err := os.ReadFile(o.answers)
		if err != nil {
			return nil, &usageError{err: fmt.Errorf("answers: %w", err), hint: "name a YAML file that can be read"}
		}
		if answers, err = tui.ParseAnswers(text); err != nil {
			return nil, &usageError{err: fmt.Errorf("answers in %s: %w", o.answers, err), hint: "write a YAML map, as in name: home"}
		}
	}
	for _, s := range o.set {
		key, value, ok := strings.Cut(s, "=")
		if !ok || key == "" {
			return nil, &usageError{err: fmt.Errorf("--set %q is not KEY=VALUE", s), hint: "croft init --help lists the keys"}
		}
		answers[key] = value
	}
	return answers, nil
}

// whereToInit gives the directory of the platform: --dir, an answer, this one.
func (a *app) whereToInit(ctx context.Context, o initOptions, answers tui.Answers) (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	switch {
	case a.flags.dir != "":
		dir = a.flags.dir
	case answers[tui.KeyDir] != "":
		dir = answers[tui.KeyDir]
	case a.asks(o) && needPlatformFile(dir, "") != nil:
		var p stacks.Platform
		q := []stacks.Question{tui.WhereQuestion(&dir)}
		if err := tui.Fill(q, &p, nil, a.terminal.asking(ctx)); err != nil {
			return "", err
		}
		if rest, ok := strings.CutPrefix(dir, "~/"); ok {
			dir = filepath.Join(a.env["HOME"], rest)
		}
	}
	delete(answers, tui.KeyDir)
	return filepath.Abs(dir)
}

// fillDraft answers the questions.
func (a *app) fillDraft(ctx context.Context, d *draft, o initOptions, answers tui.Answers) error {
	given := maps.Clone(answers)
	qs := tui.Questions(a.surroundings(d))
	for _, key := range given.Unknown(qs) {
		if !strings.HasPrefix(key, tui.KeyStacks+".") {
			return unknownKey(key, qs)
		}
	}
	ask := tui.Refuse
	switch {
	case o.defaults, d.exists() && !a.asks(o):
		ask = tui.Defaults // of a platform that is there: what it says now
	case a.asks(o):
		ask = a.terminal.asking(ctx)
	}
	if err := tui.Fill(qs, &d.platform, given, ask); err != nil {
		return err
	}
	if d.exists() && d.platform.Name != d.before.Name {
		return &refusedError{err: fmt.Errorf("the platform is called %s, which is fixed for life", d.before.Name),
			hint: "make another platform in another directory"}
	}
	if os.Geteuid() != 0 && !d.exists() {
		a.userStorage(&d.platform)
	}
	if err := d.complete(); err != nil {
		return err
	}
	return a.askOptions(ctx, d, sortedNames(d.platform.Stacks), answers, !a.asks(o))
}

// userStorage puts data where a user may write, unless it was answered.
func (a *app) userStorage(p *stacks.Platform) {
	base := firstNonEmpty(a.env["XDG_DATA_HOME"], filepath.Join(a.env["HOME"], ".local/share"))
	for class, root := range map[string]*string{"containers": &p.Storage.Containers, "projects": &p.Storage.Projects, "databases": &p.Storage.Databases} {
		if *root == "" {
			*root = filepath.Join(base, "croft", p.Name, class)
		}
	}
}

func unknownKey(key string, qs []stacks.Question) error {
	names := make([]string, 0, len(qs))
	for _, q := range qs {
		names = append(names, q.Key)
	}
	hint := "the keys are " + strings.Join(names, ", ")
	if len(names) == 0 {
		hint = "these stacks ask nothing"
	}
	return &usageError{err: fmt.Errorf("no question has the key %q", key), hint: hint}
}

// refuseNamesake keeps two platforms from sharing names on the engine.
func refuseNamesake(paths host.Paths, d *draft) error {
	known, err := host.KnownPlatforms(paths.Platforms)
	if err != nil {
		return err
	}
	for _, k := range known {
		if k.Name == d.platform.Name && k.Dir != d.dir && needPlatformFile(k.Dir, "") == nil {
			return &refusedError{err: fmt.Errorf("there is a platform %s already, in %s", k.Name, k.Dir),
				hint: "choose another name: croft init --set name=NAME"}
		}
	}
	return nil
}

// showDifference shows what an edit changes, and asks on a terminal.
func (a *app) showDifference(ctx context.Context, d *draft, o initOptions) (string, error) {
	if !d.exists() {
		return "", nil
	}
	text, err := d.text()
	if err != nil {
		return "", err
	}
	diff := diffText(stacks.PlatformFile, d.old, text)
	if diff == "" || !a.asks(o) {
		return diff, nil
	}
	a.terminal.prompt().Printf("\n%s\n", paintDiff(diff, a.errStyle()))
	return diff, a.confirm(ctx, "Write this change?", "init")
}

// setUpMachine makes what belongs to this machine. Each part is left as it is
// where it is there already.
func (a *app) setUpMachine(d *draft, desired stacks.Desired, paths host.Paths) (account, error) {
	if err := host.MkdirAll(paths.State, 0o700); err != nil {
		return account{}, err
	}
	if err := ensureKey(paths); err != nil {
		return account{}, err
	}
	if err := host.AddPlatform(paths.Platforms, host.Known{Name: d.platform.Name, Dir: d.dir}); err != nil {
		return account{}, err
	}
	return a.seedAdmin(desired, paths)
}

func nextSteps(acc account) []string {
	steps := []string{"croft apply"}
	if acc.Name != "" {
		steps = append(steps, "croft user totp "+acc.Name)
	}
	if host.Systemd() && os.Geteuid() == 0 { // else there is no unit to install
		steps = append(steps, "croft schedule install")
	}
	return steps
}

func (v initView) text(w io.Writer, s tui.Style) {
	fmt.Fprintf(w, "%s in %s\n", s.Bold(v.Platform), v.Dir)
	for _, f := range v.Files {
		switch f.Action {
		case "created":
			fmt.Fprintf(w, "  %s %s\n", s.Green("+"), f.Path)
		case "changed":
			fmt.Fprintf(w, "  %s %s\n", s.Yellow("~"), f.Path)
		default:
			fmt.Fprintf(w, "  %s %s\n", s.Dim("="), s.Dim(f.Path))
		}
	}
	if v.Diff != "" {
		fmt.Fprintf(w, "\n%s", paintDiff(v.Diff, s))
	}
	fmt.Fprintf(w, "\nstate  %s\n", v.StateDir)
	if v.Account.Made {
		where := "shown once, on the terminal"
		if v.Account.PasswordFile != "" {
			where = "in " + v.Account.PasswordFile
		}
		fmt.Fprintf(w, "login  %s, password %s\n", v.Account.Name, where)
	}
	for i, step := range v.Next {
		lead := "next   "
		if i > 0 {
			lead = "then   "
		}
		fmt.Fprintln(w, lead+step)
	}
}

// offerApply goes on from init to a platform that runs, if that is wanted.
func (a *app) offerApply(ctx context.Context, dir string, desired stacks.Desired) error {
	p, err := a.openPlatformIn(dir)
	if err != nil {
		return err
	}
	m, err := a.connectTo(ctx, p)
	if err != nil {
		p.close()
		a.note("the platform is ready; apply it later: %v", err)
		return nil
	}
	defer m.close()
	err = m.apply(ctx, applyOptions{wait: defaultWait})
	var no *declinedError
	if errors.As(err, &no) {
		a.note("nothing was applied; croft apply does it")
		return nil
	}
	if err != nil {
		return err
	}
	if _, ok := desired.Server("auth"); ok {
		return m.secondFactor(ctx, totpOptions{name: p.Admin.Name})
	}
	return nil
}
