package upstream

import (
	"context"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/loop"
	"github.com/headwater-git/headwater/core/schedule"
)

// checkEvery is how often the host is asked without a reason what became of an
// upstream: whether it was renamed, archived, or its name given to another.
const checkEvery = 24 * time.Hour

// checkAgain is how soon the host is asked again if it did not answer.
const checkAgain = time.Hour

// CheckDue reports whether the daily question is due. What was asked before the start
// of the server is not known, so the first questions are spread over a day.
func (m *Monitor) CheckDue(repoID string) bool {
	now := m.clock.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	last, ok := m.checkedAt[repoID]
	if !ok {
		m.checkedAt[repoID] = now.Add(-loop.Within(checkEvery))
		return false
	}
	return now.Sub(last) >= checkEvery
}

// Ask asks the host about an upstream now and records who may read it. Errors: those of
// [Service.Check], and KindRateLimited while its API rests.
func (m *Monitor) Ask(ctx context.Context, r core.Repository) (Condition, error) {
	return m.ask(ctx, r)
}

// ask asks the host about the upstream, and keeps what the answer says of its
// identity. Errors: the host could not be asked; KindRateLimited if its API limits.
func (m *Monitor) ask(ctx context.Context, r core.Repository) (Condition, error) {
	if until := m.pauses.Until(r.Upstream.Host); !until.IsZero() {
		return Condition{}, &core.Error{
			Kind: core.KindRateLimited, Op: "check upstream", Message: "the API of " + r.Upstream.Host + " limits requests at the moment",
			RetryAfter: until.Sub(m.clock.Now()),
		}
	}
	begin := m.clock.Now()
	c, err := m.hosts.Check(ctx, r)
	if core.KindOf(err) == core.KindRateLimited {
		// The limits of its API are not those of its git, so they hold up no sync.
		m.pauses.Set(r.Upstream.Host, schedule.PauseAfter(RetryAfter(err)))
	}
	checkedAt := m.clock.Now()
	if err != nil {
		m.log.Debug("the host cannot be asked about an upstream", "repo_id", r.ID, "error", err)
		checkedAt = checkedAt.Add(checkAgain - checkEvery)
	} else {
		m.reconsiderCredential(ctx, r, &c)
		m.recordVisibility(ctx, r, c)
		m.recordIdentity(r, c, begin)
	}
	m.mu.Lock()
	m.checkedAt[r.ID] = checkedAt
	m.mu.Unlock()
	return c, err
}

// recordVisibility records who may read an upstream. It does not wait for a run to end:
// what became private is not read without a token from this moment on.
func (m *Monitor) recordVisibility(ctx context.Context, r core.Repository, c Condition) {
	v := c.Visibility
	switch {
	case c.Known && !c.State.Readable():
		v = core.VisibilityPrivate // whatever it is now, it is not shown to everybody
	case !c.Known || v == core.VisibilityUnknown:
		return
	}
	changed, err := m.store.SetVisibility(context.WithoutCancel(ctx), r.ID, v)
	switch {
	case err != nil && core.KindOf(err) != core.KindNotFound: // detached meanwhile
		m.log.Error("cannot record who may read an upstream", "repo_id", r.ID, "error", err)
	case changed:
		m.log.Info("the host says who may read an upstream", "repo_id", r.ID, "visibility", string(v))
	}
}

// neverOpened reports whether the stored credential is newer than the last time the
// upstream's git answered. Such a credential may never have opened the repository, and
// hosts then answer for a private repository as for a missing one.
func (m *Monitor) neverOpened(ctx context.Context, r core.Repository) bool {
	c, err := m.store.CredentialByRepo(ctx, r.ID)
	if err != nil {
		return false
	}
	state, err := m.store.SyncState(ctx, r.ID)
	return err == nil && state.Ready() && c.UpdatedAt.After(core.Later(state.LastSuccessAt, state.ObservedAt))
}

// neverOpenedText says of a "not found" that it may be about the credential.
const neverOpenedText = "the host does not show the repository to the new credential, which has not opened it before: "

// reconsiderCredential corrects the state "deleted" where the upstream may only be
// hidden from a new credential.
func (m *Monitor) reconsiderCredential(ctx context.Context, r core.Repository, c *Condition) {
	if c.Known && c.State == core.UpstreamDeleted && m.neverOpened(ctx, r) {
		c.State, c.Message, c.Unknown = core.UpstreamRevoked, neverOpenedText+c.Message, neverOpenedText+c.Message
	}
}

// recordCondition records what the host says of an upstream outside of a run: where it
// is, and its state. It does not wait for a run that would find out the same.
func (m *Monitor) recordCondition(ctx context.Context, r core.Repository, c Condition) error {
	i := &Inquiry{m: m, repo: r, condition: &c}
	contact := Contact{At: m.clock.Now()}
	switch {
	case !c.State.Readable():
		contact.Failure = errCondition(c)
	case c.Moved:
		if err := i.follow(ctx, c.Upstream); err != nil {
			return err
		}
	case c.Upstream.ID != r.Upstream.ID:
		if err := m.store.SetUpstreamID(ctx, r.ID, c.Upstream.ID); err != nil {
			return err
		}
	}
	return m.store.Tx(ctx, func(q core.Queries) error {
		state, err := q.SyncState(ctx, r.ID)
		if core.KindOf(err) == core.KindNotFound {
			return nil // detached meanwhile
		}
		// A state that its git contradicts is left to a run: only what a write must
		// know of is recorded here.
		if err != nil || !state.Ready() || !c.State.Readable() && !c.State.Gone() || state.UpstreamState == c.State {
			return err
		}
		before := state
		if contact.Failure != nil {
			state.LastErrorAt = contact.At
			state.LastClass, state.LastError = Classify(contact.Failure)
			state.Failures = max(state.Failures, 1)
			if err := q.RecordUpstreamFailure(ctx, r.ID, contact.At, state.LastClass, state.LastError); err != nil {
				return err
			}
		}
		events, err := i.Record(ctx, q, before, &state, contact)
		if err != nil {
			return err
		}
		return q.AddEvents(ctx, events)
	})
}
