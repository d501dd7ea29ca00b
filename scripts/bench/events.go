package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	rest "github.com/headwater-git/headwater/server/client"
)

const (
	// eventsSecret signs the deliveries.
	eventsSecret = "bench-outbound-secret"
	// eventsSlots is how many requests the server has in flight to one webhook,
	// and so the baseline has.
	eventsSlots = 8
	// eventsRepos is how many repositories a burst comes from. The events of one
	// are delivered one after the other.
	eventsRepos = 20
	// eventsHold is how long a receiver may make the server wait: it gives up
	// after 10 s, and what is delivered then is another attempt.
	eventsHold = 8 * time.Second
)

// eventsStage is a server with repositories, a receiver, and clones that push.
type eventsStage struct {
	b     *bench
	h     *headwater
	org   string // token
	in    *receiver
	repos []hosted
	clone string
	tip   string
	made  int // bursts so far
}

// benchEvents measures the way out: from events to webhooks' receivers.
func benchEvents(ctx context.Context, b *bench) error {
	st, err := b.startEvents(ctx)
	if err != nil {
		return err
	}
	defer st.h.stop()
	defer st.in.stop()
	plain, err := st.pushes(ctx)
	if err != nil {
		return err
	}
	for _, webhooks := range []int{1, 10} {
		if err := st.throughput(ctx, webhooks, plain); err != nil {
			return fmt.Errorf("%d webhooks: %w", webhooks, err)
		}
	}
	if err := st.quiet(ctx); err != nil {
		return err
	}
	return st.besideDead(ctx)
}

func (b *bench) startEvents(ctx context.Context) (_ *eventsStage, err error) {
	st := &eventsStage{b: b}
	if st.in, err = listen(eventsSecret); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			st.in.stop()
		}
	}()
	st.h, err = b.startHeadwaterWith(ctx, "events", "", "--webhooks-allow-http", "--webhooks-allow-private")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			st.h.stop()
		}
	}()
	if st.org, err = st.h.token("org"); err != nil {
		return nil, err
	}
	src, err := b.withRefs(ctx, 10)
	if err != nil {
		return nil, err
	}
	st.clone = filepath.Join(b.work, "events-clone.git")
	if _, err := b.git.run(ctx, "", "init", "-q", "--bare", "-b", "main", "--template=", st.clone); err != nil {
		return nil, err
	}
	if err := copyInto(ctx, src, st.clone); err != nil {
		return nil, err
	}
	if st.tip, err = b.git.run(ctx, st.clone, "rev-parse", "main"); err != nil {
		return nil, err
	}
	for i := range eventsRepos {
		r, err := st.h.create(ctx, fmt.Sprintf("events/%d", i), "", "")
		if err != nil {
			return nil, err
		}
		if _, err := r.git().run(ctx, st.clone, "push", "-q", r.url, "main"); err != nil {
			return nil, err
		}
		st.repos = append(st.repos, r)
	}
	return st, nil
}

// refs is how many refs, and so events, a repository has of a burst.
func (st *eventsStage) refs() int {
	if st.b.quick {
		return 50
	}
	return 100
}

// cpu returns the CPU time of the server's own process: git's part in pushes
// and in housekeeping is none of a delivery's.
func (st *eventsStage) cpu() time.Duration {
	s, _ := readStat(st.h.pid)
	return s.own
}

// pushes makes one push of many new branches into each repository, four at a
// time, and returns what CPU time the server has used for them.
func (st *eventsStage) pushes(ctx context.Context) (time.Duration, error) {
	st.made++
	args := []string{"push", "-q", ""}
	for i := range st.refs() {
		args = append(args, fmt.Sprintf("%s:refs/heads/burst%d/%d", st.tip, st.made, i))
	}
	before := st.cpu()
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(4)
	for _, r := range st.repos {
		group.Go(func() error {
			mine := slices.Clone(args)
			mine[2] = r.url
			_, err := r.git().run(gctx, st.clone, mine...)
			return err
		})
	}
	err := group.Wait()
	time.Sleep(settle)
	return st.cpu() - before, err
}

// subscribe makes a webhook for pushes and returns what deletes it.
func (st *eventsStage) subscribe(ctx context.Context, target string) (remove func() error, err error) {
	api, err := st.h.api(st.org, nil)
	if err != nil {
		return nil, err
	}
	made, err := api.CreateWebhook(ctx, rest.CreateWebhookRequest{URL: target, Events: []string{"push"}, Secret: new(eventsSecret)})
	return func() error { return api.DeleteWebhook(context.WithoutCancel(ctx), made.ID) }, err
}

// throughput measures how fast a backlog of a burst goes out to so many
// webhooks, of which each gets every event. plain is the CPU time of a burst
// that no webhook receives.
func (st *eventsStage) throughput(ctx context.Context, webhooks int, plain time.Duration) (err error) {
	for i := range webhooks {
		remove, err := st.subscribe(ctx, st.in.url+fmt.Sprint(i))
		if err != nil {
			return err
		}
		defer func() { _ = remove() }() // only the next number would suffer
	}
	st.in.clear()
	// The receiver answers nobody before all events are there: else the pushes
	// would be measured. On a machine so busy that they take longer than the
	// server waits for an answer, that is what happens.
	release := st.in.hold()
	defer release()
	early := time.AfterFunc(eventsHold, release)
	before := st.cpu()
	if _, err := st.pushes(ctx); err != nil {
		return err
	}
	what := ""
	if !early.Stop() {
		what = ", pushes beside"
	}
	cpu := st.cpu()
	release()
	total := webhooks * len(st.repos) * st.refs()
	if err := st.await(ctx, total, 5*time.Minute); err != nil {
		return err
	}
	arrivals, err := st.in.all()
	if err != nil {
		return err
	}
	took := arrivals[len(arrivals)-1].at.Sub(arrivals[0].at)
	time.Sleep(settle)
	after := st.cpu()
	rate := float64(total) / took.Seconds()
	what = fmt.Sprintf("%d events to %d webhooks%s", len(st.repos)*st.refs(), webhooks, what)

	sequential, err := st.straight(arrivals, 1)
	if err != nil {
		return err
	}
	parallel, err := st.straight(arrivals, eventsSlots)
	if err != nil {
		return err
	}
	t := st.b.table
	t.besideRate("events", what+", beside posting in turn", rate, sequential)
	t.besideRate("events", what+fmt.Sprintf(", beside posting %d at once", eventsSlots), rate, parallel)
	t.note("events", what+", CPU of sending one", show((after-cpu)/time.Duration(total)))
	t.note("events", what+", CPU of one with its making", show((after-before-plain)/time.Duration(total)))
	return nil
}

// await waits until so many deliveries have come to all webhooks together.
func (st *eventsStage) await(ctx context.Context, total int, limit time.Duration) error {
	deadline := time.After(limit)
	for {
		if all, err := st.in.all(); err != nil || len(all) >= total {
			return err
		}
		select {
		case <-st.in.arrived:
		case <-deadline:
			all, _ := st.in.all()
			return fmt.Errorf("only %d of %d deliveries came in %s", len(all), total, limit)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// straight posts the bodies of the deliveries, signed anew, with Go's client
// alone, and returns how many it sent per second.
func (st *eventsStage) straight(arrivals []arrival, clients int) (float64, error) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
	defer client.CloseIdleConnections()
	var next atomic.Int64
	var group errgroup.Group
	start := time.Now()
	for range clients {
		group.Go(func() error {
			for {
				i := next.Add(1) - 1
				if i >= int64(len(arrivals)) {
					return nil
				}
				if err := post(client, st.in.url+"straight", eventsSecret, arrivals[i].body); err != nil {
					return err
				}
			}
		})
	}
	err := group.Wait()
	return float64(len(arrivals)) / time.Since(start).Seconds(), err
}

// commits makes one commit after the other by the API, each in the next
// repository, and returns how long after each answer its delivery was here. A delivery may be here before the answer; that counts as 0.
func (st *eventsStage) commits(ctx context.Context, rounds int) (delays sample, err error) {
	st.made++
	for i := range rounds {
		r := st.repos[i%len(st.repos)]
		st.in.clear()
		api, err := r.overKeptConnections()
		if err != nil {
			return delays, err
		}
		if err := api.commit(ctx, "main", apiFile{fmt.Sprintf("quiet-%d-%d.txt", st.made, i), "quiet\n"}); err != nil {
			return delays, err
		}
		answered := time.Now()
		if err := st.await(ctx, 1, time.Minute); err != nil {
			return delays, err
		}
		all, err := st.in.all()
		if err != nil {
			return delays, err
		}
		delays.wall = append(delays.wall, max(0, all[0].at.Sub(answered)))
		time.Sleep(settle)
	}
	return delays, nil
}

// quiet measures single deliveries while nothing else goes on, beside a post of
// the same bodies.
func (st *eventsStage) quiet(ctx context.Context) error {
	remove, err := st.subscribe(ctx, st.in.url+"quiet")
	if err != nil {
		return err
	}
	delays, err := st.commits(ctx, st.b.rounds(300))
	if err = errors.Join(err, remove()); err != nil {
		return err
	}
	all, err := st.in.all()
	if err != nil {
		return err
	}
	client := &http.Client{}
	defer client.CloseIdleConnections()
	var posts sample
	for range len(delays.wall) {
		time.Sleep(settle)
		start := time.Now()
		if err := post(client, st.in.url+"straight", eventsSecret, all[0].body); err != nil {
			return err
		}
		posts.wall = append(posts.wall, time.Since(start))
	}
	t := st.b.table
	t.beside("events", "commit's answer to its delivery, p50, beside a post", delays.p50(), posts.p50())
	t.beside("events", "commit's answer to its delivery, p99, beside a post", delays.quantile(99), posts.quantile(99))
	return nil
}

// besideDead measures single deliveries and a burst to a good receiver while
// another one takes connections and never answers.
func (st *eventsStage) besideDead(ctx context.Context) error {
	dead, err := listen(eventsSecret)
	if err != nil {
		return err
	}
	defer dead.stop()
	defer dead.hold()()
	good, err := st.subscribe(ctx, st.in.url+"good")
	if err != nil {
		return err
	}
	defer func() { _ = good() }()
	const blocks = 2
	var alone, beside sample
	var aloneRate, besideRate time.Duration
	for range blocks {
		s, err := st.commits(ctx, st.b.rounds(60))
		if err != nil {
			return err
		}
		alone.wall = append(alone.wall, s.wall...)
		took, err := st.burst(ctx)
		if err != nil {
			return err
		}
		aloneRate += took

		remove, err := st.subscribe(ctx, dead.url+"dead")
		if err != nil {
			return err
		}
		took, err = st.burst(ctx) // fills all places of the dead one
		if err == nil {
			besideRate += took
			s, err = st.commits(ctx, st.b.rounds(60))
			beside.wall = append(beside.wall, s.wall...)
		}
		if err = errors.Join(err, remove()); err != nil {
			return err
		}
	}
	t := st.b.table
	t.beside("events", "delivery while another receiver hangs, p50, beside alone", beside.p50(), alone.p50())
	t.beside("events", "delivery while another receiver hangs, p99, beside alone", beside.quantile(99), alone.quantile(99))
	t.beside("events", fmt.Sprintf("%d events from push to delivery, the same way", len(st.repos)*st.refs()),
		besideRate/blocks, aloneRate/blocks)
	return nil
}

// burst makes a burst and returns the time from its first push to its last
// delivery.
func (st *eventsStage) burst(ctx context.Context) (time.Duration, error) {
	st.in.clear()
	start := time.Now()
	if _, err := st.pushes(ctx); err != nil {
		return 0, err
	}
	if err := st.await(ctx, len(st.repos)*st.refs(), time.Minute); err != nil {
		return 0, err
	}
	all, err := st.in.all()
	return all[len(all)-1].at.Sub(start), err
}
