package docker

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sort"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/compose/v5/pkg/api"
	"github.com/docker/compose/v5/pkg/compose"

	"github.com/croft-sh/croft/provision"
	"github.com/croft-sh/croft/stacks"
)

// buildOutputLimit bounds what a failing build may add to its error.
const buildOutputLimit = 4 << 10

// Up makes exactly the named services run, from the written file alone, so
// that the Compose command sees the same bytes. depends_on counts among the
// named services: one that asks for a healthy dependency of the same call waits
// for it, as long as ctx lets it. Services that share the namespace or volumes
// of a named one must be named too, and so must all services of a network whose
// definition changed. What is not named is not touched.
//
// The services' images must be present, but for those with build:, which are
// built when their image is missing. An exited job that is named runs again.
//
// After an error the state is whatever the engine had reached; a stop that was
// begun may still be going on (see Settle).
func (e *Engine) Up(ctx context.Context, req provision.UpRequest, ev stacks.Events) error {
	if len(req.Services) == 0 {
		return nil // Compose takes an empty selection for all services
	}
	doing := "bring up " + strings.Join(req.Services, ", ") + " of " + req.Project
	log := &tailBuffer{limit: buildOutputLimit}
	progress := newProgress(emitter(ev))
	sdk, err := e.sdk(progress, log)
	if err != nil {
		return failed(doing, err)
	}
	project, err := load(ctx, sdk, req)
	if err != nil {
		return &Error{Doing: doing, Err: err, Advice: "docker compose -f " + req.File + " config shows what Compose makes of the file"}
	}
	if err := e.imagesPresent(ctx, project); err != nil {
		return failed(doing, err)
	}
	existing, err := e.heal(ctx, project)
	if err != nil {
		return failed(doing, err)
	}
	progress.know(project, existing)
	if err := e.unpause(ctx, project, existing); err != nil {
		return failed(doing, err)
	}
	if err := e.replaceNetworks(ctx, project, existing, progress); err != nil {
		return failed(doing, err)
	}
	anew, how := anewOf(project, req)
	create := api.CreateOptions{
		Build:    buildOptions(project),
		Services: anew, Recreate: how, RecreateDependencies: api.RecreateDiverged,
		Inherit:       true, // else a recreated container gets new, empty anonymous volumes
		RemoveOrphans: false,
		IgnoreOrphans: true,
		QuietPull:     true,
	}
	if req.SideBySide && startsAlone(project, existing) {
		err = e.createAndStart(ctx, sdk, project, create, progress)
	} else {
		err = sdk.Up(ctx, project, api.UpOptions{Create: create, Start: api.StartOptions{Project: project}})
	}
	if ctx.Err() != nil {
		return failed(doing, ctx.Err()) // the SDK gives nil for some cancelled waits
	}
	return failed(doing, withBuildOutput(err, log, project))
}

// sdk makes a Compose service for one call. It costs less than a millisecond,
// and keeps the events and answers of parallel calls apart.
func (e *Engine) sdk(p *progress, log *tailBuffer) (api.Compose, error) {
	with, err := e.cli()
	if err != nil {
		return nil, err
	}
	return compose.NewComposeService(with,
		compose.WithEventProcessor(p),
		compose.WithPrompt(p.decline),
		compose.WithOutputStream(log), compose.WithErrorStream(log),
		compose.WithMaxConcurrency(pullsAtOnce)) // 0 would block for ever
}

// load reads the written file and narrows it to the services asked for.
func load(ctx context.Context, sdk api.Compose, req provision.UpRequest) (*types.Project, error) {
	p, err := sdk.LoadProject(ctx, api.ProjectLoadOptions{
		ProjectName: req.Project,
		ConfigPaths: []string{req.File},
		WorkingDir:  filepath.Dir(req.File),
		Profiles:    []string{"*"}, // which services run is the plan's decision, made
		Offline:     true,          // no remote loaders
		ProjectOptionsFns: []cli.ProjectOptionsFn{
			cli.WithDiscardEnvFile, // as the command does; else the hashes differ
			// Set first and so not taken from our environment: the one switches
			// container names for the whole process, the others what is read.
			cli.WithEnv([]string{"COMPOSE_COMPATIBILITY=", "COMPOSE_PROFILES=", "COMPOSE_FILE=", "COMPOSE_PROJECT_NAME="}),
		},
	})
	if err != nil {
		return nil, err
	}
	for _, name := range req.Services {
		if _, ok := p.Services[name]; !ok {
			return nil, fmt.Errorf("%s has no service %s", req.File, name)
		}
	}
	// Drops depends_on to services that are not named, and keeps the others.
	p, err = p.WithSelectedServices(req.Services, types.IgnoreDependencies)
	if err != nil {
		return nil, err
	}
	p = p.WithoutUnnecessaryResources() // else changed networks of other services are recreated too
	for name, s := range p.Services {
		s.PullPolicy = types.PullPolicyNever // not part of the hash
		p.Services[name] = s
	}
	return p, nil
}

// imagesPresent refuses before anything is touched: a create that fails leaves
// the project's other services half replaced.
func (e *Engine) imagesPresent(ctx context.Context, p *types.Project) error {
	wanted := map[string]bool{}
	for _, s := range p.Services {
		if s.Build == nil && s.Provider == nil {
			wanted[s.Image] = true
		}
		for _, v := range s.Volumes {
			if v.Type == types.VolumeTypeImage {
				wanted[v.Source] = true
			}
		}
	}
	var absent []string
	for ref := range wanted {
		ok, err := e.present(ctx, ref)
		if err != nil {
			return err
		}
		if !ok {
			absent = append(absent, ref)
		}
	}
	if len(absent) == 0 {
		return nil
	}
	sort.Strings(absent)
	return &Error{Doing: "look for images", Err: fmt.Errorf("not present: %s", strings.Join(absent, ", ")),
		Advice: "they must be pulled first; nothing was touched"}
}

// buildOptions are nil where there is nothing to build.
func buildOptions(p *types.Project) *api.BuildOptions {
	if len(p.ServicesWithBuild()) == 0 {
		return nil
	}
	return &api.BuildOptions{Progress: "plain", Services: p.ServicesWithBuild()}
}

// withBuildOutput adds the end of a failed build's output to its error.
func withBuildOutput(err error, log *tailBuffer, p *types.Project) error {
	if err == nil || len(p.ServicesWithBuild()) == 0 {
		return err
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if n := len(lines); n > 5 {
		lines = lines[n-5:]
	}
	text := oneLine(strings.Join(lines, " "))
	if text == "" || errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("%w (%s)", err, text)
}
