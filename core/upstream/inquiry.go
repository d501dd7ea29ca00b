package upstream

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/providers"
)

// ErrMoved ends an attempt of a run because the upstream is at another place now. The
// run goes on there: [Inquiry.Upstream] is the new link.
var ErrMoved = errors.New("the upstream has moved")

// FailuresNotified is how many failures in a row cause an event although no user
// requested the run: by then the quick retries are used up.
const FailuresNotified = 3

// Inquiry is what one run finds out from the host's API about the upstream that it
// mirrors. It is not safe for concurrent use.
type Inquiry struct {
	m         *Monitor
	repo      core.Repository
	condition *Condition // nil: not asked, or no answer
}

// Inquire returns an inquiry that has asked nothing yet.
func (m *Monitor) Inquire(r core.Repository) *Inquiry { return &Inquiry{m: m, repo: r} }

// Upstream returns the link as it is now. It changes when a method returns [ErrMoved],
// and when the host says the stable id of an upstream that had none.
func (i *Inquiry) Upstream() *core.Upstream { return i.repo.Upstream }

// Before asks the host before a run lists refs, where its git might show another
// repository: if the upstream was deleted or replaced when it was last seen, if a
// webhook asks for it, and if a user requested the run. taken is the state as the run
// took it. It returns [ErrMoved], or why there is nothing to list.
func (i *Inquiry) Before(ctx context.Context, taken core.SyncState, userInitiated bool) error {
	gone := taken.UpstreamState.Gone() && i.repo.Upstream.ID != ""
	if recheck := i.m.takeRecheck(i.repo.ID) || userInitiated; !recheck && !gone && !i.m.CheckDue(i.repo.ID) || !taken.Ready() {
		return nil
	}
	i.condition = nil
	if err := i.examine(ctx); err != nil {
		return err
	}
	switch {
	case i.condition != nil && i.condition.State.Gone():
		if class, _ := Classify(i.condition.GitError); class == core.ClassNotFound {
			return i.withMessage(i.condition.GitError) // in the host's own words too
		}
		return errCondition(*i.condition)
	case i.condition == nil && gone:
		// Whether it is the same repository is not known. The host is asked again soon.
		return &ClassifiedError{Class: taken.LastClass, Text: taken.LastError}
	}
	return nil
}

// During asks the host while a run fetches, so that nothing of another repository that
// took the upstream's name reaches the public refs. With first, it also learns the
// stable id of the upstream. Call the returned function once the fetch has ended,
// whether it failed or not: it waits for the answer, and its error is why nothing of
// what was fetched may be applied, or [ErrMoved].
func (i *Inquiry) During(ctx context.Context, first bool) (wait func() error) {
	if i.condition != nil || i.repo.Upstream.ID == "" && !first && !i.m.CheckDue(i.repo.ID) {
		return func() error { return nil }
	}
	answer := make(chan error, 1)
	concurrent := i.m.Inquire(i.repo)
	go func() { answer <- concurrent.examine(ctx) }()
	return func() error {
		err := <-answer
		i.condition, i.repo.Upstream = concurrent.condition, concurrent.repo.Upstream
		if err != nil {
			return err
		}
		// Its git answers, so a refusal of the API is about the API.
		if i.condition != nil && i.condition.State == core.UpstreamReplaced {
			return errCondition(*i.condition)
		}
		return nil
	}
}

// Explain asks the host why its git failed, where its API may know: then a rename is
// followed, and a state is reported instead of a status code. With whole, the run was
// about all refs and not about one. It returns [ErrMoved] or the failure to report.
func (i *Inquiry) Explain(ctx context.Context, failure error, whole bool) error {
	class, _ := Classify(failure)
	if ce, ok := errors.AsType[*ClassifiedError](failure); ok && ce.Final {
		return failure
	}
	switch class {
	case core.ClassAuth, core.ClassRevoked, core.ClassNotFound, core.ClassMoved, core.ClassProtocol, core.ClassRefused, core.ClassDiverged:
	default:
		return failure
	}
	if i.condition == nil { // else asked already
		if err := i.examine(ctx); err != nil {
			return err
		}
	}
	failure = i.withMessage(failure)
	if class == core.ClassNotFound && whole && i.m.neverOpened(ctx, i.repo) && (i.condition == nil || !i.condition.State.Gone()) {
		_, text := Classify(failure)
		if !strings.HasPrefix(text, neverOpenedText) {
			text = neverOpenedText + text
		}
		failure = &ClassifiedError{Class: core.ClassAuth, Text: text, Cause: failure}
	}
	return failure
}

// examine asks the host about the upstream and follows what it says of its place. It
// returns [ErrMoved] if the run has to go on somewhere else.
func (i *Inquiry) examine(ctx context.Context) error {
	c, err := i.m.ask(ctx, i.repo)
	if err != nil || !c.Known {
		return nil //nolint:nilerr // what the API cannot say, the git of the host does
	}
	i.condition = &c
	if !c.State.Readable() {
		return nil
	}
	if c.Moved {
		if err := i.follow(ctx, c.Upstream); err != nil {
			return err
		}
		return ErrMoved
	}
	if c.Upstream.ID != i.repo.Upstream.ID {
		if err := i.m.store.SetUpstreamID(ctx, i.repo.ID, c.Upstream.ID); err != nil {
			return err
		}
		i.repo.Upstream = &c.Upstream
	}
	return nil
}

// follow changes the link to where the upstream was renamed or transferred to.
func (i *Inquiry) follow(ctx context.Context, to core.Upstream) error {
	e, err := movedEvent(i.repo, to, i.m.clock.Now())
	if err != nil {
		return err
	}
	// The latest link, but for the place: it may have been edited meanwhile.
	err = i.m.store.Tx(ctx, func(q core.Queries) error {
		r, err := q.RepositoryByID(ctx, i.repo.ID)
		if err != nil {
			return err
		}
		if r.Upstream == nil {
			return core.Errorf(core.KindNotFound, "the repository is not synced")
		}
		up := *r.Upstream
		moved := up.Owner != to.Owner || up.Name != to.Name || up.URL != to.URL
		up.ID, up.Owner, up.Name, up.URL = to.ID, to.Owner, to.Name, to.URL
		to = up
		if err := q.MoveUpstream(ctx, i.repo.ID, up); err != nil {
			return err
		}
		if !moved {
			return nil // a write has followed it already, with its event
		}
		return q.AddEvents(ctx, []core.Event{e})
	})
	if err != nil {
		return err
	}
	i.m.log.Info("the upstream has moved and is followed", "repo_id", i.repo.ID, "from", i.repo.Upstream.URL, "to", to.URL)
	i.repo.Upstream = &to
	return nil
}

// withMessage adds to a failure what the host's API says of the upstream: its git says
// "not found" of whatever the credential does not open, and what a person can do about
// it only the API knows. The class stays that of the failure. Of a refused credential
// git's words go first: they are the host's own.
func (i *Inquiry) withMessage(failure error) error {
	if i.condition == nil || i.condition.Message == "" || i.condition.State.Readable() {
		return failure
	}
	class, text := Classify(failure)
	switch {
	case text == "":
		text = i.condition.Message
	case strings.Contains(text, i.condition.Message), strings.Contains(i.condition.Message, text):
		return failure
	case class == core.ClassAuth:
		text += "; " + i.condition.Message
	default:
		text = i.condition.Message + "; its git says: " + text
	}
	return &ClassifiedError{Class: class, Text: text, Cause: failure}
}

// Contact is how a contact with an upstream ended.
type Contact struct {
	At      time.Time // its end
	Failure error     // nil: the upstream answered
}

// Record writes the upstream's state after a contact, in the caller's transaction, and
// returns the events about it. before is the repository's row as it was; state, as it
// will be, gets the new state.
func (i *Inquiry) Record(ctx context.Context, q core.Queries, before core.SyncState, state *core.SyncState, contact Contact) ([]core.Event, error) {
	anonymous := false
	if contact.Failure != nil && i.repo.Upstream.Mode != providers.ModeApp {
		_, err := q.CredentialByRepo(ctx, i.repo.ID)
		if anonymous = core.KindOf(err) == core.KindNotFound; err != nil && !anonymous {
			return nil, err
		}
	}
	is, message := i.stateAfter(*state, contact.Failure, anonymous)
	if is != state.UpstreamState {
		state.UpstreamState, state.UpstreamSince = is, contact.At
		if _, err := q.SetUpstreamState(ctx, i.repo.ID, is, contact.At); err != nil {
			return nil, err
		}
		if err := i.unobserve(ctx, q, state); err != nil {
			return nil, err
		}
		i.m.log.Info("the upstream's state changed", "repo_id", i.repo.ID, "from", before.UpstreamState.Word(), "to", is.Word(), "host_text", message)
	}
	return statusEvents(i.repo, before, *state, message, contact.At)
}

// unobserve takes back the confirmations of a copy that were a stranger's: those that came
// since the host confirmed the upstream's identity last. Where that is not known, since
// the server has been started, they stay.
func (i *Inquiry) unobserve(ctx context.Context, q core.Queries, state *core.SyncState) error {
	since := i.m.Identity(i.repo).Confirmed
	if state.UpstreamState != core.UpstreamReplaced || since.IsZero() || !state.ObservedAt.After(since) {
		return nil
	}
	state.ObservedAt = since
	return q.Unobserve(ctx, i.repo.ID, since)
}

// stateAfter returns the upstream's state after a contact, and a sentence about it. A
// contact that worked proves an active upstream, unless the host says that it is
// archived. A failure that the host's API could not explain changes the state after
// the third in a row.
func (i *Inquiry) stateAfter(s core.SyncState, failure error, anonymous bool) (core.UpstreamState, string) {
	if failure == nil {
		switch {
		case i.condition != nil && i.condition.State.Readable():
			return i.condition.State, i.condition.Message
		case s.UpstreamState == core.UpstreamArchived:
			return core.UpstreamArchived, ""
		}
		return core.UpstreamActive, ""
	}
	if i.condition != nil {
		return i.condition.State, i.condition.Message
	}
	class, text := Classify(failure)
	if s.Failures < FailuresNotified || s.UpstreamState != core.UpstreamActive {
		return s.UpstreamState, text
	}
	switch {
	case class == core.ClassNotFound:
		return core.UpstreamDeleted, text
	case class == core.ClassAuth && anonymous:
		return core.UpstreamPrivate, text
	case class == core.ClassAuth, class == core.ClassRevoked:
		return core.UpstreamRevoked, text
	}
	return s.UpstreamState, text
}
