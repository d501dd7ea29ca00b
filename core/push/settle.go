package push

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/loop"
	"github.com/headwater-git/headwater/core/repo"
)

// A journal entry is open as long as nobody knows what became of it, or could
// write that down: the upstream did not answer for its refs, the store failed,
// or the server stopped in the middle. Its refs stay locked, so that no session
// and no sync builds on what may change, and one loop settles it.
//
// The upstream is the source of truth. What it has at the new id has happened.
// What it has at the old one may still happen, since a host's hook can outlive
// the connection; so it counts as not taken only once several listings have
// agreed over some time.

const (
	// settleListings is how many listings must agree on an old id.
	settleListings = 3
	// settleParallel is how many repositories are settled side by side: one host
	// that does not answer must not keep the others waiting.
	settleParallel = 8
	// The pauses after a failure, of the store or of the upstream.
	settlePause    = time.Second
	settlePauseMax = 5 * time.Minute
)

// unsettled is a transaction that waits to be settled.
type unsettled struct {
	repo.Unfinished

	since    time.Time // of the first listing that showed an old id
	listings int       // that did so
	failures int       // in a row
	next     time.Time // when to try again
}

func (u *unsettled) names() []string {
	names := make([]string, len(u.Entry.Updates))
	for i, up := range u.Entry.Updates {
		names[i] = u.Entry.Namespace.Path(up.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (s *Service) wake() {
	s.woken.Set()
}

// Unsettled returns the refs of the repository, by their full names, of which it
// is not known yet what became of their last update at the upstream.
func (s *Service) Unsettled(repoID string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for _, u := range s.open {
		if u.Entry.RepoID != repoID || !u.Entry.Upstream || u.Entry.State != core.JournalSent || u.Ending != nil {
			continue
		}
		for _, up := range u.Entry.Updates {
			names = append(names, up.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Run settles open journal entries until ctx ends: those that Survey found, and
// those that sessions leave behind.
func (s *Service) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := s.settleOpen(ctx, false); err != nil && ctx.Err() == nil {
			s.log.Error("cannot settle interrupted writes; trying again", "error", err)
		}
		var at time.Time
		if next, ok := s.nextSettlement(); ok {
			at = core.Later(next, s.clock.Now().Add(time.Millisecond)) // one may be due that waits for another
		}
		loop.SleepUntil(ctx, s.clock, at, s.woken)
	}
	return nil
}

// nextSettlement returns when the next entry is due.
func (s *Service) nextSettlement() (next time.Time, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range s.open {
		if !ok || u.next.Before(next) {
			next, ok = u.next, true
		}
	}
	return next, ok
}

// settleOpen tries the entries that are due, or all: those of one repository in
// their order, since they may be about the same refs.
func (s *Service) settleOpen(ctx context.Context, all bool) error {
	s.settling.Lock()
	defer s.settling.Unlock()
	now := s.clock.Now()
	due := map[string][]*unsettled{}
	s.mu.Lock()
	for _, u := range s.open {
		if all || !u.next.After(now) {
			due[u.Entry.RepoID] = append(due[u.Entry.RepoID], u)
		}
	}
	s.mu.Unlock()
	errs := make(chan error, len(due))
	var g errgroup.Group
	g.SetLimit(settleParallel)
	for _, entries := range due {
		g.Go(func() error {
			var failed []error
			for _, u := range entries {
				if ctx.Err() != nil {
					break
				}
				failed = append(failed, s.settleOne(ctx, u))
			}
			errs <- errors.Join(failed...)
			return nil
		})
	}
	_ = g.Wait()
	close(errs)
	var joined []error
	for err := range errs {
		joined = append(joined, err)
	}
	return errors.Join(joined...)
}

// settleOne tries one entry, and frees its refs at its end.
func (s *Service) settleOne(ctx context.Context, u *unsettled) error {
	names := u.names()
	out, err := s.settleEntry(ctx, u)
	s.mu.Lock()
	now := s.clock.Now()
	switch {
	case err != nil:
		u.failures++
		u.next = now.Add(loop.Doubling(2*settlePause, settlePauseMax, u.failures))
		err = fmt.Errorf("settle journal entry %s: %w", u.Entry.ID, err)
	case !out.ended && out.unreachable:
		u.failures++
		u.next = now.Add(loop.Doubling(2*s.o.SettlePeriod/(settleListings+1), settlePauseMax, u.failures))
	case !out.ended:
		u.failures = 0
		u.next = now.Add(s.o.SettlePeriod / (settleListings + 1))
	}
	if out.ended {
		s.open = slices.DeleteFunc(s.open, func(o *unsettled) bool { return o == u })
	}
	left := u.names() // fewer, where a part of it is settled
	for _, name := range names {
		if _, still := slices.BinarySearch(left, name); out.ended || !still {
			s.disclaim(u.Entry.RepoID, name)
		}
	}
	s.mu.Unlock()
	if out.sync {
		// Only now that the refs are free: else it would leave them out.
		s.wantSync(ctx, u.Entry.RepoID)
	}
	return err
}

// outcome is what one try has come to.
type outcome struct {
	ended       bool
	unreachable bool // the upstream could not be asked
	sync        bool // ask for one
}

// settleEntry tries one entry, whose refs are locked.
func (s *Service) settleEntry(ctx context.Context, u *unsettled) (outcome, error) {
	j := u.Entry
	r, err := s.store.RepositoryByID(ctx, j.RepoID)
	if core.KindOf(err) == core.KindNotFound {
		// What was on its way when it was deleted ends in the trash as it would have ended:
		// undeleted, it must have the truth.
		r, err = s.store.DeletedRepositoryByID(ctx, j.RepoID)
	}
	if core.KindOf(err) == core.KindNotFound {
		err := s.repos.Conclude(ctx, j, repo.Ending{State: core.JournalDropped}, nil)
		return outcome{ended: err == nil}, err
	}
	if err != nil {
		return outcome{}, err
	}
	if u.Ending != nil {
		err := s.repos.Conclude(ctx, j, *u.Ending, u.Audit)
		return outcome{ended: err == nil}, err
	}
	if j.State == core.JournalLagging {
		// The refs had not moved here when it was closed: a sync brings them,
		// or has brought them, and tells of them.
		err := s.repos.Conclude(ctx, j, repo.Ending{State: core.JournalDropped}, nil)
		return outcome{ended: err == nil, sync: true}, err
	}
	found, err := s.findOut(ctx, r, u)
	if err != nil {
		return outcome{}, err
	}
	if len(found.open) > 0 && len(found.kept) == 0 {
		return outcome{unreachable: found.unreachable}, nil
	}
	s.log.Info("settling a journal entry", "repo_id", r.ID, "journal_id", j.ID, "source", j.Source, "updates", len(j.Updates),
		"happened", len(found.kept), "open", len(found.open))
	o, err := s.repos.Resume(ctx, u.Unfinished, r, repo.Answer{Accepted: found.kept, Unknown: found.open}, func(o repo.Outcome) *core.AuditEntry {
		return s.settledAudit(r, u, o)
	})
	if err != nil {
		return outcome{}, err
	}
	if o.Err != nil {
		s.log.Warn("an interrupted write cannot be applied any more", "repo_id", r.ID, "journal_id", j.ID, "error", o.Err)
	}
	if o.Rest != nil {
		s.mu.Lock()
		u.Entry = *o.Rest
		s.mu.Unlock()
		return outcome{}, nil
	}
	return outcome{ended: true, sync: r.Upstream != nil && (o.Err != nil || len(found.kept) < len(j.Updates))}, nil
}

// settledAudit returns the audit entry of what was settled; nil for a change that
// nobody asked for.
func (s *Service) settledAudit(r core.Repository, u *unsettled, o repo.Outcome) *core.AuditEntry {
	if automatic(u.Entry) {
		return nil
	}
	var done []core.RefUpdate
	if o.State == core.JournalApplied {
		done = o.Entry.Updates
	}
	e := s.recovered(r, u.Entry, done)
	if u.Audit != nil {
		e.Actor, e.Action, e.Credential, e.HostLogin = u.Audit.Actor, u.Audit.Action, u.Audit.Credential, u.Audit.HostLogin
		e.Message = "the outcome was not known at once; it was found out later"
	}
	return &e
}

// findings are what one look has shown of an entry's updates.
type findings struct {
	kept        []core.RefUpdate // became true: in place here, or taken by the upstream
	open        []core.RefUpdate // not known yet
	unreachable bool             // the upstream could not be asked
}

// findOut looks which updates of the entry became true. What the upstream could
// not be asked for, or shows at its old id without enough listings, stays open.
func (s *Service) findOut(ctx context.Context, r core.Repository, u *unsettled) (findings, error) {
	j := u.Entry
	if err := s.repos.Current(ctx, r); err != nil {
		return findings{}, err
	}
	names := make([]string, len(j.Updates))
	for i, up := range j.Updates {
		names[i] = j.Namespace.Path(up.Name)
	}
	here, err := s.git.RefsNamed(ctx, s.repos.Path(r.ID), names)
	if err != nil {
		return findings{}, err
	}
	owns, err := s.repos.Owner(ctx, r, j.Namespace, j.Updates)
	if err != nil {
		return findings{}, err
	}
	var f findings
	var ask []core.RefUpdate
	for i, up := range j.Updates {
		switch {
		case here[names[i]].Same(up.New):
			f.kept = append(f.kept, up)
		case j.Upstream && r.Upstream != nil && owns(up.Name):
			ask = append(ask, up)
		}
	}
	if len(ask) == 0 {
		return f, nil
	}
	prefixes := make([]string, len(ask))
	for i, up := range ask {
		prefixes[i] = up.Name
	}
	askCtx, cancel := context.WithTimeout(ctx, askTimeout)
	adv, err := s.up.Refs(askCtx, r, prefixes)
	cancel()
	if err != nil {
		s.log.Warn("cannot ask the upstream about a push whose outcome is open", "repo_id", r.ID, "journal_id", j.ID, "error", err)
		f.open, f.unreachable = ask, true
		return f, nil
	}
	var old []core.RefUpdate
	for _, up := range ask {
		switch at := adv.Refs[up.Name]; {
		case at.Same(up.New):
			f.kept = append(f.kept, up)
		case at.Same(up.Old):
			old = append(old, up)
		}
		// Else it has gone on, and the lease keeps our update out for good.
	}
	if len(old) == 0 {
		return f, nil
	}
	now := s.clock.Now()
	if u.listings == 0 {
		u.since = now
	}
	u.listings++
	if u.listings < settleListings || now.Sub(u.since) < s.o.SettlePeriod {
		f.open = old
	}
	return f, nil
}
