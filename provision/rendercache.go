package provision

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"syscall"

	"github.com/croft-sh/croft/stacks"
)

// Look keeps what it rendered where it finds nothing to do, with a sum of
// everything that went in. The next Look whose inputs have the same sum compares
// that with the machine, and loads the platform only if there is something to do
// after all. It gives a plan and nothing to apply: what is kept can spare work,
// but never takes part in a change.

// keptRender is what is kept, in front of the stacks.Rendered itself.
type keptRender struct {
	Key     string   // sum of what went in; "" where that is not all
	Stacks  []string // whose directories are among that
	Secrets []string // whose fingerprints are
}

const (
	renderMagic   = "croft render 1\n"
	maxRenderSize = 256 << 20
)

func (p *Provisioner) renderPath() string { return filepath.Join(p.StateDir, "cache", "render") }

// keeps tells whether a plan can be made from what is kept. What is asked for
// single stacks, or otherwise than usual, cannot: Desired answers that.
func (p *Provisioner) keeps(o PlanOptions) bool {
	return p.InputSum != nil && p.Program != "" && reflect.DeepEqual(o, PlanOptions{RemoveOrphans: o.RemoveOrphans})
}

// Look gives the plan that Desired and Plan give, and loads nothing where nothing
// changed since a Look that found nothing to do, and there still is nothing.
func (p *Provisioner) Look(ctx context.Context, load Loader, o PlanOptions) (stacks.Plan, error) {
	var made keptRender
	known := false
	anew := func() (d stacks.Desired, r stacks.Rendered, lock stacks.Lock, err error) {
		d, r, lock, made, err = p.renderAnew(ctx, load)
		return d, r, lock, err
	}
	prep, err := p.planOf(ctx, o, func() (d stacks.Desired, r stacks.Rendered, lock stacks.Lock, err error) {
		if r, known = p.readRender(o); known {
			return d, r, lock, nil
		}
		return anew()
	})
	if err == nil && known && !settled(prep.Plan) {
		known = false
		prep, err = p.planOf(ctx, o, anew)
	}
	if err == nil && !known && settled(prep.Plan) && p.keeps(o) {
		p.keepRender(made, prep.Rendered)
	}
	return prep.Plan, err
}

// settled tells whether nothing is to be done, and nothing stands against it.
func settled(plan stacks.Plan) bool { return plan.Empty() && len(plan.Blocked) == 0 }

// renderAnew loads and renders, and tells what from.
func (p *Provisioner) renderAnew(ctx context.Context, load Loader) (d stacks.Desired, r stacks.Rendered, lock stacks.Lock, made keptRender, err error) {
	held, unread := readText(p.heldPath())
	if d, err = p.Desired(load); err != nil {
		return d, r, lock, made, err
	}
	for _, s := range d.Stacks {
		made.Stacks = append(made.Stacks, s.Name)
	}
	made.Secrets = slices.Sorted(maps.Keys(SecretSpecs(d)))
	before, early := p.renderInputs(made.Secrets)
	if r, lock, err = p.renderAdopting(ctx, d); err != nil {
		return d, r, lock, made, err
	}
	// What was read twice and is the same was the same when Render read it.
	after, late := p.renderInputs(made.Secrets)
	whole := errors.Join(unread, early, late) == nil && bytes.Equal(held, before.held) && reflect.DeepEqual(before, after)
	if whole && lasting(d, before.lock, lock) {
		made.Key = p.renderKey(d.Inputs, before)
	}
	return d, r, lock, made, nil
}

// lasting tells whether the same inputs give the same render again: nothing was
// given anew, for which the networks of the host would count; no stack is read
// from an earlier revision; nothing is looked up on the machine.
func lasting(d stacks.Desired, before []byte, after stacks.Lock) bool {
	var was stacks.Lock
	return json.Unmarshal(before, &was) == nil && was.Range == after.Range &&
		maps.Equal(was.Subnets, after.Subnets) && maps.Equal(was.Volumes, after.Volumes) &&
		len(d.Held) == 0 && d.Inputs != "" && !followsLinks(d) && !adopts(d)
}

// followsLinks tells whether a service names paths to watch: there Compose
// follows the links of the machine, of which no sum of files knows.
func followsLinks(d stacks.Desired) bool {
	return slices.ContainsFunc(d.Stacks, func(s *stacks.Stack) bool {
		for _, svc := range s.Project.AllServices() {
			if svc.Develop != nil {
				return true
			}
		}
		return false
	})
}

// renderInputs is what a render depends on beside the platform's own files.
type renderInputs struct {
	lock, held []byte            // texts of lock.json and held.json
	prints     map[string]string // of the secrets
}

func (p *Provisioner) renderInputs(secrets []string) (in renderInputs, err error) {
	if in.lock, err = readText(filepath.Join(p.StateDir, "lock.json")); err != nil {
		return in, err
	}
	if in.held, err = readText(p.heldPath()); err != nil || p.Secrets == nil {
		return in, err
	}
	in.prints, err = p.Secrets.Fingerprints(secrets)
	return in, err
}

// readText reads a file of the state; a missing one is empty.
func readText(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return text, err
}

// renderKey names all that goes into a render. Each part is quoted, so that
// none can pass for another.
func (p *Provisioner) renderKey(inputs string, in renderInputs) string {
	h := sha256.New()
	fmt.Fprintf(h, "program %q\nplatform %q\nstate %q\nrun %q\ninputs %q\nlock %q\nheld %q\n",
		p.Program, p.Platform, p.StateDir, p.RunDir, inputs, in.lock, in.held)
	for _, name := range slices.Sorted(maps.Keys(in.prints)) {
		fmt.Fprintf(h, "secret %q %q\n", name, in.prints[name])
	}
	return hex.EncodeToString(h.Sum(nil))
}

// keepRender writes down what was rendered. What cannot be kept is rendered
// again the next time: that fails no plan. Killed at any point, the old file or
// the new one is there, and each tells what it was made from.
func (p *Provisioner) keepRender(made keptRender, r stacks.Rendered) {
	if made.Key == "" {
		return
	}
	text, err := encodeRender(made, r)
	if err != nil {
		return
	}
	if err := os.Mkdir(filepath.Dir(p.renderPath()), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return
	}
	_ = p.WriteFile(p.renderPath(), text, 0o600) // see above
}

// readRender gives what was kept, if what it was made from is all the same now.
// Whatever is wrong with it or with the inputs, the answer is no: loading them
// says what.
func (p *Provisioner) readRender(o PlanOptions) (r stacks.Rendered, ok bool) {
	if !p.keeps(o) {
		return r, false
	}
	text, err := readOwn(p.renderPath())
	if err != nil {
		return r, false
	}
	made, rest, err := decodeKept(text)
	if err != nil {
		return r, false
	}
	in, err := p.renderInputs(made.Secrets)
	if err != nil {
		return r, false
	}
	inputs, err := p.InputSum(made.Stacks)
	if err != nil || p.renderKey(inputs, in) != made.Key {
		return r, false
	}
	if err := rest.Decode(&r); err != nil {
		return stacks.Rendered{}, false
	}
	return r, true
}

// readOwn reads a file that nobody else can have written or read.
func readOwn(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close() // only read from: nothing to lose
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.Mode().IsRegular() || int(st.Uid) != os.Geteuid() || info.Mode().Perm()&0o077 != 0 || info.Size() > maxRenderSize {
		return nil, fmt.Errorf("%s is not a file of this user alone", path)
	}
	text := make([]byte, info.Size())
	_, err = io.ReadFull(f, text)
	return text, err
}

// encodeRender gives magic, sum, and both values. The sum tells damage apart;
// who may write here may write everything else that croft believes, too.
func encodeRender(k keptRender, r stacks.Rendered) ([]byte, error) {
	var body bytes.Buffer
	enc := gob.NewEncoder(&body)
	if err := errors.Join(enc.Encode(k), enc.Encode(r)); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(body.Bytes())
	return slices.Concat([]byte(renderMagic), sum[:], body.Bytes()), nil
}

// decodeKept gives the first value, and where the render comes from.
func decodeKept(text []byte) (keptRender, *gob.Decoder, error) {
	var k keptRender
	body, ok := bytes.CutPrefix(text, []byte(renderMagic))
	if !ok || len(body) < sha256.Size {
		return k, nil, errors.New("not a kept render")
	}
	sum, body := body[:sha256.Size], body[sha256.Size:]
	if got := sha256.Sum256(body); !bytes.Equal(got[:], sum) {
		return k, nil, errors.New("damaged")
	}
	dec := gob.NewDecoder(bytes.NewReader(body))
	return k, dec, dec.Decode(&k)
}
