//go:build e2e

package docker

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/cli/cli/config/types"
	"github.com/moby/moby/api/types/registry"
	"github.com/moby/moby/client"

	"github.com/croft-sh/croft/provision"
	"github.com/croft-sh/croft/provision/registrytest"
	"github.com/croft-sh/croft/stacks"
)

// shop is a real engine beside a real registry.
type shop struct {
	*Engine
	t        *testing.T
	registry *registrytest.Registry
	user     string // with its password, where the registry asks for them
}

func newShop(t *testing.T, o registrytest.Options) *shop {
	t.Helper()
	s := &shop{Engine: dial(t), t: t, registry: registrytest.Start(t, o)}
	if o.User != "" {
		s.user = o.User + ":" + o.Password
	}
	s.patience = patience{answer: 10 * time.Second, stall: 30 * time.Second, pause: 20 * time.Millisecond, tries: 3, asks: 2}
	return s
}

// ref names an image of this test's registry.
func (s *shop) ref(name string) string { return s.registry.Addr + "/" + name }

// noise does not compress, so that a layer is as large as it is said to be.
func noise(size int) string {
	raw := make([]byte, size)
	for i := range raw {
		raw[i] = byte(rand.IntN(256))
	}
	return string(raw)
}

// push makes a new image of some size, puts it into the registry under ref and
// takes it off the engine again.
func (s *shop) push(ref string, size int) stacks.ImageLock {
	s.t.Helper()
	return s.pushText(ref, noise(size))
}

func (s *shop) pushText(ref, text string) stacks.ImageLock {
	s.t.Helper()
	importImage(s.t, s.Engine, ref, text)
	s.t.Cleanup(func() { s.drop(ref) })
	auth := registry.AuthConfig{}
	auth.Username, auth.Password, _ = strings.Cut(s.user, ":")
	raw, err := json.Marshal(auth)
	if err != nil {
		s.t.Fatal(err)
	}
	res, err := s.api.ImagePush(s.t.Context(), ref, client.ImagePushOptions{RegistryAuth: base64.URLEncoding.EncodeToString(raw)})
	if err != nil {
		s.t.Fatal(err)
	}
	for msg, err := range res.JSONMessages(s.t.Context()) {
		if err != nil || msg.Error != nil {
			s.t.Fatalf("push %s: %v %v", ref, err, msg.Error)
		}
	}
	lock := s.lockOf(ref)
	if lock.ID == "" || lock.Digest == "" {
		s.t.Fatalf("the engine knows %s as %+v after its push", ref, lock)
	}
	s.drop(ref)
	return lock
}

// drop takes every name of an image's repository off the engine.
func (s *shop) drop(ref string) {
	ctx := context.Background() // also at the test's end
	state, err := s.Observe(ctx, "nobody")
	if err != nil {
		s.t.Error(err)
		return
	}
	repository := ref[:strings.LastIndex(ref, ":")]
	for name := range state.Images {
		if strings.HasPrefix(name, repository+":") || strings.HasPrefix(name, repository+"@") {
			_, _ = s.api.ImageRemove(ctx, name, client.ImageRemoveOptions{Force: true}) // gone with another name
		}
	}
}

// lockOf is what an apply would write into the lock.
func (s *shop) lockOf(ref string) stacks.ImageLock {
	s.t.Helper()
	state, err := s.Observe(s.t.Context(), "nobody")
	if err != nil {
		s.t.Fatal(err)
	}
	id := state.Images[ref]
	return stacks.ImageLock{ID: id, Digest: stacks.DigestOf(state.Images, ref, id, "")}
}

func (s *shop) pull(w provision.PullRequest) error {
	return s.Pull(s.t.Context(), []provision.PullRequest{w}, nil)
}

// checked gives what Check has against an image, "" for nothing.
func (s *shop) checked(w provision.PullRequest) string {
	s.t.Helper()
	blocked, err := s.Check(s.t.Context(), []provision.PullRequest{w}, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	var out []string
	for _, b := range blocked {
		out = append(out, b.Subject+": "+b.Why+"\nhint: "+b.Hint)
	}
	return strings.Join(out, "\n")
}

func TestTheLockDecidesWhatATagIs(t *testing.T) {
	s := newShop(t, registrytest.Options{})
	ref := s.ref("shop/app:1")
	first := s.push(ref, 1000)
	want := provision.PullRequest{Reference: ref}
	if err := s.pull(want); err != nil {
		t.Fatal(err)
	}
	if got := s.lockOf(ref); got != first {
		t.Fatalf("pulled is %+v, pushed was %+v", got, first)
	}
	s.drop(ref)
	second := s.push(ref, 1000) // the tag moves in the registry
	want.Locked = first
	if why := s.checked(want); why != "" {
		t.Fatal(why)
	}
	if err := s.pull(want); err != nil {
		t.Fatal(err)
	}
	if got := s.lockOf(ref); got != first {
		t.Errorf("the locked image is %+v, here is %+v, the tag has %+v", first, got, second)
	}
	// Another name of the locked image is enough; the registry is not asked.
	if err := s.Tag(t.Context(), first.ID, s.ref("kept/app:1")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.drop(s.ref("kept/app:1")) })
	s.drop(ref)
	s.registry.Stop()
	if err := s.pull(want); err != nil {
		t.Errorf("with the locked image here, and no registry: %v", err)
	}
	if got := s.lockOf(ref); got.ID != first.ID {
		t.Errorf("the tag is %+v", got)
	}
	s.registry.Run()
	// A person asks for what the tag means now.
	if err := s.pull(provision.PullRequest{Reference: ref, Locked: first, Fresh: true}); err != nil {
		t.Fatal(err)
	}
	if got := s.lockOf(ref); got != second {
		t.Errorf("asked for freshly it is %+v, want %+v", got, second)
	}
}

// TestTheLastTagTakesThePulledImageAway: the digest it was pulled by would keep
// every image that ever ran.
func TestTheLastTagTakesThePulledImageAway(t *testing.T) {
	s := newShop(t, registrytest.Options{})
	ref, keep := s.ref("kept:1"), "croft-keep/tags:1"
	s.push(ref, 1<<10)
	if err := s.pull(provision.PullRequest{Reference: ref}); err != nil {
		t.Fatal(err)
	}
	id := s.lockOf(ref).ID
	if err := s.Tag(t.Context(), id, keep); err != nil {
		t.Fatal(err)
	}
	there := func() bool {
		ok, err := s.present(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	for _, tag := range []string{ref, keep} {
		if !there() {
			t.Fatalf("gone before %s was", tag)
		}
		if err := s.Untag(t.Context(), tag); err != nil {
			t.Fatal(err)
		}
	}
	if there() {
		t.Error("the image is kept by the digest it was pulled by")
	}
}

func TestWhatTheRegistryLostIsNotReplaced(t *testing.T) {
	s := newShop(t, registrytest.Options{})
	ref := s.ref("shop/app:1")
	first := s.push(ref, 1000)
	want := provision.PullRequest{Reference: ref, Locked: first}
	s.registry.Forget("shop/app", "1")
	if why := s.checked(want); why != "" {
		t.Errorf("without its tag: %s", why)
	}
	if err := s.pull(want); err != nil || s.lockOf(ref) != first {
		t.Errorf("without its tag it is pulled by digest: %v, %+v", err, s.lockOf(ref))
	}
	s.drop(ref)

	second := s.push(ref, 1000)
	s.registry.Delete("shop/app", first.Digest)
	why := s.checked(want)
	for _, w := range []string{"image " + ref, stacks.ShortDigest(first.Digest), "gone from the registry", stacks.ShortDigest(second.Digest), "hint: croft pull"} {
		if !strings.Contains(why, w) {
			t.Errorf("%q lacks %q", why, w)
		}
	}
	if err := s.pull(want); err == nil {
		t.Error("another image was taken for the locked one")
	}
	if got := s.lockOf(ref); got.ID != "" {
		t.Errorf("there is %+v", got)
	}
	// A lock of before there were digests: what the tag gives is compared.
	old := provision.PullRequest{Reference: ref, Locked: stacks.ImageLock{ID: first.ID}}
	err := s.pull(old)
	if err == nil || !strings.Contains(err.Error(), stacks.ShortDigest(first.ID)+" -> "+stacks.ShortDigest(second.ID)) {
		t.Errorf("got %v", err)
	}
	s.drop(ref)
	s.registry.Delete("shop/app", second.Digest)
	if why := s.checked(want); !strings.Contains(why, "so is its tag") || !strings.Contains(why, "docker load") {
		t.Errorf("with neither: %s", why)
	}
}

// TestARegistryThatSaysNo: each way of failing names the image, the reason and
// what to do, in the check and, where the check was passed, in the pull.
func TestARegistryThatSaysNo(t *testing.T) {
	s := newShop(t, registrytest.Options{})
	front := registrytest.Front(t, s.registry)
	ref := s.ref("shop/app:1")
	first := s.push(ref, 1000)
	s.registry.ForMachine("shop/app", "elsewhere", first.Digest, "s390x")
	behind := front.Addr + "/shop/app:1"
	for _, tt := range []struct {
		name      string
		manners   registrytest.Manners
		ref       string
		why, hint string
	}{
		{"nobody listens", registrytest.Manners{}, "127.0.0.1:1/shop/app:1", "connection refused", "not reachable"},
		{"no such tag", registrytest.Manners{}, s.ref("shop/app:nope"), "manifest unknown", "check its name and version"},
		{"no such repository", registrytest.Manners{}, s.ref("shop/nope:1"), "manifest unknown", "check its name and version"},
		{"another machine's", registrytest.Manners{}, s.ref("shop/app:elsewhere"), "no matching manifest", "architecture"},
		{"forbidden", registrytest.Manners{Status: 403, Message: `{"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}`},
			behind, "denied", "docker login " + front.Addr},
		{"too many", registrytest.Manners{Status: 429, Message: `{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit"}]}`},
			behind, "rate limit", "limits pulls"},
		{"out of order", registrytest.Manners{Fail: 1000}, behind, "503", "out of order"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			front.Behave(tt.manners)
			began := time.Now()
			said := []string{s.checked(provision.PullRequest{Reference: tt.ref})}
			err := s.pull(provision.PullRequest{Reference: tt.ref})
			if err == nil {
				t.Fatal("it was pulled")
			}
			said = append(said, err.Error()+"\nhint: "+hintOf(err))
			t.Logf("after %s:\n%s", time.Since(began).Round(time.Millisecond), strings.Join(said, "\n"))
			for _, text := range said {
				for _, w := range []string{"image " + tt.ref, tt.why, tt.hint} {
					if !strings.Contains(text, w) {
						t.Errorf("%q lacks %q", text, w)
					}
				}
			}
		})
	}
}

// TestTLSToAPlainRegistry: outside of the loopback range the engine insists on
// encryption.
func TestTLSToAPlainRegistry(t *testing.T) {
	host := outsideAddress(t)
	s := &shop{Engine: dial(t), t: t, registry: registrytest.Start(t, registrytest.Options{Host: host})}
	s.patience = patience{answer: 10 * time.Second, stall: 10 * time.Second, pause: time.Millisecond, tries: 2, asks: 2}
	why := s.checked(provision.PullRequest{Reference: s.ref("shop/app:1")})
	for _, w := range []string{"image " + s.ref("shop/app:1"), "HTTP response to HTTPS client", "plain HTTP", "insecure-registries"} {
		if !strings.Contains(why, w) {
			t.Errorf("%q lacks %q", why, w)
		}
	}
}

// outsideAddress is an address of this machine that is not a loopback one.
func outsideAddress(t *testing.T) string {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && !n.IP.IsLoopback() {
			return n.IP.String()
		}
	}
	t.Fatal("this machine has no address but the loopback ones")
	return ""
}

func TestCredentialsOfDockerLogin(t *testing.T) {
	s := newShop(t, registrytest.Options{User: "ada", Password: "correct horse"})
	ref := s.ref("shop/app:1")
	first := s.push(ref, 1000)
	want := provision.PullRequest{Reference: ref}
	login := func(user, password string) { // as it is after docker login
		cli, err := s.cli()
		if err != nil {
			t.Fatal(err)
		}
		cli.ConfigFile().GetAuthConfigs()[s.registry.Addr] = types.AuthConfig{Username: user, Password: password, ServerAddress: s.registry.Addr}
	}
	for _, bad := range []string{"", "ada:wrong", "eve:correct horse"} {
		if user, password, ok := strings.Cut(bad, ":"); ok {
			login(user, password)
		}
		why := s.checked(want)
		if !strings.Contains(why, "image "+ref) || !strings.Contains(why, "docker login "+s.registry.Addr) {
			t.Errorf("with %q: %q", bad, why)
		}
		if err := s.pull(want); err == nil || !strings.Contains(err.Error(), ref) {
			t.Errorf("with %q: %v", bad, err)
		} else if strings.Contains(err.Error()+why, "wrong") || strings.Contains(err.Error()+why, "correct horse") {
			t.Errorf("the password is in what it says: %v", err)
		}
	}
	login("ada", "correct horse")
	if why := s.checked(want); why != "" {
		t.Error(why)
	}
	if err := s.pull(want); err != nil || s.lockOf(ref) != first {
		t.Errorf("with the right ones: %v, %+v", err, s.lockOf(ref))
	}
}

func TestASlowRegistryIsWaitedFor(t *testing.T) {
	s := newShop(t, registrytest.Options{})
	front := registrytest.Front(t, s.registry)
	s.push(s.ref("shop/app:1"), 2<<20)
	ref := front.Addr + "/shop/app:1"
	t.Cleanup(func() { s.drop(ref) })
	front.Behave(registrytest.Manners{Rate: 800 << 10})
	s.patience.stall = 1500 * time.Millisecond // far less than the download takes
	s.patience.tries = 1
	var mu sync.Mutex
	var seen []int64
	began := time.Now()
	err := s.Pull(t.Context(), []provision.PullRequest{{Reference: ref}}, func(e stacks.Event) {
		mu.Lock()
		defer mu.Unlock()
		if e.Progress != nil {
			seen = append(seen, e.Progress.Current)
		}
	})
	took := time.Since(began)
	t.Logf("%d steps of progress in %s, to %d bytes", len(seen), took.Round(time.Millisecond), slices.Max(append(seen, 0)))
	if err != nil || took < s.patience.stall {
		t.Errorf("after %s: %v", took, err)
	}
	if len(seen) < 5 || !slices.IsSorted(seen) {
		t.Errorf("progress was %v", seen)
	}
}

func TestAStuckRegistryIsGivenUp(t *testing.T) {
	s := newShop(t, registrytest.Options{})
	front := registrytest.Front(t, s.registry)
	s.push(s.ref("shop/app:1"), 2<<20)
	ref := front.Addr + "/shop/app:1"
	t.Cleanup(func() { s.drop(ref) })
	front.Behave(registrytest.Manners{Stall: 512 << 10})
	s.patience.stall, s.patience.tries = 2*time.Second, 2
	began := time.Now()
	err := s.pull(provision.PullRequest{Reference: ref})
	took := time.Since(began)
	if err == nil || !strings.Contains(err.Error(), "pull image "+ref) || !strings.Contains(err.Error(), "no byte came from "+front.Addr+" for 2s") {
		t.Errorf("got %v", err)
	}
	t.Logf("given up after %s: %v", took.Round(time.Millisecond), err)
	if took < 2*s.patience.stall || took > 30*time.Second {
		t.Errorf("two attempts of 2s took %s", took)
	}
	// The line is good again: nothing of the failed pull stands in the way.
	front.Behave(registrytest.Manners{})
	if err := s.pull(provision.PullRequest{Reference: ref}); err != nil {
		t.Error(err)
	}
}

func TestAHiccupIsNoFailure(t *testing.T) {
	s := newShop(t, registrytest.Options{})
	front := registrytest.Front(t, s.registry)
	s.push(s.ref("shop/app:1"), 1000)
	ref := front.Addr + "/shop/app:1"
	t.Cleanup(func() { s.drop(ref) })
	front.Behave(registrytest.Manners{Fail: 1})
	if why := s.checked(provision.PullRequest{Reference: ref}); why != "" {
		t.Errorf("one 503 and then well: %s", why)
	}
	_ = front.Asked()
	if why := s.checked(provision.PullRequest{Reference: ref}); why != "" {
		t.Error(why)
	}
	asked := front.Asked()
	t.Logf("one check asks %q", asked)
	if len(asked) > 6 {
		t.Errorf("one check asks %d times: %q", len(asked), asked)
	}
	front.Behave(registrytest.Manners{Fail: 8})
	s.patience.tries = 8
	var warned int
	err := s.Pull(t.Context(), []provision.PullRequest{{Reference: ref}}, func(e stacks.Event) {
		if e.State == stacks.Warning {
			warned++
		}
	})
	if err != nil || warned == 0 {
		t.Errorf("503 for a while and then well: %v after %d warnings", err, warned)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	s.drop(ref)
	front.Behave(registrytest.Manners{Fail: 1000})
	s.patience.pause, s.patience.tries = 10*time.Second, 10
	began := time.Now()
	if err := s.Pull(ctx, []provision.PullRequest{{Reference: ref}}, nil); err == nil || time.Since(began) > 5*time.Second {
		t.Errorf("a cancelled wait took %s: %v", time.Since(began), err)
	}
}
