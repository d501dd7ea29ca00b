package mirror

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/discovery"
	"github.com/headwater-git/headwater/core/repo"
	"github.com/headwater-git/headwater/core/schedule"
	"github.com/headwater-git/headwater/core/trace"
	"github.com/headwater-git/headwater/core/upstream"
)

// againPause is how soon a sync looks again at refs that it left to write
// sessions.
const againPause = time.Second

// Outcomes of runs.
const (
	outcomeSucceeded   = "succeeded"
	outcomeUnchanged   = "unchanged"
	outcomeFailed      = "failed"
	outcomeHeld        = "held"
	outcomeInterrupted = "interrupted"
)

// Request is a run to make.
type Request struct {
	Repo  core.Repository // with its link as it is now
	State core.SyncState  // as [core.SyncStore.TakeSync] returned it
	// Watch was begun before State was read: it has the refs that write sessions moved
	// since.
	Watch *repo.Watch

	listing *listing // made by a look; nil: the run lists
}

// Result is what came of a run.
type Result struct {
	Run    core.Run
	Err    error     // why it failed
	Record error     // why it could not be recorded, or not be started
	PollAt time.Time // when to look at the upstream next; zero: not by itself
	// Sessions are refs that the run left to write sessions which still have them: look
	// again when those have ended.
	Sessions []string
}

// Run makes a copy equal to its upstream: it lists the refs of the upstream, fetches
// what differs, compares ([diff]), applies the difference and records the outcome. It
// is stopped by ctx; what was fetched stays.
func (m *Mirror) Run(ctx context.Context, q Request) Result {
	x := m.newRun(q)
	if x.userInitiated || x.First {
		if err := x.begin(ctx); err != nil {
			return Result{Run: x.Run, Record: fmt.Errorf("start a sync: %w", err)}
		}
	}
	traced, span := trace.Start(ctx, "sync", x.clock.Now())
	span.Set("headwater.repository_id", x.repo.ID)
	span.Set("headwater.trigger", x.Trigger)
	err := x.follow(traced)
	span.End(x.clock.Now(), err)
	// Whatever failed when the run was cancelled: the cancellation is why.
	stopped := err != nil && errors.Is(ctx.Err(), context.Canceled)
	pollAt, rerr := x.record(context.WithoutCancel(ctx), err, stopped)
	if rerr != nil {
		rerr = fmt.Errorf("record a sync: %w", rerr)
	}
	r := Result{Run: x.Run, Err: err, Record: rerr, PollAt: pollAt}
	if x.sessionsHold {
		r.Sessions = x.left
	}
	return r
}

// run is a run under way: the request, and what is known so far.
type run struct {
	*Mirror
	core.Run
	repo  core.Repository
	taken core.SyncState // as of the start
	watch *repo.Watch
	scope scope // as of the start
	// A user requested it, who has not been notified of this generation yet.
	userInitiated bool
	begun         bool     // it has its row
	rowed         bool     // it gets one at its end
	fetched       bool     // or tried to
	looked        *listing // of the look that led to the run; nil: list
	phases        phases
	// What the run found out.
	listedAt     time.Time               // just before the last listing was requested
	listed       discovery.Advertisement // the last listing
	digest       string                  // of the listing; "" if the local copy does not equal it yet
	brake        heldListing             // a listing that was held back; zero: none was
	again        bool                    // refs were left out: look once more
	left         []string                // which of them sessions had
	inFlight     []string                // of them, those that were not even fetched
	sessionsHold bool                    // sessions still have them
	missed       bool                    // the upstream moved while it was fetched by name: look once more
	headed       bool                    // the default branch followed the upstream's
	inquiry      *upstream.Inquiry       // what the host's API says of the upstream
	open         []core.Expectation      // announced, and not listed when the run began
	before       map[string]core.ObjectID
	skipped      []core.SkippedRef // of the last listing
	// refs is what is here after the fetch, for the first plan; nil: look. It was
	// read before the fetch: what sessions move since, the watch tells.
	refs map[string]core.ObjectID
}

// newRun makes the run that serves what was taken.
func (m *Mirror) newRun(q Request) *run {
	now := m.clock.Now()
	x := &run{Mirror: m, repo: q.Repo, taken: q.State, watch: q.Watch, looked: q.listing, inquiry: m.monitor.Inquire(q.Repo), Run: core.Run{
		ID: core.NewID("run", now), RepoID: q.Repo.ID, Trigger: q.State.Trigger, Ref: q.State.WantedRef, First: !q.State.Ready(), StartedAt: now,
	}}
	if x.First {
		x.Ref = "" // with one ref alone the repository would count as mirrored
	}
	x.userInitiated = schedule.UserInitiated(x.Trigger) && q.State.Notice.Generation < q.State.Wanted
	return x
}

// heldListing is a listing that the mass-deletion brake held back.
type heldListing struct {
	digest string
	since  time.Time // when it was first listed
}

// listing is what came of asking an upstream for its refs.
type listing struct {
	scope scope
	adv   discovery.Advertisement
	at    time.Time // just before it was asked for
	err   error
	// skipped are refs of the upstream that were taken out of adv.
	skipped []core.SkippedRef
}

// maxHops is how often one run follows an upstream to where it was moved.
const maxHops = 3

// follow does the work of one run, wherever the upstream is by now.
func (x *run) follow(ctx context.Context) error {
	var err error
	if x.open, x.before, err = x.expected(ctx, x.RepoID); err != nil {
		return err
	}
	for hop := range maxHops {
		if hop == 0 {
			err = x.inquiry.Before(ctx, x.taken, x.userInitiated)
			x.repo.Upstream = x.inquiry.Upstream()
		}
		if hop > 0 || err == nil {
			if err = x.attempt(ctx); err != nil && !errors.Is(err, upstream.ErrMoved) && ctx.Err() == nil {
				err = x.inquiry.Explain(ctx, err, x.Ref == "")
				x.repo.Upstream = x.inquiry.Upstream()
			}
		}
		if !errors.Is(err, upstream.ErrMoved) {
			return err
		}
		x.rowed = true
	}
	return &upstream.ClassifiedError{Class: core.ClassMoved, Text: "the upstream moves faster than it can be followed"}
}

// listUpstream lists the upstream, or takes the listing that a look has made.
func (x *run) listUpstream(ctx context.Context) error {
	l := x.looked
	x.looked = nil
	if l == nil || x.Ref != "" {
		l = x.listFor(ctx, x.repo, x.Ref)
		x.phases.add("list", x.clock.Now().Sub(l.at))
	}
	x.scope, x.listed, x.listedAt, x.skipped = l.scope, l.adv, l.at, l.skipped
	return l.err
}

// listFor lists what the repository mirrors of its upstream, or one ref.
func (m *Mirror) listFor(ctx context.Context, r core.Repository, ref string) *listing {
	l := &listing{}
	if l.scope, l.err = m.readScope(ctx, r); l.err != nil {
		l.at = m.clock.Now()
		return l
	}
	l.at = m.clock.Now()
	if ref == "" {
		l.adv, l.skipped, l.err = m.list(ctx, r, l.scope)
	} else if l.adv, l.err = m.up.Refs(ctx, r, candidates(ref)); l.err != nil {
		l.err = fmt.Errorf("list upstream refs: %w", l.err)
	}
	if ctx.Err() == nil {
		m.recordContact(r, l.err)
	}
	return l
}

// recordContact tells the schedule how a contact with the upstream's host ended.
func (m *Mirror) recordContact(r core.Repository, err error) {
	class := core.ErrorClass("")
	if err != nil {
		class, _ = upstream.Classify(err)
	}
	m.schedule.RecordContact(r.Upstream.Host, r.ID, class, upstream.RetryAfter(err))
}

// phases are the parts of a run, in the order of their first begin.
type phases []core.Phase

// add adds to the time of a part.
func (p *phases) add(name string, d time.Duration) {
	for i := range *p {
		if (*p)[i].Name == name {
			(*p)[i].Duration += d
			return
		}
	}
	*p = append(*p, core.Phase{Name: name, Duration: d})
}

// attempt makes the copy equal to the upstream where it is thought to be.
func (x *run) attempt(ctx context.Context) error {
	if err := x.rebuild(ctx); err != nil {
		return err
	}
	if err := x.listUpstream(ctx); err != nil {
		return err
	}
	adv := x.listed
	if x.First && adv.ObjectFormat != "" && adv.ObjectFormat != x.repo.ObjectFormat {
		if err := x.reformat(ctx, adv.ObjectFormat); err != nil {
			return err
		}
	}
	if x.Ref != "" {
		return x.attemptOne(ctx, adv)
	}
	c, err := x.compare(ctx, x.repo, &listing{scope: x.scope, adv: adv, skipped: x.skipped}, x.taken, x.watch)
	if err != nil {
		return err
	}
	switch {
	case x.First:
	case c.same && !c.awaiting:
		x.Outcome, x.digest = outcomeUnchanged, x.scope.digest(adv)
		return nil
	case c.same, c.unsettled && len(c.inFlight) == 0:
		// Without a digest: it would say later that nothing has changed since.
		x.Outcome = outcomeUnchanged
		return nil
	case len(c.inFlight) > 0:
		x.Outcome, x.left, x.again = outcomeUnchanged, c.inFlight, true
		return nil
	}
	if err := x.begin(ctx); err != nil {
		return err
	}
	if err := x.brakeEmpty(ctx, adv); err != nil {
		return err
	}
	return x.fetchAndApply(ctx, "", x.fetchAll)
}

// fetchAndApply fetches and applies, after it has made sure of whom it fetches from.
func (x *run) fetchAndApply(ctx context.Context, only string, fetch func(context.Context) error) error {
	// Until the refs have moved nothing leads to all that is fetched.
	ctx, done, err := x.repos.Writing(ctx, x.RepoID)
	if err != nil {
		return err
	}
	defer done()
	if err := x.room(ctx, x.repo); core.KindOf(err) == core.KindTooLarge {
		return &upstream.ClassifiedError{Class: core.ClassTooLarge, Text: core.MessageOf(err), Cause: err}
	} else if err != nil {
		return err
	}
	// From here on the tracking refs may be others than those of the digest.
	x.taken.Digest, x.fetched, x.refs = "", true, nil
	if err := x.fetchIdentified(ctx, fetch); err != nil {
		return err
	}
	x.repos.Failpoint("sync-fetched")
	start := x.clock.Now()
	err = x.applyPlan(ctx, x.listed, only)
	x.phases.add("apply", x.clock.Now().Sub(start))
	return err
}

// fetchIdentified fetches while the host is asked whether it is still the same
// repository, and records what became of the contact.
func (x *run) fetchIdentified(ctx context.Context, fetch func(context.Context) error) error {
	start := x.clock.Now()
	identified := x.inquiry.During(ctx, x.First)
	err := fetch(ctx)
	x.phases.add("fetch", x.clock.Now().Sub(start))
	// Even if the fetch failed: that may be why.
	ierr := identified()
	x.repo.Upstream = x.inquiry.Upstream()
	if ierr != nil {
		return ierr
	}
	if err != nil && ctx.Err() == nil {
		x.recordContact(x.repo, err)
	}
	return err
}

// candidates returns the full names that a ref of the API may mean: a short
// name is a branch first, then a tag.
func candidates(ref string) []string {
	if len(ref) > 5 && ref[:5] == "refs/" {
		return []string{ref}
	}
	return []string{"refs/heads/" + ref, "refs/tags/" + ref}
}

// attemptOne syncs a single branch or tag.
func (x *run) attemptOne(ctx context.Context, adv discovery.Advertisement) error {
	for _, name := range candidates(x.Ref) {
		if _, ok := adv.Refs[name]; !ok {
			continue
		}
		if slices.ContainsFunc(x.taken.Skipped, func(r core.SkippedRef) bool { return r.Ref == name }) {
			// Whether its name is free now shows in the whole listing.
			x.Ref = ""
			return x.attempt(ctx)
		}
		if !x.scope.mirrors(name) {
			return &upstream.ClassifiedError{Class: core.ClassRefused, Text: fmt.Sprintf("the repository's ref filter leaves %q out", name), Final: true}
		}
		if err := x.begin(ctx); err != nil {
			return err
		}
		err := x.fetchAndApply(ctx, name, func(ctx context.Context) error { return x.fetchOne(ctx, name) })
		if !git.NameTaken(err) {
			return err
		}
		x.Ref = "" // all that is listed tells what it cannot be beside
		return x.attempt(ctx)
	}
	return &upstream.ClassifiedError{Class: core.ClassNotFound, Text: fmt.Sprintf("the upstream has no branch or tag %q", x.Ref), Final: true}
}

// reformat makes the still empty repository anew in the upstream's object format.
func (x *run) reformat(ctx context.Context, format string) error {
	if err := x.repos.Reformat(ctx, x.RepoID, x.repo.DefaultBranch, format); err != nil {
		return err
	}
	if err := x.store.SetObjectFormat(ctx, x.RepoID, format); err != nil {
		return err
	}
	x.repo.ObjectFormat = format
	return nil
}
