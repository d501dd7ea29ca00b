package mirror

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/discovery"
	"github.com/headwater-git/headwater/core/repo"
	"github.com/headwater-git/headwater/core/schedule"
	"github.com/headwater-git/headwater/core/upstream"
)

// againPause is how soon a sync looks again at refs that it left to write
// sessions.
const againPause = time.Second

// storePause is how long a repository rests when the store failed.
const storePause = 5 * time.Second

// Outcomes of runs.
const (
	outcomeSucceeded   = "succeeded"
	outcomeUnchanged   = "unchanged"
	outcomeFailed      = "failed"
	outcomeHeld        = "held"
	outcomeInterrupted = "interrupted"
)

// run is one run on its way.
type run struct {
	core.Run
	repo  core.Repository
	taken core.SyncState // as of the start
	watch *repo.Watch
	scope scope // as of the start
	// A person asked for it, and has not been told of this generation yet.
	asked   bool
	begun   bool     // it has its row
	rowed   bool     // it gets one at its end
	fetched bool     // or tried to
	given   *listing // made by a look; nil: list
	// What the run found out.
	listedAt time.Time               // just before the last listing was asked for
	listed   discovery.Advertisement // the last listing
	digest   string                  // of the listing; "" if the local copy does not equal it yet
	brake    heldListing             // a listing that was held back; zero: none was
	again    bool                    // refs were left out: look once more
	left     []string                // which of them sessions had
	inFlight []string                // of them, those that were not even fetched
	await    bool                    // sessions still have them
	missed   bool                    // the upstream moved during a first mirror: look once more
	headed   bool                    // the default branch followed the upstream's
	inquiry  *upstream.Inquiry       // what the host's API says of the upstream
	open     []core.Expectation      // announced, and not seen when the run began
	before   map[string]core.ObjectID
	skipped  []core.SkippedRef // of the last listing
	// refs is what is here after the fetch, for the first plan; nil: look. It was
	// read before the fetch: what sessions move since, the watch tells.
	refs map[string]core.ObjectID
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

// newRun makes the run that serves what was taken.
func (s *Service) newRun(r core.Repository, taken core.SyncState, watch *repo.Watch) *run {
	now := s.clock.Now()
	x := &run{repo: r, taken: taken, watch: watch, inquiry: s.monitor.Inquire(r), Run: core.Run{
		ID: core.NewID("run", now), RepoID: r.ID, Trigger: taken.Trigger, Ref: taken.WantedRef, First: !taken.Ready(), StartedAt: now,
	}}
	if x.First {
		x.Ref = "" // with one ref alone the repository would count as mirrored
	}
	x.asked = schedule.UserInitiated(x.Trigger) && taken.Notice.Generation < taken.Wanted
	return x
}

// Run implements [schedule.Worker]: one sync, from taking the request to recording
// the outcome.
func (s *Service) Run(ctx context.Context, item schedule.Item) schedule.Result {
	defer s.startProgress(item.RepoID)()
	r, err := s.linked(ctx, item.RepoID)
	if err != nil || r.Upstream == nil {
		return s.notStarted(ctx, item.RepoID, err)
	}
	// Before the state is read: a session that ends between the two would be missed
	// by both, and its refs would look like news of the upstream's.
	watch := s.repos.Watch(r.ID)
	defer watch.Close()
	taken, err := s.store.TakeSync(ctx, r.ID)
	if err != nil {
		return s.notStarted(ctx, r.ID, err)
	}
	return s.execute(ctx, s.newRun(r, taken, watch))
}

// linked returns the repository with the link that it has now, without an upstream
// if it has none any more. A run or look asks once it is admitted: from then on a
// change of the link waits for its end. See [schedule.Service.Halt].
func (s *Service) linked(ctx context.Context, repoID string) (core.Repository, error) {
	r, err := s.store.RepositoryByID(ctx, repoID)
	if core.KindOf(err) == core.KindNotFound {
		return core.Repository{}, nil
	}
	return r, err
}

// notStarted is the result of a run that the store did not let start.
func (s *Service) notStarted(ctx context.Context, repoID string, err error) schedule.Result {
	if err != nil && core.KindOf(err) != core.KindNotFound {
		s.log.Error("cannot take a sync", "repo_id", repoID, "error", err)
		s.holdOff(ctx)
	}
	return schedule.Result{Err: err}
}

// execute does what a run is for and records it.
func (s *Service) execute(ctx context.Context, x *run) schedule.Result {
	var err error
	if x.asked || x.First {
		err = s.begin(ctx, x)
	}
	if err == nil {
		err = s.sync(ctx, x)
		// Whatever broke when the run was cancelled: the cancellation is why.
		stopped := err != nil && errors.Is(ctx.Err(), context.Canceled)
		if rerr := s.record(context.WithoutCancel(ctx), x, err, stopped); rerr != nil {
			s.log.Error("cannot record a sync", "repo_id", x.RepoID, "error", rerr)
			err = errors.Join(err, rerr)
			s.holdOff(ctx)
		}
	} else {
		s.log.Error("cannot start a sync", "repo_id", x.RepoID, "error", err)
		s.holdOff(ctx)
	}
	if x.First && err == nil {
		s.o.Mirrored(x.RepoID)
	}
	return schedule.Result{Generation: x.taken.Wanted, Err: err}
}

// holdOff delays the end of a run or look when the store fails. Its row stays due,
// so it would start again at once, and again, against the upstream too.
func (s *Service) holdOff(ctx context.Context) {
	select {
	case <-s.clock.After(storePause):
	case <-ctx.Done():
	}
}

// maxHops is how often one run follows an upstream to where it was moved.
const maxHops = 3

// sync does the work of one run, wherever the upstream is by now.
func (s *Service) sync(ctx context.Context, x *run) error {
	var err error
	if x.open, x.before, err = s.expected(ctx, x.RepoID); err != nil {
		return err
	}
	for hop := range maxHops {
		if hop == 0 {
			err = x.inquiry.Before(ctx, x.taken, x.asked)
			x.repo.Upstream = x.inquiry.Upstream()
		}
		if hop > 0 || err == nil {
			if err = s.syncOnce(ctx, x); err != nil && !errors.Is(err, upstream.ErrMoved) && ctx.Err() == nil {
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
func (s *Service) listUpstream(ctx context.Context, x *run) error {
	l := x.given
	x.given = nil
	if l == nil || x.Ref != "" {
		l = s.listFor(ctx, x.repo, x.Ref)
		x.phase("list", s.clock.Now().Sub(l.at))
	}
	x.scope, x.listed, x.listedAt, x.skipped = l.scope, l.adv, l.at, l.skipped
	return l.err
}

// listFor lists what the repository mirrors of its upstream, or one ref.
func (s *Service) listFor(ctx context.Context, r core.Repository, ref string) *listing {
	l := &listing{}
	if l.scope, l.err = s.scope(ctx, r); l.err != nil {
		l.at = s.clock.Now()
		return l
	}
	l.at = s.clock.Now()
	if ref == "" {
		l.adv, l.skipped, l.err = s.list(ctx, r, l.scope)
	} else if l.adv, l.err = s.up.Refs(ctx, r, candidates(ref)); l.err != nil {
		l.err = fmt.Errorf("list upstream refs: %w", l.err)
	}
	if ctx.Err() == nil {
		s.recordContact(r, l.err)
	}
	return l
}

// recordContact tells the schedule how a contact with the upstream's host ended.
func (s *Service) recordContact(r core.Repository, err error) {
	class := core.ErrorClass("")
	if err != nil {
		class, _ = upstream.Classify(err)
	}
	s.schedule.RecordContact(r.Upstream.Host, r.ID, class, upstream.RetryAfter(err))
}

// phase adds the time of one part of the run.
func (x *run) phase(name string, d time.Duration) {
	for i := range x.Phases {
		if x.Phases[i].Name == name {
			x.Phases[i].Duration += d
			return
		}
	}
	x.Phases = append(x.Phases, core.Phase{Name: name, Duration: d})
}

// syncOnce makes the copy equal to the upstream where it is thought to be.
func (s *Service) syncOnce(ctx context.Context, x *run) error {
	if err := s.rebuild(ctx, x); err != nil {
		return err
	}
	if err := s.listUpstream(ctx, x); err != nil {
		return err
	}
	adv := x.listed
	if x.First && adv.ObjectFormat != "" && adv.ObjectFormat != x.repo.ObjectFormat {
		if err := s.reformat(ctx, x, adv.ObjectFormat); err != nil {
			return err
		}
	}
	if x.Ref != "" {
		return s.syncOne(ctx, x, adv)
	}
	c, err := s.compare(ctx, x.repo, &listing{scope: x.scope, adv: adv, skipped: x.skipped}, x.taken, x.watch)
	if err != nil {
		return err
	}
	switch {
	case x.First:
	case c.same:
		x.Outcome, x.digest = outcomeUnchanged, x.scope.digest(adv)
		return nil
	case c.unsettled && len(c.inFlight) == 0:
		// Without a digest: it would say later that nothing has changed since.
		x.Outcome = outcomeUnchanged
		return nil
	case len(c.inFlight) > 0:
		x.Outcome, x.left, x.again = outcomeUnchanged, c.inFlight, true
		return nil
	}
	if err := s.begin(ctx, x); err != nil {
		return err
	}
	if err := s.brakeEmpty(ctx, x, adv); err != nil {
		return err
	}
	return s.bring(ctx, x, adv, "", func() error { return s.fetchAll(ctx, x, adv) })
}

// bring fetches and applies, after it has made sure of whom it fetches from.
func (s *Service) bring(ctx context.Context, x *run, adv discovery.Advertisement, only string, fetch func() error) error {
	start := s.clock.Now()
	identified := x.inquiry.During(ctx, x.First)
	// From here on the tracking refs may be others than those of the digest.
	x.taken.Digest, x.fetched, x.refs = "", true, nil
	err := s.contend(ctx, x, fetch)
	x.phase("fetch", s.clock.Now().Sub(start))
	// Even if the fetch failed: that may be why.
	ierr := identified()
	x.repo.Upstream = x.inquiry.Upstream()
	if ierr != nil {
		return ierr
	}
	if err != nil {
		if ctx.Err() == nil {
			s.recordContact(x.repo, err)
		}
		return err
	}
	s.repos.Failpoint("sync-fetched")
	start = s.clock.Now()
	err = s.applyPlan(ctx, x, adv, only)
	x.phase("apply", s.clock.Now().Sub(start))
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

// syncOne syncs a single branch or tag.
func (s *Service) syncOne(ctx context.Context, x *run, adv discovery.Advertisement) error {
	for _, name := range candidates(x.Ref) {
		if _, ok := adv.Refs[name]; !ok {
			continue
		}
		if slices.ContainsFunc(x.taken.Skipped, func(r core.SkippedRef) bool { return r.Ref == name }) {
			// Whether its name is free now shows in the whole listing.
			x.Ref = ""
			return s.syncOnce(ctx, x)
		}
		if !x.scope.mirrors(name) {
			return &upstream.ClassifiedError{Class: core.ClassRefused, Text: fmt.Sprintf("the repository's ref filter leaves %q out", name), Final: true}
		}
		if err := s.begin(ctx, x); err != nil {
			return err
		}
		err := s.bring(ctx, x, adv, name, func() error { return s.fetchOne(ctx, x, adv, name) })
		if !git.NameTaken(err) {
			return err
		}
		x.Ref = "" // all that is listed tells what it cannot be beside
		return s.syncOnce(ctx, x)
	}
	return &upstream.ClassifiedError{Class: core.ClassNotFound, Text: fmt.Sprintf("the upstream has no branch or tag %q", x.Ref), Final: true}
}

// reformat makes the still empty repository anew in the upstream's object format.
func (s *Service) reformat(ctx context.Context, x *run, format string) error {
	if err := s.repos.Reformat(ctx, x.RepoID, x.repo.DefaultBranch, format); err != nil {
		return err
	}
	if err := s.store.SetObjectFormat(ctx, x.RepoID, format); err != nil {
		return err
	}
	x.repo.ObjectFormat = format
	return nil
}

// headWants returns the branch (full name) that the default branch should
// change to, or "": the upstream's HEAD, unless the repository was asked to
// keep another that still exists.
func headWants(r core.Repository, adv discovery.Advertisement) string {
	have := "refs/heads/" + r.DefaultBranch
	if r.Upstream.DefaultBranch != "" {
		pinned := "refs/heads/" + r.Upstream.DefaultBranch
		if _, ok := adv.Refs[pinned]; ok {
			if have == pinned {
				return ""
			}
			return pinned
		}
	}
	if adv.HeadTarget == "" || adv.HeadTarget == have {
		return ""
	}
	if _, ok := adv.Refs[adv.HeadTarget]; !ok {
		return "" // unborn: keep the old one, and look again next time
	}
	return adv.HeadTarget
}

// firstHead returns the branch (full name) that HEAD moves to with the first
// branches that come here, where the upstream names none of them: its HEAD is
// unborn or detached. "" if HEAD stays.
func firstHead(r core.Repository, sc scope, adv discovery.Advertisement, refs map[string]core.ObjectID) string {
	for name := range refs {
		if strings.HasPrefix(name, "refs/heads/") {
			return ""
		}
	}
	var branches []string
	for name := range adv.Refs {
		if branch, ok := strings.CutPrefix(name, "refs/heads/"); ok && sc.mirrors(name) {
			branches = append(branches, branch)
		}
	}
	if first := core.FirstBranch(r.DefaultBranch, branches); first != "" && first != r.DefaultBranch {
		return "refs/heads/" + first
	}
	return ""
}
