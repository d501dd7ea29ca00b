package sync

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/repo"
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

// classError is a failure whose class is known without asking anybody.
type classError struct {
	class core.ErrorClass
	text  string
	final bool // trying again by ourselves would not help: serve the request as it is
}

func (e *classError) Error() string { return e.text }

// run is one run on its way.
type run struct {
	core.Run
	repo  core.Repository
	taken core.SyncState // as of the start
	watch *repo.Watch
	scope scope // as of the start
	// What the run found out.
	digest string // of the listing; "" if the local copy does not equal it yet
	brake  string // digest of a listing that was held back
	again  bool   // refs were left out: look once more
	missed bool   // the upstream moved during a first mirror: look once more
}

// fly runs one sync from taking the request to recording the outcome.
func (s *Service) fly(ctx context.Context, r core.Repository) {
	ctx, cancel := context.WithTimeout(ctx, s.o.RunTimeout)
	defer cancel()
	if !s.onBoard(r.ID, cancel) {
		cancel() // grounded before it began
	}
	taken, err := s.store.TakeSync(ctx, r.ID)
	if err != nil {
		s.log.Error("cannot take a sync", "repo_id", r.ID, "error", err)
		s.holdOff(ctx)
		s.land(r.ID, finished{err: err})
		return
	}
	now := s.clock.Now()
	x := &run{repo: r, taken: taken, Run: core.Run{
		ID: core.NewID("run", now), RepoID: r.ID, Trigger: taken.Trigger, Ref: taken.WantedRef, First: !taken.Ready(), StartedAt: now,
	}}
	if x.First {
		x.Ref = "" // with one ref alone the repository would count as mirrored
	}
	x.watch = s.repos.Watch(r.ID)
	defer x.watch.Close()
	if err = s.store.StartRun(ctx, x.Run); err == nil {
		err = s.sync(ctx, x)
		// Whatever broke when the run was ended from outside: that is why.
		stopped := err != nil && errors.Is(ctx.Err(), context.Canceled)
		if rerr := s.record(context.WithoutCancel(ctx), x, err, stopped); rerr != nil {
			s.log.Error("cannot record a sync", "repo_id", r.ID, "error", rerr)
			err = errors.Join(err, rerr)
			s.holdOff(ctx)
		}
	} else {
		s.log.Error("cannot start a sync", "repo_id", r.ID, "error", err)
		s.holdOff(ctx)
	}
	s.land(r.ID, finished{generation: taken.Wanted, err: err})
	if x.First && err == nil {
		s.o.Mirrored(r.ID)
	}
}

// holdOff keeps a flight in the air when the store fails. Its row stays due, so
// it would start again at once, and again, against the upstream too.
func (s *Service) holdOff(ctx context.Context) {
	select {
	case <-s.clock.After(storePause):
	case <-ctx.Done():
	}
}

// record writes the outcome of the run and when to try again. With stopped, the
// run was ended from outside.
func (s *Service) record(ctx context.Context, x *run, failure error, stopped bool) error {
	now := s.clock.Now()
	x.FinishedAt = now
	var ce *classError
	final := errors.As(failure, &ce) && ce.final
	if failure != nil {
		x.Outcome = outcomeFailed
		x.Class, x.Error = classify(failure)
		if x.Class == core.ClassDiverged {
			x.Outcome = outcomeHeld
		}
		if stopped {
			x.Outcome, x.Class, x.Error = outcomeInterrupted, "", errShutdown.Error()
		}
	}
	err := s.store.Tx(ctx, func(q core.Queries) error {
		state, err := q.SyncState(ctx, x.RepoID)
		if core.KindOf(err) == core.KindNotFound {
			// Detached meanwhile, or deleted: then the run is gone, too.
			if err := q.FinishRun(ctx, x.Run); core.KindOf(err) != core.KindNotFound {
				return err
			}
			return nil
		}
		if err != nil {
			return err
		}
		state.Runs++
		state.BrakeDigest = x.brake
		switch {
		case failure == nil:
			state.Served = x.taken.Wanted
			state.Failures, state.LastClass, state.LastError = 0, "", ""
			state.LastSuccessAt = now
			if state.FirstSyncedAt.IsZero() {
				state.FirstSyncedAt = now
			}
			state.NextAttemptAt = time.Time{}
			state.Digest = x.digest
			if x.watch.Any() {
				state.Digest = "" // the listing does not show what sessions moved since
			}
			if x.again {
				// Not all was served: look once more, when the sessions that
				// were in the way have had time to finish.
				state.Served, state.NextAttemptAt = x.taken.Served, now.Add(againPause)
			}
		case stopped: // no fault of the upstream's: at once, when somebody runs again
			state.NextAttemptAt = time.Time{}
		default:
			state.Failures++
			state.LastErrorAt, state.LastClass, state.LastError = now, x.Class, x.Error
			state.NextAttemptAt = now.Add(backoff(x.Class, state.Failures, retryAfter(failure)))
			if final {
				state.Served, state.NextAttemptAt = x.taken.Wanted, time.Time{}
			}
		}
		if state.Wanted > x.taken.Wanted {
			state.NextAttemptAt = time.Time{} // somebody asked during the run
		}
		if err := q.SaveSync(ctx, state); err != nil {
			return err
		}
		return q.FinishRun(ctx, x.Run)
	})
	s.log.Info("sync finished", "repo_id", x.RepoID, "run_id", x.ID, "trigger", x.Trigger, "outcome", x.Outcome, "class", x.Class,
		"created", x.RefsCreated, "updated", x.RefsUpdated, "deleted", x.RefsDeleted, "bytes", x.Bytes, "duration", now.Sub(x.StartedAt), "host_text", x.Error)
	return err
}

// classify returns the class and the redacted sentence of a failed run.
func classify(err error) (core.ErrorClass, string) {
	var ce *classError
	if errors.As(err, &ce) {
		return ce.class, ce.text
	}
	if _, ok := repo.IsRefError(err); ok {
		return core.ClassInternal, "a ref could not be written: " + git.Redact(err.Error())
	}
	return upstream.Classify(err)
}

// retryAfter returns what the host asked for, if anything.
func retryAfter(err error) time.Duration {
	var re *git.RemoteError
	if errors.As(err, &re) {
		return re.RetryAfter
	}
	if e, ok := errors.AsType[*core.Error](err); ok {
		return e.RetryAfter
	}
	return 0
}

// sync does the work of one run.
func (s *Service) sync(ctx context.Context, x *run) error {
	var err error
	if x.scope, err = s.scope(ctx, x.repo); err != nil {
		return err
	}
	var adv git.Advertisement
	if x.Ref == "" {
		adv, err = s.list(ctx, x.repo, x.scope)
	} else if adv, err = s.up.Refs(ctx, x.repo, candidates(x.Ref)); err != nil {
		err = fmt.Errorf("list upstream refs: %w", err)
	}
	if err != nil {
		return err
	}
	if x.First && adv.ObjectFormat != "" && adv.ObjectFormat != x.repo.ObjectFormat {
		if err := s.reformat(ctx, x, adv.ObjectFormat); err != nil {
			return err
		}
	}
	if x.Ref != "" {
		return s.syncOne(ctx, x, adv)
	}
	same, err := s.unchanged(ctx, x.repo, x.scope, x.taken, adv, x.watch)
	if err != nil {
		return err
	}
	if same && !x.First {
		x.Outcome, x.digest = outcomeUnchanged, x.scope.digest(adv)
		return nil
	}
	if err := s.brakeEmpty(ctx, x, adv); err != nil {
		return err
	}
	if err := s.fetchAll(ctx, x, adv); err != nil {
		return err
	}
	s.repos.Failpoint("sync-fetched")
	return s.applyPlan(ctx, x, adv, "")
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
func (s *Service) syncOne(ctx context.Context, x *run, adv git.Advertisement) error {
	for _, name := range candidates(x.Ref) {
		if _, ok := adv.Refs[name]; !ok {
			continue
		}
		if !x.scope.mirrors(name) {
			return &classError{class: core.ClassRefused, text: fmt.Sprintf("the repository's ref filter leaves %q out", name), final: true}
		}
		if err := s.fetch(ctx, x, []string{refspec(name)}); err != nil {
			return err
		}
		return s.applyPlan(ctx, x, adv, name)
	}
	return &classError{class: core.ClassNotFound, text: fmt.Sprintf("the upstream has no branch or tag %q", x.Ref), final: true}
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

// unchanged reports whether the listing equals what is here: by the digest of
// the last run, or, when pushes moved refs since, by looking.
func (s *Service) unchanged(ctx context.Context, r core.Repository, sc scope, state core.SyncState, adv git.Advertisement, watch *repo.Watch) (bool, error) {
	if state.Digest != "" {
		return state.Digest == sc.digest(adv), nil
	}
	if !state.Ready() || headWants(r, adv) != "" {
		return false, nil
	}
	for name := range adv.Refs {
		if name != "HEAD" && watch.Moved(name) {
			return false, nil
		}
	}
	held, err := heldRows(ctx, s.store, r.ID)
	if err != nil {
		return false, err
	}
	refs, err := s.known(ctx, r.ID)
	if err != nil {
		return false, err
	}
	return settled(refs, adv.Refs, held), nil
}

// headWants returns the branch (full name) that the default branch should
// change to, or "": the upstream's HEAD, unless the repository was asked to
// keep another that still exists.
func headWants(r core.Repository, adv git.Advertisement) string {
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
