package mirror

import (
	"context"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git/hosterror"
	"github.com/headwater-git/headwater/core/upstream"
)

const (
	// identityAge is how long a confirmed identity will do for a write.
	identityAge = time.Minute
	// identityGrace is how long it will do when the host's API cannot be asked.
	identityGrace = time.Hour
	// identityTimeout bounds one question for the sake of a write.
	identityTimeout = 30 * time.Second
	// recheckEvery keeps refused writes from asking the host again and again.
	recheckEvery = time.Minute
)

// identity is what is known of who answers under an upstream's name. It is kept
// in memory: after a start the first write asks.
type identity struct {
	id           string    // the stable id that the host confirmed last; "" none
	at           time.Time // just before that was asked
	settled      bool      // confirmed, and nothing spoke against a write
	contradicted bool      // by its git, since then: the API is asked before the next write
	askedAt      time.Time // just before the host was asked last
	unknown      string    // why the last answer told no id; "" if it did
	recheckAt    time.Time // a refused write does not cause a question before
}

// Identity is what a repository's view shows of the identity of its upstream.
type Identity struct {
	Asked     bool      // since the start
	Confirmed time.Time // the host confirmed the stable id; zero: not since the start
	Settled   bool      // the last answer confirmed it
	Reason    string    // why the id cannot be asked for; "" if it can, as far as is known
}

// Identity returns what is known of the identity of a repository's upstream.
func (s *Service) Identity(r core.Repository) Identity {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Upstream == nil {
		return Identity{}
	}
	i := s.identities[r.ID]
	if i == nil || i.id != "" && i.id != r.Upstream.ID {
		i = &identity{} // nothing is known, or of the link before this one
	}
	view := Identity{Reason: i.unknown, Asked: !i.askedAt.IsZero(), Settled: i.at.Equal(i.askedAt)}
	if view.Reason == "" && r.Upstream.ID == "" {
		view.Reason = r.Upstream.Host + " has told no stable id of the repository"
	}
	if i.id != "" {
		view.Confirmed = i.at
	}
	return view
}

// noteIdentity keeps what an answer of the host's API says of the identity.
func (s *Service) noteIdentity(r core.Repository, c upstream.Condition, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.identities[r.ID]
	if i == nil {
		i = &identity{}
		s.identities[r.ID] = i
	}
	i.askedAt, i.unknown, i.settled, i.contradicted = at, c.Unknown, false, false
	if c.Known && c.State.Readable() && c.Upstream.ID != "" {
		i.id, i.at, i.settled = c.Upstream.ID, at, c.State == core.UpstreamActive
	}
}

// confirmed reports whether the upstream's id was confirmed, or found to be one
// that cannot be asked for, not longer ago than age.
func (s *Service) confirmed(r core.Repository, age time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.identities[r.ID]
	if i == nil {
		return false
	}
	now := s.clock.Now()
	if i.unknown != "" && now.Sub(i.askedAt) <= min(age, identityAge) {
		return true
	}
	return i.settled && i.id == r.Upstream.ID && now.Sub(i.at) <= age && (!i.contradicted || age > identityAge)
}

// Confirm makes sure, before a write goes to an upstream, that the repository
// which answers under its name is the one that is followed: the host was asked
// not longer than a minute ago, or is asked now, once for all who wait. What it
// says is recorded, and a rename followed. If its API cannot be asked, a
// confirmation of the last hour will do. Where host or credential tell no id,
// nothing can be confirmed, and nothing is refused.
// Errors: KindUpstreamUnavailable (the host cannot be asked, or the upstream is
// gone or another one), KindUpstreamRejected (it is archived).
func (s *Service) Confirm(ctx context.Context, r core.Repository) error {
	if r.Upstream == nil || s.confirmed(r, identityAge) {
		return nil
	}
	c, err := s.askOnce(ctx, r)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	switch {
	case err != nil && (r.Upstream.ID == "" || s.confirmed(r, identityGrace)):
		return nil // there is no id to compare with, or one that is good enough
	case err != nil:
		return &core.Error{
			Kind: core.KindUpstreamUnavailable, Op: "confirm the upstream",
			Message:    "whether the upstream is still the same repository cannot be confirmed now: " + core.MessageOf(err) + "; try again later",
			RetryAfter: max(retryAfter(err), time.Second), Err: err,
		}
	case !c.Known:
		return nil
	case c.State.Gone():
		return core.Errorf(core.KindUpstreamUnavailable, "%s", c.Message)
	case c.State == core.UpstreamArchived:
		return core.Errorf(core.KindUpstreamRejected, "%s", c.Message)
	}
	// Of a credential that the API refuses, git is the judge.
	return nil
}

// Recheck asks the host what became of the upstream after it refused a write
// with that failure, at most once a minute a repository, and records it. Where
// its API tells nothing, what its git said of an archived repository is believed.
// It reports whether more is known now.
func (s *Service) Recheck(ctx context.Context, r core.Repository, failure error) bool {
	now := s.clock.Now()
	s.mu.Lock()
	i := s.identities[r.ID]
	if i == nil {
		i = &identity{}
		s.identities[r.ID] = i
	}
	due := !now.Before(i.recheckAt)
	if due {
		i.recheckAt = now.Add(recheckEvery)
	}
	s.mu.Unlock()
	if r.Upstream == nil {
		return false
	}
	known, asked := false, false
	if due {
		c, err := s.askOnce(ctx, r)
		known, asked = c.Known && c.State != core.UpstreamRevoked, err == nil
	}
	if _, said := upstream.Classify(failure); !known && hosterror.IsArchived(said) {
		archived := upstream.Condition{Known: true, State: core.UpstreamArchived, Upstream: *r.Upstream, Message: said}
		if err := s.takeIn(ctx, r, archived); err != nil {
			s.log.Error("an upstream's state could not be recorded", "repo_id", r.ID, "error", err)
			return asked
		}
		s.contradict(r, true)
		return true
	}
	return asked
}

// contradict notes whether the git of an upstream contradicts what its API said.
func (s *Service) contradict(r core.Repository, contradicted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := s.identities[r.ID]; i != nil {
		i.contradicted = contradicted
	}
}

// Accepted notes that the upstream took a write. Where its API does not tell,
// that proves it archived no more.
func (s *Service) Accepted(ctx context.Context, r core.Repository) {
	if r.Upstream == nil || s.settled(r) {
		return
	}
	state, err := s.store.SyncState(ctx, r.ID)
	if err != nil || state.UpstreamState != core.UpstreamArchived {
		return
	}
	if err := s.takeIn(ctx, r, upstream.Condition{Known: true, State: core.UpstreamActive, Upstream: *r.Upstream}); err != nil {
		s.log.Error("an upstream's state could not be recorded", "repo_id", r.ID, "error", err)
		return
	}
	s.contradict(r, false)
}

// settled reports whether the host's API said last that the upstream is active,
// and its git has not contradicted that.
func (s *Service) settled(r core.Repository) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.identities[r.ID]
	return i != nil && i.settled && !i.contradicted
}

// askOnce asks the host about an upstream and records the answer. All who ask
// for the same repository meanwhile share one question, which goes on when a
// caller gives up.
func (s *Service) askOnce(ctx context.Context, r core.Repository) (upstream.Condition, error) {
	answer := s.asking.DoChan(r.ID+" "+r.Upstream.ID+" "+r.Upstream.URL, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), identityTimeout)
		defer cancel()
		c, err := s.question(ctx, r)
		if err != nil || !c.Known {
			return c, err
		}
		if err := s.takeIn(ctx, r, c); err != nil {
			return c, err
		}
		return c, nil
	})
	select {
	case a := <-answer:
		c, _ := a.Val.(upstream.Condition)
		return c, a.Err
	case <-ctx.Done():
		return upstream.Condition{}, context.Cause(ctx)
	}
}

// takeIn records what the host says of an upstream outside of a run: where it
// is, and its state. A run that would find out the same is not waited for.
func (s *Service) takeIn(ctx context.Context, r core.Repository, c upstream.Condition) error {
	x := &run{repo: r, condition: &c}
	x.RepoID, x.FinishedAt = r.ID, s.clock.Now()
	var failure error
	switch {
	case !c.State.Readable():
		failure = errLost(c)
		x.Class, x.Error = classify(failure)
	case c.Moved:
		if err := s.follow(ctx, x, c.Upstream); err != nil {
			return err
		}
	case c.Upstream.ID != r.Upstream.ID:
		if err := s.store.SetUpstreamID(ctx, r.ID, c.Upstream.ID); err != nil {
			return err
		}
	}
	return s.store.Tx(ctx, func(q core.Queries) error {
		state, err := q.SyncState(ctx, r.ID)
		if core.KindOf(err) == core.KindNotFound {
			return nil // detached meanwhile
		}
		// A state that its git contradicts is for a run to tell: only what a write
		// must know of is recorded here.
		if err != nil || !state.Ready() || !c.State.Readable() && !c.State.Gone() {
			return err
		}
		if state.UpstreamState == c.State {
			return nil
		}
		before := state
		if failure != nil {
			state.LastErrorAt, state.LastClass, state.LastError = x.FinishedAt, x.Class, x.Error
			state.Failures = max(state.Failures, 1)
		}
		events, err := s.recordUpstreamStatus(ctx, q, x, before, &state, failure, false)
		if err != nil {
			return err
		}
		if err := q.SaveSync(ctx, state); err != nil {
			return err
		}
		return q.AddEvents(ctx, events)
	})
}

// unseen reports whether the stored credential is newer than the last time the
// upstream's git answered: such a one may never have opened the repository, and
// hosts tell it of a private one what they tell of none.
func (s *Service) unseen(ctx context.Context, r core.Repository) bool {
	c, err := s.store.CredentialByRepo(ctx, r.ID)
	if err != nil {
		return false
	}
	state, err := s.store.SyncState(ctx, r.ID)
	return err == nil && state.Ready() && c.UpdatedAt.After(core.Later(state.LastSuccessAt, state.ObservedAt))
}

// unseenText says of a "not found" that it may be about the credential.
const unseenText = "the host does not show the repository to the new credential, which has not opened it before: "

// reconsiderCredential takes back that an upstream is deleted where it may only be
// hidden from a new credential.
func (s *Service) reconsiderCredential(ctx context.Context, r core.Repository, c *upstream.Condition) {
	if c.Known && c.State == core.UpstreamDeleted && s.unseen(ctx, r) {
		c.State, c.Message, c.Unknown = core.UpstreamRevoked, unseenText+c.Message, unseenText+c.Message
	}
}
