// Package provision changes the machine, and is the only thing that does: it
// observes, plans (by stacks.Diff), applies a plan in waves behind a health
// gate, and keeps revisions and a journal.
//
// It reaches the world only through the small interfaces in this package and
// the state directory. It decides nothing while applying: every decision is in
// the plan. It may import stacks and templates, and knows nothing of backups,
// terminals or commands.
package provision
