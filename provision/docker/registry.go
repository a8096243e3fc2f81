package docker

import (
	"errors"
	"fmt"
	"strings"

	"github.com/croft-sh/croft/stacks"
)

// What registries and the engine say about a pull. The engine hands their
// errors on as text, so words are all there is to go by.

// movedError says that a tag gives another image than the locked one.
type movedError struct{ locked, now string }

func (e *movedError) Error() string {
	return fmt.Sprintf("the registry has another image under this tag now (%s -> %s)", stacks.ShortDigest(e.locked), stacks.ShortDigest(e.now))
}

// goneError says that the locked image is not in the registry any more.
type goneError struct {
	locked string
	now    string // what the tag means there, "" where it is gone too
}

func (e *goneError) Error() string {
	if e.now == "" {
		return fmt.Sprintf("the locked image %s is gone from the registry, and so is its tag", stacks.ShortDigest(e.locked))
	}
	return fmt.Sprintf("the locked image %s is gone from the registry, where the tag means %s now", stacks.ShortDigest(e.locked), stacks.ShortDigest(e.now))
}

// foreignError says that an image was built for other machines.
type foreignError struct{ here, has string }

func (e *foreignError) Error() string {
	return fmt.Sprintf("no matching manifest for this machine: it is %s, the image is for %s", e.here, e.has)
}

// reason is an error as people are told it, without what the client puts before
// each answer of the engine.
func reason(err error) string {
	return strings.TrimPrefix(oneLine(err.Error()), "Error response from daemon: ")
}

// pullError says what failed, on which image, and what to do about it.
func pullError(ref string, err error) *Error {
	return &Error{Doing: "pull image " + ref, Err: err, Advice: pullAdvice(ref, err)}
}

// says tells whether a text has one of the words in it.
func says(text string, words ...string) bool {
	text = strings.ToLower(text)
	for _, w := range words {
		if strings.Contains(text, w) {
			return true
		}
	}
	return false
}

// unreachable tells a registry that does not answer from one that says no.
func unreachable(text string) bool {
	return says(text, "no such host", "i/o timeout", "connection refused", "network is unreachable",
		"no route to host", "client.timeout", "tls handshake timeout", "server misbehaving", "proxyconnect",
		"temporary failure in name resolution", "deadline exceeded", "no answer within")
}

// passing tells what may be gone a moment later.
func passing(text string) bool {
	if says(text, "no such host") {
		return false // somebody's answer, not the lack of one
	}
	return unreachable(text) || says(text, "stalled: no byte", "connection reset", "broken pipe", "unexpected eof", ": eof",
		"unexpected http status: 5", "status code 5", "received unexpected http status: 5", "internal server error",
		"bad gateway", "service unavailable", "gateway timeout", "temporarily unavailable")
}

func pullAdvice(ref string, err error) string {
	var moved *movedError
	var gone *goneError
	text, registry := err.Error(), registryOf(ref)
	switch {
	case errors.As(err, &moved):
		return "nothing was touched: croft plan names the change, and the next apply carries it out"
	case errors.As(err, &gone) && gone.now != "":
		return "croft pull takes what the tag means now, and croft plan then names the change; nothing newer is taken without that"
	case errors.As(err, &gone):
		return "bring the image in with docker load, or write a version that the registry has into the stack"
	case says(text, "stalled: no byte"):
		return "the line or the registry " + registry + " is stuck: run it again later; what was pulled whole stays"
	case says(text, "http response to https client"):
		return "the registry " + registry + " speaks plain HTTP: give it TLS, or add it to insecure-registries in the engine's daemon.json"
	case says(text, "x509", "certificate"):
		return "the engine does not trust the certificate of " + registry + ": add its authority to the host"
	case unreachable(text):
		return "the registry " + registry + " is not reachable from the engine: check network, DNS and proxy, " +
			"or bring the image in with docker load; what is here already runs on"
	case says(text, "no matching manifest", "does not match the specified platform"):
		return "the image does not exist for this machine's architecture"
	case says(text, "toomanyrequests", "too many requests", "rate limit"):
		return "the registry limits pulls: wait, or log in with docker login " + registry
	case says(text, "unauthorized", "denied", "authentication required", "no basic auth credentials", "forbidden"):
		return "the repository does not exist or is private: check the name, or docker login " + registry
	case says(text, "manifest unknown", "manifest for", "name unknown", "repository name not known"):
		return "the registry does not know this image: check its name and version in the stack"
	case passing(text):
		return "the registry " + registry + " is out of order: run it again later, or bring the image in with docker load"
	case stacks.IsImageID(ref):
		return "build it again, or restore the image the revision was made with"
	}
	return advice(text)
}
