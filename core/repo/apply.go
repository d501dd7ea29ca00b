package repo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/trace"
)

// apply moves the refs of a transaction here, by the entry's updates, and records
// it: the local part, under the repository's write lock. Upstream-owned refs take
// their tracking refs along. A reader may see the deletes a moment before the rest.
// beside is the entry that stays open for the updates that are not among them, and
// audit the audit entry; both may be nil.
//
// A branch or tag that is moved by force or deleted is a [core.Rewrite]: its row
// is part of the SQL transaction, and the hidden ref that keeps its old tip, if
// the repository's settings want that, part of the ref transaction.
//
// Errors: a [*git.RefError] if a ref was not where the update said, or could not be
// written; then nothing moved. An [*AppliedError] if the refs moved, but not all
// that belongs to it was done. After any other error nobody can say what moved.
func (r *Repos) apply(ctx context.Context, t *transaction, j core.JournalEntry, beside *core.JournalEntry, audit *core.AuditEntry) error {
	// Before the lock: they may read settings and history.
	rewrites, err := r.rewritten(ctx, t, j)
	if err != nil {
		return err
	}
	back, err := r.returned(ctx, t, j)
	if err != nil {
		return err
	}
	owns, err := r.Owner(ctx, t.Repo, j.Namespace, j.Updates)
	if err != nil {
		return err
	}
	unlock, err := r.locks.LockWrite(ctx, t.Repo.ID)
	if err != nil {
		return fmt.Errorf("wait for the write lock: %w", err)
	}
	err = r.applyLocked(ctx, t, application{entry: j, rewrites: rewrites, back: back, owns: owns, beside: beside, audit: audit})
	unlock()
	if err == nil && len(j.Updates) > 0 {
		r.notify(t.Repo.ID, len(j.Updates))
	}
	return err
}

// application is what apply is about.
type application struct {
	entry    core.JournalEntry
	rewrites []core.Rewrite
	back     *returned             // nil: nothing that was forgotten comes back
	owns     func(ref string) bool // the upstream does
	beside   *core.JournalEntry
	audit    *core.AuditEntry
}

func (r *Repos) applyLocked(ctx context.Context, t *transaction, a application) error {
	j := a.entry
	updates := j.Updates
	if t.resumed {
		if err := r.point.ComeForward(ctx, j.RepoID); err != nil {
			return err
		}
		dir := r.Path(t.Repo.ID)
		var err error
		if updates, err = r.pending(ctx, dir, j); err != nil {
			return err
		}
		if err = r.settleKept(ctx, dir, t.Repo, a.rewrites, updates); err != nil {
			return err
		}
	}
	if j.Source != core.SourceSync {
		r.touched(j)
		// Again at the end: who began to watch since has read a state that does not
		// know of it, and may look at its refs when their locks are free.
		defer r.touched(j)
	}
	kept := make(map[string]string, len(a.rewrites)) // hidden ref by ref
	for _, rw := range a.rewrites {
		if rw.State == core.RewriteRetained {
			kept[rw.Ref] = rw.KeptRef()
		}
	}
	deletes, sets := transactions(j, updates, kept, a.owns)
	return r.point.Commit(ctx, Change{
		RepoID: t.Repo.ID, Deletes: deletes, Sets: sets, Bulk: t.First, Head: t.Head,
		Record: func(q core.Queries, headErr error) error { return r.record(ctx, q, t, a, headErr) },
	})
}

// record writes down that the updates of an entry are in place.
func (r *Repos) record(ctx context.Context, q core.Queries, t *transaction, a application, headErr error) error {
	j, now := a.entry, r.clock.Now()
	if err := q.CloseJournal(ctx, j.ID, core.JournalApplied, t.journaled(j).Updates, now); err != nil {
		return err
	}
	if len(j.Updates) > 0 {
		if _, err := q.BumpVersion(ctx, t.Repo.ID); err != nil {
			return err
		}
	}
	// What a session moved is not in the digest of the last listing.
	if t.Repo.Upstream != nil && j.Source != core.SourceSync && slices.ContainsFunc(j.Updates, func(u core.RefUpdate) bool { return a.owns(u.Name) }) {
		// Detached meanwhile: then there is no digest any more.
		if err := q.SetDigest(ctx, t.Repo.ID, ""); err != nil && core.KindOf(err) != core.KindNotFound {
			return err
		}
	}
	if t.Record != nil {
		if err := t.Record(ctx, q, j); err != nil {
			return err
		}
	}
	if t.RecordHead != nil && t.Head != "" && headErr == nil {
		if err := t.RecordHead(ctx, q); err != nil {
			return err
		}
	}
	if err := recordRewrites(ctx, q, t.Repo, a.rewrites, t.resumed); err != nil {
		return err
	}
	if t.resumed {
		if err := approveRecovered(ctx, q, j, now); err != nil {
			return err
		}
	}
	if err := recordBeside(ctx, q, a.beside, a.audit); err != nil || t.First {
		return err
	}
	events := PushEvents(t.Repo, j, now)
	if a.back != nil {
		e, err := core.RepositoryEvent(t.Repo, core.EventForgottenReturned, a.back, now)
		if err != nil {
			return err
		}
		events = append(events, e)
	}
	for i := range events {
		events[i].Trace = trace.Parent(ctx)
	}
	return q.AddEvents(ctx, events)
}

// transactions splits updates into the deletes and the rest, by names on disk,
// with the tracking refs and the hidden ones that keep old tips. A tracking ref
// is written without its old value: a running fetch may have recorded the new
// one already.
func transactions(j core.JournalEntry, updates []core.RefUpdate, kept map[string]string, owns func(string) bool) (deletes, sets []git.RefChange) {
	for _, u := range updates {
		name := u.Name
		changes := []git.RefChange{{RefUpdate: core.RefUpdate{Name: j.Namespace.Path(name), Old: u.Old, New: u.New}}}
		if j.Source != core.SourceSync && owns(name) {
			changes = append(changes, git.RefChange{RefUpdate: core.RefUpdate{Name: core.TrackingRef(name), New: u.New}, Force: true})
		}
		if hidden, ok := kept[name]; ok {
			changes = append(changes, git.RefChange{RefUpdate: core.RefUpdate{Name: hidden, New: u.Old}, Force: true})
		}
		if u.IsDelete() {
			deletes = append(deletes, changes...)
		} else {
			sets = append(sets, changes...)
		}
	}
	return deletes, sets
}

// pending returns the updates that are not in place yet.
func (r *Repos) pending(ctx context.Context, dir string, j core.JournalEntry) ([]core.RefUpdate, error) {
	names := make([]string, len(j.Updates))
	for i, u := range j.Updates {
		names[i] = j.Namespace.Path(u.Name)
	}
	have, err := r.git.RefsNamed(ctx, dir, names)
	if err != nil {
		return nil, err
	}
	var todo []core.RefUpdate
	for i, u := range j.Updates {
		if at := have[names[i]]; at != u.New && (!at.IsZero() || !u.New.IsZero()) {
			todo = append(todo, u)
		}
	}
	return todo, nil
}

// SetHead points HEAD at a branch under the write lock, and runs also in a SQL
// transaction. The branch need not exist (an empty repository).
func (r *Repos) SetHead(ctx context.Context, id, branch string, also func(q core.Queries) error) error {
	unlock, err := r.locks.LockWrite(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	return r.point.Commit(ctx, Change{RepoID: id, Head: "refs/heads/" + branch, Unborn: true, Record: func(q core.Queries, _ error) error { return also(q) }})
}

// pushPayload is the body of a push event, contract section 5. It has no type.
type pushPayload struct {
	Repository core.EventRepository `json:"repository"`
	Org        string               `json:"org"`
	Ref        string               `json:"ref"`
	Before     core.ObjectID        `json:"before"`
	After      core.ObjectID        `json:"after"`
	CustomerID string               `json:"customer_id"`
	PushedAt   core.Timestamp       `json:"pushed_at"`
}

// PushEvents returns one push event per update. Refs of the ephemeral
// namespace make none: a receiver could not tell them from branches.
func PushEvents(repo core.Repository, j core.JournalEntry, at time.Time) []core.Event {
	if j.Namespace != core.Default {
		return nil
	}
	events := make([]core.Event, 0, len(j.Updates))
	for _, u := range j.Updates {
		payload, err := json.Marshal(pushPayload{
			Repository: core.EventRepositoryOf(repo),
			Ref:        u.Name, Before: u.Old.OrZeros(u.New), After: u.New.OrZeros(u.Old),
			Org: repo.Org, CustomerID: repo.Org, PushedAt: core.EventTime(at),
		})
		if err != nil {
			continue // strings and times always marshal
		}
		events = append(events, core.Event{
			ID: core.NewID("evt", at), RepoID: repo.ID, Org: repo.Org, Type: core.EventPush,
			JournalID: j.ID, Ref: u.Name, Payload: payload, CreatedAt: at,
		})
	}
	return events
}

// IsRefError returns the [*git.RefError] in err's chain, if there is one.
func IsRefError(err error) (*git.RefError, bool) {
	var re *git.RefError
	ok := errors.As(err, &re)
	return re, ok
}
