package upstream

import (
	"context"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git/hosterror"
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
	unknown      string    // why the last answer had no id; "" if it had one
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
func (m *Monitor) Identity(r core.Repository) Identity {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r.Upstream == nil {
		return Identity{}
	}
	i := m.identities[r.ID]
	if i == nil || i.id != "" && i.id != r.Upstream.ID {
		i = &identity{} // nothing is known, or of the link before this one
	}
	view := Identity{Reason: i.unknown, Asked: !i.askedAt.IsZero(), Settled: i.at.Equal(i.askedAt)}
	if view.Reason == "" && r.Upstream.ID == "" {
		view.Reason = r.Upstream.Host + " has given no stable id of the repository"
	}
	if i.id != "" {
		view.Confirmed = i.at
	}
	return view
}

// recordIdentity keeps what an answer of the host's API says of the identity.
func (m *Monitor) recordIdentity(r core.Repository, c Condition, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := m.identities[r.ID]
	if i == nil {
		i = &identity{}
		m.identities[r.ID] = i
	}
	i.askedAt, i.unknown, i.settled, i.contradicted = at, c.Unknown, false, false
	if c.Known && c.State.Readable() && c.Upstream.ID != "" {
		i.id, i.at, i.settled = c.Upstream.ID, at, c.State == core.UpstreamActive
	}
}

// confirmed reports whether the upstream's id was confirmed, or found to be one
// that cannot be asked for, not longer ago than age.
func (m *Monitor) confirmed(r core.Repository, age time.Duration) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := m.identities[r.ID]
	if i == nil {
		return false
	}
	now := m.clock.Now()
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
func (m *Monitor) Confirm(ctx context.Context, r core.Repository) error {
	return m.confirm(ctx, r, identityAge)
}

// ConfirmIdentity is [Monitor.Confirm] for what is set up at a host beside the content,
// such as a webhook: a confirmation of the last hour will do, so that it seldom costs a
// question, and whether an archived repository takes it is for the host to say.
// Errors: KindUpstreamUnavailable (the host cannot be asked, or the upstream is gone or
// another one).
func (m *Monitor) ConfirmIdentity(ctx context.Context, r core.Repository) error {
	err := m.confirm(ctx, r, identityGrace)
	if core.KindOf(err) == core.KindUpstreamRejected {
		return nil
	}
	return err
}

// confirm asks the host unless it has confirmed the identity not longer ago than age.
func (m *Monitor) confirm(ctx context.Context, r core.Repository, age time.Duration) error {
	if r.Upstream == nil || m.confirmed(r, age) {
		return nil
	}
	c, err := m.askOnce(ctx, r)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	switch {
	case err != nil && (r.Upstream.ID == "" || m.confirmed(r, identityGrace)):
		return nil // there is no id to compare with, or one that is good enough
	case err != nil:
		return &core.Error{
			Kind: core.KindUpstreamUnavailable, Op: "confirm the upstream",
			Message:    "whether the upstream is still the same repository cannot be confirmed now: " + core.MessageOf(err) + "; try again later",
			RetryAfter: max(RetryAfter(err), time.Second), Err: err,
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
func (m *Monitor) Recheck(ctx context.Context, r core.Repository, failure error) bool {
	now := m.clock.Now()
	m.mu.Lock()
	i := m.identities[r.ID]
	if i == nil {
		i = &identity{}
		m.identities[r.ID] = i
	}
	due := !now.Before(i.recheckAt)
	if due {
		i.recheckAt = now.Add(recheckEvery)
	}
	m.mu.Unlock()
	if r.Upstream == nil {
		return false
	}
	known, asked := false, false
	if due {
		c, err := m.askOnce(ctx, r)
		known, asked = c.Known && c.State != core.UpstreamRevoked, err == nil
	}
	if _, said := Classify(failure); !known && hosterror.IsArchived(said) {
		archived := Condition{Known: true, State: core.UpstreamArchived, Upstream: *r.Upstream, Message: said}
		if err := m.recordCondition(ctx, r, archived); err != nil {
			m.log.Error("an upstream's state could not be recorded", "repo_id", r.ID, "error", err)
			return asked
		}
		m.contradict(r, true)
		return true
	}
	return asked
}

// contradict notes whether the git of an upstream contradicts what its API said.
func (m *Monitor) contradict(r core.Repository, contradicted bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := m.identities[r.ID]; i != nil {
		i.contradicted = contradicted
	}
}

// Accepted notes that the upstream took a write. Where its API does not tell,
// that proves it archived no more.
func (m *Monitor) Accepted(ctx context.Context, r core.Repository) {
	if r.Upstream == nil || m.settled(r) {
		return
	}
	state, err := m.store.SyncState(ctx, r.ID)
	if err != nil || state.UpstreamState != core.UpstreamArchived {
		return
	}
	if err := m.recordCondition(ctx, r, Condition{Known: true, State: core.UpstreamActive, Upstream: *r.Upstream}); err != nil {
		m.log.Error("an upstream's state could not be recorded", "repo_id", r.ID, "error", err)
		return
	}
	m.contradict(r, false)
}

// settled reports whether the host's API said last that the upstream is active,
// and its git has not contradicted that.
func (m *Monitor) settled(r core.Repository) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := m.identities[r.ID]
	return i != nil && i.settled && !i.contradicted
}

// askOnce asks the host about an upstream and records the answer. All who ask
// for the same repository meanwhile share one question, which goes on when a
// caller gives up.
func (m *Monitor) askOnce(ctx context.Context, r core.Repository) (Condition, error) {
	answer := m.shared.DoChan(r.ID+" "+r.Upstream.ID+" "+r.Upstream.URL, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), identityTimeout)
		defer cancel()
		c, err := m.ask(ctx, r)
		if err != nil || !c.Known {
			return c, err
		}
		if err := m.recordCondition(ctx, r, c); err != nil {
			return c, err
		}
		return c, nil
	})
	select {
	case a := <-answer:
		c, _ := a.Val.(Condition)
		return c, a.Err
	case <-ctx.Done():
		return Condition{}, context.Cause(ctx)
	}
}
