package docker

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// Halt stops containers and takes their restart policy away first: the engine
// starts those with "always" or "on-failure" when it starts itself, whoever
// stopped them.
func (e *Engine) Halt(ctx context.Context, ids []string) error {
	var errs []error
	for _, id := range ids {
		err := e.policy(ctx, id, container.RestartPolicy{Name: container.RestartPolicyDisabled})
		if err == nil {
			_, err = e.api.ContainerStop(ctx, id, client.ContainerStopOptions{}) // with the container's own timeout
		}
		errs = append(errs, failed("stop container "+short(id), ignoreNotFound(err)))
	}
	return errors.Join(errs...)
}

// Unhalt gives containers a restart policy back.
func (e *Engine) Unhalt(ctx context.Context, policies map[string]string) error {
	var errs []error
	for id, text := range policies {
		name, most, _ := strings.Cut(text, ":")
		policy := container.RestartPolicy{Name: container.RestartPolicyMode(name)}
		if most != "" {
			n, err := strconv.Atoi(most)
			if err != nil {
				errs = append(errs, failed("restart policy "+text, err))
				continue
			}
			policy.MaximumRetryCount = n
		}
		errs = append(errs, failed("set the restart policy of container "+short(id), ignoreNotFound(e.policy(ctx, id, policy))))
	}
	return errors.Join(errs...)
}

func (e *Engine) policy(ctx context.Context, id string, policy container.RestartPolicy) error {
	_, err := e.api.ContainerUpdate(ctx, id, client.ContainerUpdateOptions{RestartPolicy: &policy})
	return err
}
