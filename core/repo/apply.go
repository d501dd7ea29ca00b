package repo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
)

// Apply is one ref transaction on its way into a repository.
type Apply struct {
	Repo    core.Repository
	Journal core.JournalEntry // opened before; its Updates are what to apply
	// Head, if not empty, is the full name of the branch that HEAD shall point
	// at afterwards, if it exists.
	Head string
	// Quiet leaves the push events out: the refs of a first mirror are told as
	// one event of the run.
	Quiet bool
	// Reconcile first looks which updates are in place already and applies the
	// rest: for recovery, where a crash may have cut anywhere.
	Reconcile bool
	// Forced are the names of the updates that rewrite history, where the caller
	// has asked [Repos.Forced] already. Nil: they are found out.
	Forced map[string]bool
	// Also runs inside the SQL transaction, for facts of the caller that must
	// become true together with the refs.
	Also func(q core.Queries) error
}

// ApplyRefUpdates is the one function that moves refs of repositories. Under
// the write lock it applies the journal entry's updates with their old ids,
// deletes first and in a transaction of their own (git cannot delete "foo" and
// create "foo/bar" in one), and moves the tracking refs of upstream-owned refs
// along. Then, in one SQL transaction, it closes the journal entry, raises the
// repository's version and adds the events. A reader may see the deletes a
// moment before the rest.
//
// A branch or tag that is moved by force or deleted is a [core.Rewrite]: its row
// is part of that SQL transaction, and the hidden ref that keeps its old tip, if
// the repository's settings want that, part of the ref transaction.
//
// It returns a [*git.RefError] if a ref was not where the update said, or could
// not be written; then nothing moved. It returns an [*AppliedError] if the refs
// moved, but not all that belongs to it was done.
func (r *Repos) ApplyRefUpdates(ctx context.Context, a Apply) error {
	// Before the lock: they may read settings and history.
	rewrites, err := r.rewritten(ctx, a)
	if err != nil {
		return err
	}
	owns, err := r.Owner(ctx, a.Repo, a.Journal.Namespace, a.Journal.Updates)
	if err != nil {
		return err
	}
	unlock, err := r.locks.LockWrite(ctx, a.Repo.ID)
	if err != nil {
		return fmt.Errorf("wait for the write lock: %w", err)
	}
	moved, err := r.apply(ctx, a, rewrites, owns)
	unlock()
	if err == nil && moved > 0 {
		r.notify(a.Repo.ID, moved)
	}
	return err
}

func (r *Repos) apply(ctx context.Context, a Apply, rewrites []core.Rewrite, owns func(string) bool) (int, error) {
	j := a.Journal
	updates := j.Updates
	dir := r.Path(a.Repo.ID)
	if a.Reconcile {
		var err error
		if updates, err = r.pending(ctx, dir, j); err != nil {
			return 0, err
		}
		if err = r.settleKept(ctx, dir, a, rewrites, updates); err != nil {
			return 0, err
		}
	}
	if j.Source != core.SourceSync {
		r.touched(j)
		// Again at the end: who began to watch since has read a state that does not
		// know of it, and may look at its refs when their locks are free.
		defer r.touched(j)
	}
	if err := r.move(ctx, dir, a, updates, rewrites, owns); err != nil {
		return 0, err
	}
	r.fail("refs-applied")
	var headErr error
	if a.Head != "" {
		headErr = r.follow(ctx, dir, a.Head)
		r.fail("head-moved")
	}
	now := r.clock.Now()
	journaled := j.Updates
	if a.Quiet {
		journaled = nil // every ref of a first mirror: the run's row says it shorter
	}
	err := r.store.Tx(ctx, func(q core.Queries) error {
		if err := q.CloseJournal(ctx, j.ID, core.JournalApplied, journaled, now); err != nil {
			return err
		}
		if len(j.Updates) > 0 {
			if _, err := q.BumpVersion(ctx, a.Repo.ID); err != nil {
				return err
			}
		}
		// What a session moved is not in the digest of the last listing.
		if a.Repo.Upstream != nil && j.Source != core.SourceSync && slices.ContainsFunc(j.Updates, func(u core.RefUpdate) bool { return owns(u.Name) }) {
			// Detached meanwhile: then there is no digest any more.
			if err := q.SetDigest(ctx, a.Repo.ID, ""); err != nil && core.KindOf(err) != core.KindNotFound {
				return err
			}
		}
		if a.Also != nil && headErr == nil {
			if err := a.Also(q); err != nil {
				return err
			}
		}
		if err := recordRewrites(ctx, q, a.Repo, rewrites, a.Reconcile); err != nil {
			return err
		}
		if a.Reconcile {
			if err := approveRecovered(ctx, q, j, now); err != nil {
				return err
			}
		}
		if a.Quiet {
			return nil
		}
		return q.AddEvents(ctx, PushEvents(a.Repo, j, now))
	})
	if err != nil {
		return 0, &AppliedError{Err: fmt.Errorf("record applied refs: %w", errors.Join(err, headErr))}
	}
	if headErr != nil {
		return len(j.Updates), &AppliedError{Recorded: true, Err: fmt.Errorf("follow the default branch: %w", headErr)}
	}
	return len(j.Updates), nil
}

// AppliedError says that the refs of a transaction have moved, but that not
// all that belongs to it was done.
type AppliedError struct {
	// Recorded: journal, version and events were written, only HEAD and Also
	// were not. Else the journal entry is still open, and the next start
	// settles it.
	Recorded bool
	Err      error
}

// Error gives the cause.
func (e *AppliedError) Error() string { return "refs have moved, but: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *AppliedError) Unwrap() error { return e.Err }

// LeavesOpen reports whether an error of [Repos.ApplyRefUpdates] that is no
// [*git.RefError] leaves the journal entry open: refs may have moved, and it is not
// written down.
func LeavesOpen(err error) bool {
	applied, ok := errors.AsType[*AppliedError](err)
	return err != nil && (!ok || !applied.Recorded)
}

// move makes the updates on disk: all, or none with a [*git.RefError].
func (r *Repos) move(ctx context.Context, dir string, a Apply, updates []core.RefUpdate, rewrites []core.Rewrite, owns func(string) bool) error {
	kept := make(map[string]string, len(rewrites)) // hidden ref by ref
	for _, rw := range rewrites {
		if rw.State == core.RewriteRetained {
			kept[rw.Ref] = rw.KeptRef()
		}
	}
	deletes, rest := r.transactions(a.Journal, updates, kept, owns)
	if a.Quiet {
		return r.git.WriteRefs(ctx, dir, deletes, rest)
	}
	if err := r.update(ctx, dir, deletes); err != nil {
		return err
	}
	r.fail("refs-deleted")
	err := r.update(ctx, dir, rest)
	if err == nil || len(deletes) == 0 {
		return err
	}
	// The two transactions are one to the caller: what was deleted comes back.
	// Tracking refs need not; the next sync brings them.
	var back []git.RefChange
	for _, u := range updates {
		if u.IsDelete() && !u.Old.IsZero() {
			back = append(back, git.RefChange{RefUpdate: core.RefUpdate{Name: a.Journal.Namespace.Path(u.Name), New: u.Old}})
			if name, ok := kept[u.Name]; ok {
				back = append(back, git.RefChange{RefUpdate: core.RefUpdate{Name: name, Old: u.Old}})
			}
		}
	}
	if _, undo := r.git.UpdateRefs(context.WithoutCancel(ctx), dir, back); undo != nil {
		// Without the RefError in the chain: something did move.
		return fmt.Errorf("bring back deleted refs: %s; they were deleted before: %s", undo, err)
	}
	return err
}

// update makes the changes, without those of tracking refs if a fetch has them
// locked: git from 2.51 on keeps all tracking refs of a fetch locked at once. What
// the upstream has taken already must not wait for that, and the next sync brings
// tracking refs up to date.
func (r *Repos) update(ctx context.Context, dir string, changes []git.RefChange) error {
	_, err := r.git.UpdateRefs(ctx, dir, changes)
	re, ok := IsRefError(err)
	if !ok || re.Kind != git.RefLocked || !strings.HasPrefix(re.Ref, core.TrackingPrefix) {
		return err
	}
	_, err = r.git.UpdateRefs(ctx, dir, slices.DeleteFunc(changes, func(c git.RefChange) bool {
		return strings.HasPrefix(c.Name, core.TrackingPrefix)
	}))
	return err
}

// transactions splits updates into the deletes and the rest, by names on disk,
// with the tracking refs and the hidden ones that keep old tips. A tracking ref
// is written without its old value: a running fetch may have recorded the new
// one already.
func (r *Repos) transactions(j core.JournalEntry, updates []core.RefUpdate, kept map[string]string, owns func(string) bool) (deletes, rest []git.RefChange) {
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
			rest = append(rest, changes...)
		}
	}
	return deletes, rest
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

// follow points HEAD at ref if that exists and HEAD points elsewhere.
func (r *Repos) follow(ctx context.Context, dir, ref string) error {
	refs, err := r.git.Refs(ctx, dir, ref)
	if err != nil {
		return err
	}
	for _, have := range refs {
		if have.Name == ref {
			return r.git.SetHead(ctx, dir, ref)
		}
	}
	return nil
}

// SetHead points HEAD at a branch under the write lock, and runs also in a SQL
// transaction. The branch need not exist (an empty repository).
func (r *Repos) SetHead(ctx context.Context, id, branch string, also func(q core.Queries) error) error {
	unlock, err := r.locks.LockWrite(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	if err := r.git.SetHead(ctx, r.Path(id), "refs/heads/"+branch); err != nil {
		return err
	}
	return r.store.Tx(ctx, also)
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
