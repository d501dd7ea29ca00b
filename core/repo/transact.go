package repo

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/headwater-git/headwater/core"
)

// Intent is one change of refs that somebody wants: a client's push, an API
// write, a run of a mirror, the approval of a rewrite. [Repos.Transact] carries it
// out.
type Intent struct {
	Repo      core.Repository
	Namespace core.Namespace
	Source    core.Source
	Actor     string // subject, for the journal
	Updates   []core.RefUpdate
	// Locks are those of the refs, where the caller holds them. Transact takes the
	// ones out whose updates it leaves open.
	Locks *RefLocks

	// Upstream takes the updates to the upstream and says what came of it. It runs
	// past the point of no return: with a context that the client's does not end,
	// and with its own time limits. Nil: the upstream has no part in this.
	Upstream func(ctx context.Context) Answer

	// Head, if not empty, is the full name of the branch that HEAD points at
	// afterwards, if that exists.
	Head string
	// First marks the first mirror of a repository, which nobody reads yet: its
	// refs are not journaled and make no push events. One event of the run tells of
	// all, and after a crash the next run makes the same plan again.
	First bool
	// Forced are the names of the updates that rewrite history, where the caller
	// has asked [Repos.Forced] already. Nil: they are found out.
	Forced map[string]bool

	// Record writes facts of the caller that become true together with the refs, in
	// the SQL transaction that closes the journal entry j. It may be nil.
	Record func(ctx context.Context, q core.Queries, j core.JournalEntry) error
	// RecordHead is Record for what is true only if HEAD has moved, too.
	RecordHead func(ctx context.Context, q core.Queries) error
	// Audit returns the audit entry of the outcome, which is written with it. It is
	// called for the outcome that is about to be written, and again if that one
	// could not be and another took its place. Nil: there is none.
	Audit func(o Outcome) *core.AuditEntry

	// LocalTimeout bounds the part after the upstream's answer; 0 does not.
	LocalTimeout time.Duration
}

// Answer is what the upstream said of an intent's updates. What is in neither list
// it refused.
type Answer struct {
	// Accepted are those to apply here, also the ones that the upstream has no part in.
	Accepted []core.RefUpdate
	// Unknown are those of which nobody knows whether the upstream took them.
	Unknown []core.RefUpdate
}

// Outcome is how a transaction ended.
type Outcome struct {
	// Entry is its journal entry, with the updates that State is about.
	Entry core.JournalEntry
	// State is
	//   - applied: the accepted updates are in place and recorded. With an Err, an
	//     [*AppliedError], only HEAD did not move.
	//   - dropped: nothing moved here. Err is why, or nil where the upstream refused
	//     all there was.
	//   - lagging: the upstream took it and the copy here could not follow (Err). The
	//     caller must ask for a sync.
	//   - sent: the entry was left open, and given with its locks to the function of
	//     [Repos.OnLeft]. Err is why; nil means that no update's outcome is known.
	State core.JournalState
	Err   error
	// Rest, if not nil, is the open entry of the updates whose outcome the upstream
	// did not report. It was left open like one that is sent.
	Rest *core.JournalEntry
}

// Unfinished is a transaction whose journal entry is open: nobody knows what became
// of its updates, or could write that down. Its refs must stay locked until it is
// settled: see [Repos.Resume] and [Repos.Conclude].
type Unfinished struct {
	Entry core.JournalEntry // with the updates that are in question
	// Audit is the audit entry it would have had; nil if it has none, or is of an
	// earlier life of the server.
	Audit *core.AuditEntry
	// Ending is how it ended, where only the record of that is missing.
	Ending *Ending
	// Taken says that the upstream is known to have all of it.
	Taken bool
	// Locks are the locks of its refs, as far as its writer held them.
	Locks *RefLocks
}

// Ending is how a journal entry is to be closed.
type Ending struct {
	State   core.JournalState
	Updates []core.RefUpdate // that became true
}

// OnLeft sets the function that takes over what a transaction leaves open, with its
// locks. It is called without the write lock and must not block. Without one, the
// next start settles it. Call it before the first change.
func (r *Repos) OnLeft(f func(u Unfinished)) { r.left = f }

// Transact carries out an intent. Every change of refs goes through it. The package
// comment has its steps and states.
//
// An error means that nothing moved and nothing was journaled: the store failed, or
// ctx ended before the point of no return. Past it there is an outcome only, and
// ctx ends nothing any more: an update that is on its way cannot be called back.
func (r *Repos) Transact(ctx context.Context, in Intent) (Outcome, error) {
	if ctx.Err() != nil {
		return Outcome{}, context.Cause(ctx)
	}
	now := r.clock.Now()
	t := &transaction{repos: r, Intent: in, entry: core.JournalEntry{
		ID: core.NewID("jrn", now), RepoID: in.Repo.ID, Namespace: in.Namespace, Source: in.Source, Actor: in.Actor,
		Upstream: in.Upstream != nil, State: core.JournalSent, Updates: in.Updates, CreatedAt: now,
	}}
	if err := r.store.OpenJournal(ctx, t.journaled(t.entry)); err != nil {
		return Outcome{}, err
	}
	t.failpoint("journal-sent")
	ctx = context.WithoutCancel(ctx)
	if err := r.point.Prepare(ctx, in.Repo.ID, in.Updates); err != nil {
		return t.close(ctx, t.outcome(core.JournalDropped, nil, err)), nil
	}
	answer := Answer{Accepted: in.Updates}
	if in.Upstream != nil {
		answer = in.Upstream(ctx)
		t.failpoint("upstream-accepted")
	}
	if in.LocalTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, in.LocalTimeout)
		defer cancel()
	}
	return t.finish(ctx, answer), nil
}

// transaction is an intent on its way.
type transaction struct {
	repos *Repos
	Intent
	entry core.JournalEntry
	// resumed: the entry was open before, and a crash may have cut it anywhere.
	resumed bool
}

// failpoint is a step of the transaction, named by who makes it.
func (t *transaction) failpoint(step string) {
	if t.Source == core.SourceSync {
		step = "sync-" + step
	}
	t.repos.fail(step)
}

// journaled is the entry as SQL has it.
func (t *transaction) journaled(j core.JournalEntry) core.JournalEntry {
	if t.First {
		j.Updates = nil
	}
	return j
}

func (t *transaction) outcome(state core.JournalState, updates []core.RefUpdate, err error) Outcome {
	j := t.entry
	j.State, j.Updates = state, updates
	return Outcome{Entry: j, State: state, Err: err}
}

func (t *transaction) audit(o Outcome) *core.AuditEntry {
	if t.Audit == nil {
		return nil
	}
	return t.Audit(o)
}

// finish brings here what the upstream said, and says how that ended.
func (t *transaction) finish(ctx context.Context, a Answer) Outcome {
	if len(a.Accepted) == 0 && len(t.Updates) > 0 {
		if len(a.Unknown) == 0 {
			return t.close(ctx, t.outcome(core.JournalDropped, nil, nil))
		}
		return t.leave(t.outcome(core.JournalSent, a.Unknown, nil), false)
	}
	rest := t.repos.remainder(t.entry, a.Unknown)
	done := t.outcome(core.JournalApplied, a.Accepted, nil)
	done.Rest = rest
	audit := t.audit(done)
	err := t.repos.apply(ctx, t, done.Entry, rest, audit)
	applied, moved := errors.AsType[*AppliedError](err)
	_, refused := IsRefError(err)
	switch {
	case err == nil, moved && applied.Recorded:
		t.failpoint("recorded")
		done.Err = err
		return t.leaveRest(done, audit)
	case refused && !t.entry.Upstream:
		return t.close(ctx, t.outcome(core.JournalDropped, nil, err))
	case refused:
		// The upstream has it, so "no" would be a lie that makes the client try again.
		lagging := t.outcome(core.JournalLagging, a.Accepted, err)
		lagging.Rest = rest
		audit = t.audit(lagging)
		cerr := t.repos.conclude(ctx, t.entry.ID, Ending{core.JournalLagging, a.Accepted}, rest, audit)
		if cerr == nil {
			return t.leaveRest(lagging, audit)
		}
		err = errors.Join(err, cerr)
	}
	// Nobody can say what moved here, or could write it down: of both parts.
	return t.leave(t.outcome(core.JournalSent, slices.Concat(a.Accepted, a.Unknown), err), len(a.Unknown) == 0)
}

// close closes the entry with an outcome that is known. If the store fails, that is
// left to be done later; the outcome stands.
func (t *transaction) close(ctx context.Context, o Outcome) Outcome {
	audit := t.audit(o)
	ending := Ending{o.State, o.Entry.Updates}
	if err := t.repos.conclude(ctx, o.Entry.ID, ending, nil, audit); err != nil {
		t.repos.log.Error("a journal entry could not be closed; trying again", "repo_id", t.Repo.ID, "journal_id", o.Entry.ID, "error", err)
		j := t.journaled(t.entry)
		t.repos.left(Unfinished{Entry: j, Audit: audit, Ending: &ending, Locks: t.Locks})
	}
	return o
}

// leave leaves the entry open. taken says that the upstream has all of it.
func (t *transaction) leave(o Outcome, taken bool) Outcome {
	t.repos.left(Unfinished{Entry: t.journaled(o.Entry), Audit: t.audit(o), Taken: taken, Locks: t.Locks})
	return o
}

// leaveRest leaves the entry of the updates open whose outcome is not known.
func (t *transaction) leaveRest(o Outcome, audit *core.AuditEntry) Outcome {
	if o.Rest != nil {
		t.repos.left(Unfinished{Entry: *o.Rest, Audit: audit, Locks: t.Locks})
	}
	return o
}

// remainder is the entry of those updates whose outcome stays open when that of the
// others is recorded; nil if there are none.
func (r *Repos) remainder(j core.JournalEntry, open []core.RefUpdate) *core.JournalEntry {
	if len(open) == 0 {
		return nil
	}
	now := r.clock.Now()
	j.ID, j.State, j.Upstream, j.Updates, j.CreatedAt = core.NewID("jrn", now), core.JournalSent, true, open, now
	return &j
}

// Resume goes on with a transaction that was left open, once it is known which of
// its updates became true: Accepted are in place here or taken by the upstream,
// Unknown stay open, the others did not happen. The caller holds the locks of the
// refs. What is in place already is not moved again, and no event is written twice. The
// hidden refs that keep old tips get their rows, wherever the refs have gone since.
//
// The outcome is applied (Rest is then the open entry of what stays unknown), or
// dropped, with an Err if a ref has moved on since: then only a sync finds where to. An error means that the entry is still open as it was.
func (r *Repos) Resume(ctx context.Context, u Unfinished, repo core.Repository, a Answer, audit func(o Outcome) *core.AuditEntry) (Outcome, error) {
	j := u.Entry
	t := &transaction{repos: r, resumed: true, entry: j, Intent: Intent{Repo: repo, Namespace: j.Namespace, Source: j.Source, Actor: j.Actor, Audit: audit}}
	if err := r.recoverKeptTips(ctx, repo, j); err != nil {
		return Outcome{}, err
	}
	o := t.outcome(core.JournalDropped, nil, nil)
	if len(a.Accepted) > 0 {
		rest := r.remainder(j, a.Unknown)
		done := t.outcome(core.JournalApplied, a.Accepted, nil)
		done.Rest = rest
		err := r.apply(ctx, t, done.Entry, rest, t.audit(done))
		if err == nil {
			return done, nil
		}
		if _, refused := IsRefError(err); !refused || rest != nil {
			return Outcome{}, err
		}
		o.Err = err
	}
	if err := r.conclude(ctx, j.ID, Ending{State: core.JournalDropped}, nil, t.audit(o)); err != nil {
		return Outcome{}, err
	}
	return o, nil
}

// Conclude closes the entry of a transaction that moves nothing any more, with its
// audit entry if that is not nil. Errors: the store's. An entry that went with its
// repository needs no end: the audit entry is written alone.
func (r *Repos) Conclude(ctx context.Context, j core.JournalEntry, e Ending, audit *core.AuditEntry) error {
	err := r.conclude(ctx, j.ID, e, nil, audit)
	switch {
	case core.KindOf(err) != core.KindNotFound:
		return err
	case audit == nil:
		return nil
	}
	return r.store.AddAudit(ctx, *audit)
}

// conclude closes a journal entry and opens that of the rest.
func (r *Repos) conclude(ctx context.Context, id string, e Ending, rest *core.JournalEntry, audit *core.AuditEntry) error {
	return r.store.Tx(ctx, func(q core.Queries) error {
		if err := q.CloseJournal(ctx, id, e.State, e.Updates, r.clock.Now()); err != nil {
			return err
		}
		return recordBeside(ctx, q, rest, audit)
	})
}

// recordBeside writes what belongs to the end of a journal entry beside it.
func recordBeside(ctx context.Context, q core.Queries, rest *core.JournalEntry, audit *core.AuditEntry) error {
	if rest != nil {
		if err := q.OpenJournal(ctx, *rest); err != nil {
			return err
		}
	}
	if audit == nil {
		return nil
	}
	return q.AddAudit(ctx, *audit)
}
