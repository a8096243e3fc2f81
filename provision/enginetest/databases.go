package enginetest

import (
	"context"
	"fmt"
	"sync"

	"github.com/croft-sh/croft/provision"
)

var _ provision.Databases = (*Databases)(nil)

// Databases is a database server in memory: each database is a text.
type Databases struct {
	mu  sync.Mutex
	all map[string]string
	// Fail, where set, is asked before each call: "copy app", "swap app", "drop app".
	Fail func(call string) error
}

// Put makes a database or changes what is in it.
func (d *Databases) Put(name, text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.all == nil {
		d.all = map[string]string{}
	}
	d.all[name] = text
}

// Get gives what is in a database, and whether there is one.
func (d *Databases) Get(name string) (string, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	text, ok := d.all[name]
	return text, ok
}

// Len gives how many databases there are.
func (d *Databases) Len() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.all)
}

func (d *Databases) called(call string) error {
	if d.Fail == nil {
		return nil
	}
	return d.Fail(call)
}

// Size gives the bytes of the text.
func (d *Databases) Size(_ context.Context, _, name string) (int64, bool, error) {
	text, ok := d.Get(name)
	return int64(len(text)), ok, d.called("size " + name)
}

// Copy copies the text.
func (d *Databases) Copy(_ context.Context, _, from, to string) error {
	if err := d.called("copy " + from); err != nil {
		return err
	}
	text, ok := d.Get(from)
	if ok {
		d.Put(to, text)
	}
	return nil
}

// Swap renames both or nothing.
func (d *Databases) Swap(_ context.Context, _, name, aside, failed string) error {
	if err := d.called("swap " + name); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	text, there := d.all[name]
	copied, ok := d.all[aside]
	switch {
	case !ok && there:
		return nil
	case !ok:
		return fmt.Errorf("neither database %s nor its copy %s is there", name, aside)
	}
	if there {
		d.all[failed] = text
	}
	d.all[name] = copied
	delete(d.all, aside)
	return nil
}

// Drop forgets a database.
func (d *Databases) Drop(_ context.Context, _, name string) error {
	if err := d.called("drop " + name); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.all, name)
	return nil
}
