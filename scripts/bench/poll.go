package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	rest "github.com/headwater-git/headwater/server/client"
)

const (
	// pollEvery is how often each upstream is looked at.
	pollEvery = 30 * time.Second
	// pollFastest is the shortest interval that may be set: more looks than
	// can be made show how many that is.
	pollFastest = 5 * time.Second
	// pollChanged is how many upstreams change behind the back of their copies.
	pollChanged = 20
)

// pollStage is an upstream host with many repositories, each of which is
// mirrored.
type pollStage struct {
	b       *bench
	up      *upstream
	h       *headwater
	repos   int
	changed []hosted
	writers []*pusher
}

// benchPoll has one server follow thousands of repositories by polling alone.
func benchPoll(ctx context.Context, b *bench) error {
	st := &pollStage{b: b, repos: 5000}
	if b.quick {
		st.repos = 500
	}
	if err := st.open(ctx); err != nil {
		return err
	}
	defer st.up.stop()
	start := time.Now()
	if err := st.mirror(ctx); err != nil {
		return err
	}
	b.table.note("poll", fmt.Sprintf("first mirrors of %d repositories", st.repos), show(time.Since(start)))
	if err := st.steady(ctx); err != nil {
		return err
	}
	return st.fastest(ctx)
}

// open makes the upstream host.
func (st *pollStage) open(ctx context.Context) error {
	// So few refs that a first mirror is a single fetch: there are thousands.
	src, err := st.b.withRefs(ctx, 2)
	if err != nil {
		return err
	}
	folders := map[string]string{}
	for i := range pollChanged {
		dir := filepath.Join(st.b.work, "poll-upstream", fmt.Sprintf("%d.git", i))
		if _, err := st.b.git.run(ctx, "", "init", "-q", "--bare", "-b", "main", "--template=", dir); err != nil {
			return err
		}
		if err := copyInto(ctx, src, dir); err != nil {
			return err
		}
		tip, err := st.b.git.run(ctx, dir, "rev-parse", "main")
		if err != nil {
			return err
		}
		folders[fmt.Sprintf("changing%d", i)] = dir
		st.writers = append(st.writers, &pusher{git: st.b.git, dir: dir, tip: tip})
	}
	st.up, err = st.b.startUpstream(src, folders)
	return err
}

// serve starts the server over the same data as before, polling as often.
func (st *pollStage) serve(ctx context.Context, poll string) (err error) {
	st.h, err = st.b.startHeadwaterWith(ctx, "poll", fmt.Sprintf(
		"provider \"gitea\" {\n  poll = %q\n  host %q {\n    scheme = \"http\"\n    allow_private = true\n  }\n}\n", poll, st.up.host))
	return err
}

// mirror makes the repositories by the API and waits for their first mirrors.
func (st *pollStage) mirror(ctx context.Context) error {
	if err := st.serve(ctx, "off"); err != nil {
		return err
	}
	defer func() { st.h.stop() }()
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	var done atomic.Int64
	st.changed = make([]hosted, pollChanged)
	for i := range st.repos {
		group.Go(func() error {
			name := fmt.Sprintf("still%d", i)
			if i < pollChanged {
				name = fmt.Sprintf("changing%d", i)
			}
			r, err := st.h.create(gctx, "poll/"+name, st.up.host, "open/"+name)
			if err != nil {
				return err
			}
			if i < pollChanged {
				st.changed[i] = r
			}
			if _, err := r.sync(gctx); err != nil {
				return err
			}
			if n := done.Add(1); n%500 == 0 {
				fmt.Fprintf(os.Stderr, "# %d of %d repositories are mirrored\n", n, st.repos)
			}
			return nil
		})
	}
	return group.Wait()
}

// due reads when each upstream is looked at next, by its name.
func (st *pollStage) due(ctx context.Context) (map[string]time.Time, error) {
	token, err := st.h.token("org")
	if err != nil {
		return nil, err
	}
	api, err := st.h.api(token, nil)
	if err != nil {
		return nil, err
	}
	next := map[string]time.Time{}
	for query := (rest.ListRepositoriesParams{Limit: new(100)}); ; {
		page, err := api.ListRepositories(ctx, &query)
		if err != nil {
			return nil, err
		}
		for _, r := range page.Repos {
			if r.Sync != nil && r.Sync.NextPollAt != nil {
				next[r.BaseRepo.Name] = *r.Sync.NextPollAt
			}
		}
		if !page.HasMore {
			return next, nil
		}
		query.Cursor = &page.NextCursor
	}
}

// usage is what a server has used so far.
type usage struct {
	at             time.Time
	cpu            time.Duration
	written, calls int64
}

func (st *pollStage) usage() (u usage, err error) {
	u.at, u.cpu = time.Now(), st.h.cpu()
	u.written, u.calls, err = writtenBy(st.h.pid)
	return u, err
}

// steady measures polling that the machine can keep up with.
func (st *pollStage) steady(ctx context.Context) error {
	start := time.Now()
	if err := st.serve(ctx, pollEvery.String()); err != nil {
		return err
	}
	defer func() { st.h.stop() }()
	st.b.table.note("poll", fmt.Sprintf("start with %d repositories", st.repos), show(time.Since(start)))
	// The first looks after a start fill caches and open connections.
	if err := wait(ctx, pollEvery); err != nil {
		return err
	}
	due, err := st.due(ctx)
	if err != nil {
		return err
	}
	st.up.forget()
	before, err := st.usage()
	if err != nil {
		return err
	}
	window := pollEvery + pollEvery/10 + time.Second // all of them once at least
	most, gits, err := st.watch(ctx, window)
	if err != nil {
		return err
	}
	after, err := st.usage()
	if err != nil {
		return err
	}
	looks, first := st.up.listings()
	if looks == 0 {
		return errors.New("nothing was looked at")
	}
	var delays sample
	for name, at := range due {
		if answered, ok := first[name]; ok && at.After(before.at) {
			delays.wall = append(delays.wall, max(0, answered.Sub(at)))
		}
	}
	t := st.b.table
	what := fmt.Sprintf("%d every %s", st.repos, pollEvery)
	per := func(n int64) string { return fmt.Sprintf("%.1f", float64(n)/float64(looks)) }
	t.note("poll", what+", looks", fmt.Sprintf("%.0f/s", float64(looks)/after.at.Sub(before.at).Seconds()))
	t.note("poll", what+", looked at in that time", fmt.Sprintf("%d of %d", len(first), st.repos))
	t.note("poll", what+", due to answered, p50", show(delays.p50()))
	t.note("poll", what+", due to answered, p99", show(delays.quantile(99)))
	t.most("poll", what+", git processes seen", float64(gits), 0)
	t.note("poll", what+", processes with plugins", fmt.Sprint(most))
	resident, err := memoryOf(st.h.pid, "VmRSS")
	if err != nil {
		return err
	}
	t.note("poll", what+", resident", mib(resident))
	t.note("poll", what+", write calls of a look", per(after.calls-before.calls))
	t.note("poll", what+", bytes written of a look", per(after.written-before.written))
	var wall sample
	var cpu time.Duration
	for range st.b.rounds(60) {
		took, used, err := st.b.listRemote(ctx, st.up.url("still21"))
		if err != nil {
			return err
		}
		wall.wall, cpu = append(wall.wall, took), cpu+used
	}
	t.compare("poll", what+", CPU of a look, beside git ls-remote", (after.cpu-before.cpu)/time.Duration(looks), cpu/time.Duration(len(wall.wall)), 1.1, 0)
	t.note("poll", "git ls-remote, wall p50", show(wall.p50()))
	return st.change(ctx)
}

// watch looks at the server's processes for a while, and returns the most that
// were seen at once and how many of those seen were git.
func (st *pollStage) watch(ctx context.Context, window time.Duration) (most, gits int, err error) {
	seen := map[int]bool{}
	for until := time.Now().Add(window); time.Now().Before(until); {
		all := tree(st.h.pid)
		most = max(most, len(all))
		for _, p := range all {
			name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", p.pid)) // it may have ended
			if strings.HasPrefix(string(name), "git") {
				seen[p.pid] = true
			}
		}
		if err := wait(ctx, 250*time.Millisecond); err != nil {
			return 0, 0, err
		}
	}
	return most, len(seen), nil
}

// change moves upstreams of which no webhook tells, and waits for the copies.
func (st *pollStage) change(ctx context.Context) error {
	moved := make([]time.Time, pollChanged)
	for i, w := range st.writers {
		if err := w.commit(ctx, 1); err != nil {
			return err
		}
		if _, err := st.b.git.run(ctx, w.dir, "update-ref", "refs/heads/main", w.tip); err != nil {
			return err
		}
		moved[i] = time.Now()
	}
	var s sample
	here := make([]bool, pollChanged)
	for until := time.Now().Add(3 * pollEvery); len(s.wall) < pollChanged; {
		if time.Now().After(until) {
			return fmt.Errorf("%d of %d changes do not appear", pollChanged-len(s.wall), pollChanged)
		}
		for i, r := range st.changed {
			if here[i] {
				continue
			}
			if raw, err := os.ReadFile(filepath.Join(r.path, "refs", "heads", "main")); err == nil && strings.TrimSpace(string(raw)) == st.writers[i].tip {
				here[i] = true
				s.wall = append(s.wall, time.Since(moved[i]))
			}
		}
		if err := wait(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
	t := st.b.table
	t.note("poll", "change without a webhook to readable, p50", show(s.p50()))
	t.limit("poll", "change without a webhook to readable, slowest", s.quantile(100), pollEvery+pollEvery/10+time.Second)
	return nil
}

// fastest measures how many looks there can be.
func (st *pollStage) fastest(ctx context.Context) error {
	if err := st.serve(ctx, pollFastest.String()); err != nil {
		return err
	}
	defer func() { st.h.stop() }()
	if err := wait(ctx, 2*pollFastest); err != nil {
		return err
	}
	st.up.forget()
	before, err := st.usage()
	if err != nil {
		return err
	}
	if err := wait(ctx, 4*pollFastest); err != nil {
		return err
	}
	after, err := st.usage()
	if err != nil {
		return err
	}
	looks, _ := st.up.listings()
	took := after.at.Sub(before.at)
	what := fmt.Sprintf("%d every %s", st.repos, pollFastest)
	t := st.b.table
	t.note("poll", what+", looks", fmt.Sprintf("%.0f/s", float64(looks)/took.Seconds()))
	t.note("poll", what+", CPU of a look", show((after.cpu-before.cpu)/time.Duration(max(1, looks))))
	t.note("poll", what+", cores in use", fmt.Sprintf("%.2f", (after.cpu-before.cpu).Seconds()/took.Seconds()))
	resident, err := memoryOf(st.h.pid, "VmRSS")
	if err != nil {
		return err
	}
	t.note("poll", what+", resident", mib(resident))
	return nil
}

// wait lets time pass.
func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
