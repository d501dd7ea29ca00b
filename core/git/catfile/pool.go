// Package catfile reads single objects through long-lived git processes, so that a
// question costs no fork.
package catfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
)

// Options bounds a [Pool]. Zero values mean the defaults.
type Options struct {
	MaxProcesses int           // over all repositories; default 16
	Idle         time.Duration // a process that is not used for so long ends; default one minute
	// Looked is called for each query: whether an idle process was there for it. Nil:
	// nothing is. It must not wait.
	Looked func(found bool)
}

// maxUses is how many queries one process answers. Revisions such as
// main~1000 leave parsed commits in its memory, so it must not live forever.
const maxUses = 20_000

// Pool reads single objects without starting a process for each: it keeps
// "git cat-file --batch-command" processes, several for a busy repository, and
// ends the least recently used when there are too many. When all are busy,
// callers wait.
//
// A process never goes stale: it looks at refs anew for each query, and looks
// for new packs when an object is missing. A repository that was replaced by
// another one in its place gets new processes.
//
// Large contents do not belong here, because a slow reader would hold a
// process: see [git.Git.OpenBlob]. Pool is safe for concurrent use.
type Pool struct {
	git  *git.Git
	max  int
	keep time.Duration
	look func(found bool)
	busy chan struct{} // one token for each process that is lent
	ctx  context.Context
	stop context.CancelFunc

	mu    sync.Mutex
	ended map[string]int // by folder: how often End was called for it
	idle  []*process     // least recently used first
	timer *time.Timer    // reaps; nil if nothing is idle
	reaps sync.WaitGroup
}

// NewPool returns an empty pool. The caller must Close it.
func NewPool(g *git.Git, o Options) *Pool {
	if o.MaxProcesses <= 0 {
		o.MaxProcesses = 16
	}
	if o.Idle <= 0 {
		o.Idle = time.Minute
	}
	if o.Looked == nil {
		o.Looked = func(bool) {}
	}
	ctx, stop := context.WithCancel(context.Background())
	return &Pool{git: g, max: o.MaxProcesses, keep: o.Idle, look: o.Looked, busy: make(chan struct{}, o.MaxProcesses), ended: map[string]int{}, ctx: ctx, stop: stop}
}

// Info returns type and size of objects by their names: ids, full ref names
// and what gitrevisions(7) builds from them. Callers must have checked the
// names; one that names nothing gives an Object that is not Found.
func (p *Pool) Info(ctx context.Context, dir string, names ...string) ([]Object, error) {
	return p.query(ctx, dir, -1, names)
}

// Contents is Info with the contents of the objects, each of at most limit
// bytes and 64 MiB together: more is a KindTooLarge [*core.Error].
func (p *Pool) Contents(ctx context.Context, dir string, limit int64, names ...string) ([]Object, error) {
	objects, err := p.query(ctx, dir, limit, names)
	if over, ok := errors.AsType[*oversizeError](err); ok {
		if over.together {
			return nil, core.Errorf(core.KindTooLarge, "the objects that this needs at once have more than %d bytes", maxTogether)
		}
		return nil, tooLarge(over.object, limit)
	}
	for _, o := range objects {
		if o.Size > limit {
			return nil, tooLarge(o, limit)
		}
	}
	return objects, err
}

func tooLarge(o Object, limit int64) error {
	return core.Errorf(core.KindTooLarge, "the %s %s has %d bytes; the limit is %d", o.Type, o.ID, o.Size, limit)
}

// Open starts a process outside the pool for one caller, with an environment
// of its own, as for objects in a temporary place. The caller must Close it.
func Open(ctx context.Context, g *git.Git, dir string, env ...string) (*Reader, error) {
	c, err := start(ctx, g, dir, env)
	if err != nil {
		return nil, err
	}
	return &Reader{process: c}, nil
}

// Reader is one cat-file process for one caller.
type Reader struct{ process *process }

// Contents is [Pool.Contents]; an object over the limit is returned without
// its content. After an error nothing but Close may be called.
func (c *Reader) Contents(ctx context.Context, limit int64, names ...string) ([]Object, error) {
	if err := checkNames(names); err != nil {
		return nil, err
	}
	return c.process.query(ctx, limit, names)
}

// Info is [Pool.Info].
func (c *Reader) Info(ctx context.Context, names ...string) ([]Object, error) {
	return c.Contents(ctx, -1, names...)
}

// Close ends the process.
func (c *Reader) Close() error {
	_ = c.process.end() // a complaint was the error of the query before
	return nil
}

// checkNames refuses what would break the framing of requests.
func checkNames(names []string) error {
	for _, name := range names {
		if name == "" || len(name) > maxName || strings.ContainsRune(name, 0) {
			return core.Errorf(core.KindInvalid, "an object name is empty, too long or holds a NUL")
		}
	}
	return nil
}

func (p *Pool) query(ctx context.Context, dir string, limit int64, names []string) ([]Object, error) {
	if len(names) == 0 {
		return nil, nil
	}
	if err := checkNames(names); err != nil {
		return nil, err
	}
	select {
	case p.busy <- struct{}{}:
		defer func() { <-p.busy }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-p.ctx.Done():
		return nil, errPoolClosed
	}
	for {
		c, used, err := p.take(dir)
		if err != nil {
			return nil, err
		}
		objects, err := c.query(ctx, limit, names)
		if err == nil {
			p.put(c)
			return objects, nil
		}
		complaint := c.end()
		if _, over := errors.AsType[*oversizeError](err); over || ctx.Err() != nil {
			return nil, err
		}
		if used {
			continue // it may have died while it was idle; a new one decides
		}
		if complaint != nil {
			err = complaint // the end of its output, which follows, is no end of an object
		}
		return nil, fmt.Errorf("read objects: %w", err)
	}
}

var errPoolClosed = core.Errorf(core.KindInternal, "the server is shutting down")

// take returns a process for the repository, an idle one if there is (used).
// The caller holds a token of busy.
func (p *Pool) take(dir string) (c *process, used bool, err error) {
	folder, err := os.Stat(dir)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, false, &core.Error{Kind: core.KindNotFound, Message: "the repository does not exist any more", Err: err}
		}
		return nil, false, err
	}
	var victims []*process
	p.mu.Lock()
	for i := len(p.idle) - 1; i >= 0; i-- {
		if p.idle[i].dir != dir {
			continue
		}
		found := p.idle[i]
		p.idle = slices.Delete(p.idle, i, i+1)
		if os.SameFile(found.folder, folder) {
			c = found
			break
		}
		victims = append(victims, found)
	}
	// Idle and lent ones together, the wanted one among the lent.
	for c == nil && len(p.idle) > 0 && len(p.idle)+len(p.busy) > p.max {
		victims = append(victims, p.idle[0])
		p.idle = slices.Delete(p.idle, 0, 1)
	}
	p.mu.Unlock()
	for _, v := range victims {
		_ = v.end() // it was idle: nobody waits for what it has to say
	}
	p.look(c != nil)
	if c != nil {
		return c, true, nil
	}
	p.mu.Lock()
	ends := p.ended[dir] // before it starts: it may open a pack at once
	p.mu.Unlock()
	c, err = start(p.ctx, p.git, dir, nil)
	if err != nil {
		if p.ctx.Err() != nil {
			err = errPoolClosed
		}
		return nil, false, err
	}
	c.folder, c.ends = folder, ends
	return c, false, nil
}

// put takes a healthy process back.
func (p *Pool) put(c *process) {
	c.uses++
	p.mu.Lock()
	if p.ctx.Err() != nil || c.uses >= maxUses || c.ends != p.ended[c.dir] {
		p.mu.Unlock()
		_ = c.end()
		return
	}
	defer p.mu.Unlock()
	c.since = time.Now()
	p.idle = append(p.idle, c)
	p.schedule()
}

// schedule plans the next look at idle processes; the caller holds mu.
func (p *Pool) schedule() {
	if p.timer != nil || len(p.idle) == 0 || p.ctx.Err() != nil {
		return
	}
	p.reaps.Add(1)
	p.timer = time.AfterFunc(time.Until(p.idle[0].since.Add(p.keep)), func() {
		defer p.reaps.Done()
		p.reap()
	})
}

// End ends the processes of a repository, those that are lent when they come back:
// each holds the packs open that it has read from, also when they were deleted.
func (p *Pool) End(dir string) {
	p.mu.Lock()
	p.ended[dir]++
	var mine []*process
	p.idle = slices.DeleteFunc(p.idle, func(c *process) bool {
		if c.dir != dir {
			return false
		}
		mine = append(mine, c)
		return true
	})
	p.mu.Unlock()
	for _, c := range mine {
		_ = c.end() // it was idle: nobody waits for what it has to say
	}
}

// reap ends what was idle for too long.
func (p *Pool) reap() {
	p.mu.Lock()
	n := 0
	for n < len(p.idle) && time.Since(p.idle[n].since) >= p.keep {
		n++
	}
	old := slices.Clone(p.idle[:n])
	p.idle = slices.Delete(p.idle, 0, n)
	p.timer = nil
	p.schedule()
	p.mu.Unlock()
	for _, c := range old {
		_ = c.end()
	}
}

// Close ends all processes and waits for them, also for those that are lent;
// later calls fail. It may be called twice.
func (p *Pool) Close() error {
	p.stop()
	// With all tokens in hand nobody holds a process.
	for range p.max {
		p.busy <- struct{}{}
	}
	p.mu.Lock()
	if p.timer != nil && p.timer.Stop() {
		p.reaps.Done()
	}
	p.timer = nil
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	for _, c := range idle {
		_ = c.end()
	}
	p.reaps.Wait()
	for range p.max {
		<-p.busy
	}
	return nil
}
