// Package host is the edge to the machine croft runs on: where things live,
// writing files so that a power cut leaves the old or the new one, one lock per
// platform, the tmpfs for secrets, directories for volumes, the known
// platforms, the journal, facts about the machine, and the checks that
// preflight and doctor run.
//
// It reads no environment (the caller hands values in), starts no program,
// talks to no engine (a function is handed in), and holds no secret: bytes that
// pass through WriteFile are never looked at, logged or put into an error. Of
// croft it may import stacks alone.
package host
