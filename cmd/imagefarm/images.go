package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

const keyLabel = "croft.farm.key"

func label(name, value string) string { return fmt.Sprintf("LABEL %s=%q", name, value) }

// docker runs the client; stdin may be nil.
func docker(ctx context.Context, stdin io.Reader, args ...string) error {
	cmd := command(ctx, "", "docker", args...)
	cmd.Stdin = stdin
	_, err := output(cmd)
	return err
}

// inspectImages asks Docker once for all entries: reference -> the farm's key,
// empty on an image that is not the farm's.
func inspectImages(ctx context.Context, entries []Entry) (map[string]string, error) {
	args := []string{"image", "inspect", "--format", `{{json .RepoTags}} {{json .Config.Labels}}`}
	for _, e := range entries {
		args = append(args, e.Reference())
	}
	cmd := command(ctx, "", "docker", args...)
	text, err := output(cmd)
	var exit *exec.ExitError
	if errors.As(err, &exit) && strings.Contains(err.Error(), "No such image") {
		err = nil // the others are in the output all the same
	}
	if err != nil {
		return nil, err
	}
	return parseImages(text)
}

func parseImages(text []byte) (map[string]string, error) {
	have := map[string]string{}
	for dec := json.NewDecoder(strings.NewReader(string(text))); ; {
		var tags []string
		var labels map[string]string
		if err := dec.Decode(&tags); errors.Is(err, io.EOF) {
			return have, nil
		} else if err != nil {
			return nil, fmt.Errorf("reading docker image inspect: %w", err)
		}
		if err := dec.Decode(&labels); err != nil {
			return nil, fmt.Errorf("reading docker image inspect: %w", err)
		}
		for _, tag := range tags {
			have[tag] = labels[keyLabel]
		}
	}
}

func imagePresent(ctx context.Context, ref string) (bool, error) {
	out, err := output(command(ctx, "", "docker", "image", "ls", "--quiet", ref))
	return len(out) > 0, err
}

// registryAnswers asks once, for a reference that every registry with the
// catalogue's images has, and does not wait long.
func registryAnswers(ctx context.Context, e Entry) bool {
	if e.Kind == Test {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return docker(ctx, nil, "manifest", "inspect", e.Reference()) == nil
}

// makeImage puts an image together and gives it its reference. The image the
// reference had before goes, if nothing uses it.
func (f *Farm) makeImage(ctx context.Context, e Entry, debs debSet) error {
	key, err := f.entryKey(e, debs)
	if err != nil {
		return err
	}
	version := e.Version
	if e.Debian != "" {
		version = debs.version(e.Debian)
	}
	instructions := append([]string{label(keyLabel, key), label("croft.farm.kind", string(e.Kind)),
		label("croft.farm.real-version", strings.TrimSpace(e.Runs+" "+version))}, e.Configure...)
	done := f.progress.step("making %s", e.Reference())
	before, err := output(command(ctx, "", "docker", "image", "ls", "--quiet", "--no-trunc", e.Reference()))
	if err != nil {
		return err
	}
	if e.Debian != "" {
		err = f.commitImage(ctx, e, debs, instructions)
	} else {
		err = f.importImage(ctx, e, debs, instructions)
	}
	if err != nil {
		return err
	}
	done()
	if id := strings.TrimSpace(string(before)); id != "" {
		return forgetNameless(ctx, id)
	}
	return nil
}

// forgetNameless removes an image that lost its last name to a newer one. One
// that somebody gave another name stays, and so does one in use. Without an ID
// all of the farm's are meant; while a build runs that would be wrong, for an
// image is nameless for a moment when it is made.
func forgetNameless(ctx context.Context, id string) error {
	nameless, err := farmImages(ctx, "{{.ID}}", "dangling=true")
	if err != nil {
		return err
	}
	for _, short := range nameless {
		if id == "" || strings.HasPrefix(strings.TrimPrefix(id, "sha256:"), short) {
			_ = docker(ctx, nil, "image", "rm", short)
		}
	}
	return nil
}

// importImage makes an image of static binaries over busybox.
func (f *Farm) importImage(ctx context.Context, e Entry, debs debSet, instructions []string) error {
	var args []string
	for _, c := range instructions {
		args = append(args, "--change", c)
	}
	r, w := io.Pipe()
	go func() { w.CloseWithError(f.writeRoot(ctx, e, debs, w)) }()
	err := docker(ctx, r, append(append([]string{"import"}, args...), "-", e.Reference())...)
	r.CloseWithError(err)
	return err
}

// commitImage lays the entry's files over the Debian layer.
func (f *Farm) commitImage(ctx context.Context, e Entry, debs debSet, instructions []string) error {
	create := []string{"create"}
	if e.Stop != "" {
		create = append(create, "--stop-signal", e.Stop)
	}
	out, err := output(command(ctx, "", "docker", append(create, layerReference(debs), "-")...))
	if err != nil {
		return err
	}
	container := strings.TrimSpace(string(out))
	defer func() {
		// Also when the run is being cancelled: nothing of ours may stay.
		cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		_ = docker(cleanup, nil, "rm", "--force", container)
	}()
	r, w := io.Pipe()
	go func() { w.CloseWithError(f.writeOverlay(ctx, e, debs, w)) }()
	err = docker(ctx, r, "cp", "--archive", "-", container+":/")
	r.CloseWithError(err)
	if err != nil {
		return err
	}
	args := []string{"commit"}
	for _, c := range instructions {
		args = append(args, "--change", c)
	}
	return docker(ctx, nil, append(args, container, e.Reference())...)
}

// farmImages lists what carries the farm's label.
func farmImages(ctx context.Context, format string, filters ...string) ([]string, error) {
	args := []string{"image", "ls", "--format", format, "--filter", "label=" + keyLabel}
	for _, filter := range filters {
		args = append(args, "--filter", filter)
	}
	out, err := output(command(ctx, "", "docker", args...))
	return strings.Fields(string(out)), err
}

// forgetLayers removes the names of Debian layers that new images no longer
// stand on; what older images still need of them stays.
func forgetLayers(ctx context.Context, current debSet) error {
	layers, err := farmImages(ctx, "{{.Repository}}:{{.Tag}}", "label=croft.farm.kind=layer")
	if err != nil {
		return err
	}
	for _, ref := range layers {
		if strings.HasPrefix(ref, layerRepository+":") && ref != layerReference(current) {
			_ = docker(ctx, nil, "image", "rm", ref) // in use: then it stays
		}
	}
	return nil
}

// Clean removes the farm's names from images with its label, and then the
// images, unless somebody gave them other names or uses them.
func (f *Farm) Clean(ctx context.Context) error {
	ours := map[string]bool{}
	for _, e := range Manifest() {
		ours[e.Reference()] = true
	}
	names, err := farmImages(ctx, "{{.Repository}}:{{.Tag}}")
	if err != nil {
		return err
	}
	removed := 0
	var failed error
	for _, name := range names {
		if !ours[name] && !strings.HasPrefix(name, layerRepository+":") {
			continue
		}
		if err := docker(ctx, nil, "image", "rm", name); err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		removed++
	}
	f.progress.say("%d images removed", removed)
	return errors.Join(failed, forgetNameless(ctx, ""))
}
