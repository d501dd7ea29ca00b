package host

import (
	"context"
	"errors"
	"os"
	"reflect"
	"slices"
	"time"

	"github.com/headwater-git/headwater/providers/config"
)

// Reload takes another configuration. An instance whose block did not change goes on
// as it is, with its process; one that changed is replaced, and who holds the former
// one, as a push in flight does, is answered by the new one from then on. One that was
// taken out still answers them for [Options.RetireAfter]. Calls in flight are finished
// by the process that they went to.
//
// Errors are those of [New] and [Catalog.CheckBlocks]; then nothing has changed.
func (c *Catalog) Reload(ctx context.Context, cfg *config.Config) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return errors.New("the server is shutting down")
	}
	former := c.set.Load()
	latest, err := c.build(cfg, former)
	if err != nil {
		return err
	}
	var added []*Instance
	for _, i := range latest.instances {
		if !slices.Contains(former.instances, i) {
			added = append(added, i)
		}
	}
	if err := checkBlocks(ctx, added); err != nil {
		for _, i := range added {
			_ = i.super.close(ctx) // nobody else has it
		}
		return err
	}
	c.set.Store(latest)
	for _, i := range former.instances {
		if slices.Contains(latest.instances, i) {
			continue
		}
		c.retired = append(c.retired, i)
		if next := latest.instance(i.name); next != nil {
			i.next.Store(next)
			c.tasks.Go(func() { c.retire(i, 0) })
			continue
		}
		c.tasks.Go(func() { c.retire(i, c.o.RetireAfter) })
	}
	return nil
}

// retire ends an instance that is no longer in the set after a while, when the calls in
// flight have ended.
func (c *Catalog) retire(i *Instance, after time.Duration) {
	timer := time.NewTimer(after)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.stop: // Close ends it
		return
	}
	i.super.retire("it was taken out of providers.hcl; put its block back")
	// However long the calls take: each has its own limit, and Close ends them by force
	// when its own time is over.
	_ = i.super.close(context.Background())
	c.mu.Lock()
	defer c.mu.Unlock()
	c.retired = slices.DeleteFunc(c.retired, func(r *Instance) bool { return r == i })
}

// latest returns the instance that answers in place of this one.
func (i *Instance) latest() *Instance {
	for next := i.next.Load(); next != nil; next = i.next.Load() {
		i = next
	}
	return i
}

// onLatest calls do with the instance that answers in place of i, which waits for the
// call before it ends.
func onLatest[T any](i *Instance, do func(i *Instance) (T, error)) (T, error) {
	for {
		i = i.latest()
		err := i.super.enter()
		if err == nil {
			defer i.super.calls.Done()
			return do(i)
		}
		if i.next.Load() == nil { // it was not replaced just now
			var zero T
			return zero, err
		}
	}
}

// unchanged reports whether a block says what the one of the instance does, wherever it
// stands in the file. The content of what env() and file() name and of ca_file counts.
func (i *Instance) unchanged(block config.Provider) bool {
	return i.block.Same(block) && reflect.DeepEqual(i.ca, authorities(block))
}

// authorities returns what is in the files that ca_file names. What cannot be read is
// reported by whoever needs it.
func authorities(block config.Provider) map[string]string {
	var out map[string]string
	for _, h := range block.Hosts {
		if h.CAFile == "" {
			continue
		}
		if out == nil {
			out = map[string]string{}
		}
		content, _ := os.ReadFile(h.CAFile)
		out[h.CAFile] = string(content)
	}
	return out
}
