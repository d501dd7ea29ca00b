package repo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
	// Also runs inside the SQL transaction, for facts of the caller that must
	// become true together with the refs.
	Also func(q core.Queries) error
	// Events are added to the push events of the updates.
	Events []core.Event
}

// ApplyRefUpdates is the one function that moves refs of repositories. Under
// the write lock it applies the journal entry's updates with their old ids,
// deletes first and in a transaction of their own (git cannot delete "foo" and
// create "foo/bar" in one), and moves the tracking refs of upstream-owned refs
// along. Then, in one SQL transaction, it closes the journal entry, raises the
// repository's version and adds the events. A reader may see the deletes a
// moment before the rest.
//
// It returns a [*git.RefError] if a ref was not where the update said, or could
// not be written; then, unless only the deletes went through, nothing moved.
func (r *Repos) ApplyRefUpdates(ctx context.Context, a Apply) error {
	unlock, err := r.locks.LockWrite(ctx, a.Repo.ID)
	if err != nil {
		return fmt.Errorf("wait for the write lock: %w", err)
	}
	moved, err := r.apply(ctx, a)
	unlock()
	if err == nil && moved > 0 {
		r.notify(a.Repo.ID, moved)
	}
	return err
}

func (r *Repos) apply(ctx context.Context, a Apply) (int, error) {
	j := a.Journal
	updates := j.Updates
	dir := r.Path(a.Repo.ID)
	if a.Reconcile {
		var err error
		if updates, err = r.pending(ctx, dir, j); err != nil {
			return 0, err
		}
	}
	if j.Source != core.SourceSync {
		r.touched(a.Repo.ID, j.Updates)
	}
	deletes, rest := r.transactions(a.Repo, j, updates)
	if a.Quiet {
		if err := r.git.WriteRefs(ctx, dir, deletes, rest); err != nil {
			return 0, err
		}
	} else {
		if _, err := r.git.UpdateRefs(ctx, dir, deletes); err != nil {
			return 0, err
		}
		r.fail("refs-deleted")
		if _, err := r.git.UpdateRefs(ctx, dir, rest); err != nil {
			return 0, err
		}
	}
	r.fail("refs-applied")
	if a.Head != "" {
		if err := r.follow(ctx, dir, a.Head); err != nil {
			return 0, err
		}
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
		if a.Repo.Upstream != nil && j.Source != core.SourceSync && touchesUpstream(j) {
			if err := q.SetDigest(ctx, a.Repo.ID, ""); err != nil {
				return err
			}
		}
		if a.Also != nil {
			if err := a.Also(q); err != nil {
				return err
			}
		}
		events := a.Events
		if !a.Quiet {
			events = append(PushEvents(a.Repo, j, now), events...)
		}
		return q.AddEvents(ctx, events)
	})
	if err != nil {
		return 0, fmt.Errorf("record applied refs: %w", err)
	}
	return len(j.Updates), nil
}

// transactions splits updates into the deletes and the rest, by names on disk,
// with the tracking refs. A tracking ref is written without its old value: a
// running fetch may have recorded the new one already.
func (r *Repos) transactions(repo core.Repository, j core.JournalEntry, updates []core.RefUpdate) (deletes, rest []git.RefChange) {
	for _, u := range updates {
		name := u.Name
		changes := []git.RefChange{{RefUpdate: core.RefUpdate{Name: j.Namespace.Path(name), Old: u.Old, New: u.New}}}
		if repo.Upstream != nil && j.Source != core.SourceSync && core.UpstreamOwned(j.Namespace, name) {
			changes = append(changes, git.RefChange{RefUpdate: core.RefUpdate{Name: core.TrackingRef(name), New: u.New}, Force: true})
		}
		if u.IsDelete() {
			deletes = append(deletes, changes...)
		} else {
			rest = append(rest, changes...)
		}
	}
	return deletes, rest
}

func touchesUpstream(j core.JournalEntry) bool {
	for _, u := range j.Updates {
		if core.UpstreamOwned(j.Namespace, u.Name) {
			return true
		}
	}
	return false
}

// pending returns the updates that are not in place yet.
func (r *Repos) pending(ctx context.Context, dir string, j core.JournalEntry) ([]core.RefUpdate, error) {
	names := make([]string, len(j.Updates))
	for i, u := range j.Updates {
		names[i] = j.Namespace.Path(u.Name)
	}
	if len(names) == 0 {
		return nil, nil
	}
	have, err := r.git.RefMap(ctx, dir, names...)
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
	Repository EventRepository `json:"repository"`
	Ref        string          `json:"ref"`
	Before     core.ObjectID   `json:"before"`
	After      core.ObjectID   `json:"after"`
	CustomerID string          `json:"customer_id"`
	PushedAt   time.Time       `json:"pushed_at"`
}

// EventRepository names a repository in an event: id, and the public name as url.
type EventRepository struct {
	ID  string `json:"id"`
	URL string `json:"url"`
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
			Repository: EventRepository{ID: repo.ID, URL: repo.Name},
			Ref:        u.Name, Before: fill(u.Old, u.New), After: fill(u.New, u.Old),
			CustomerID: repo.Org, PushedAt: at.UTC(),
		})
		if err != nil {
			continue // strings and times always marshal
		}
		events = append(events, core.Event{
			ID: core.NewID("evt", at), RepoID: repo.ID, Org: repo.Org, Type: "push",
			JournalID: j.ID, Ref: u.Name, Payload: payload, CreatedAt: at,
		})
	}
	return events
}

// fill writes "absent" as zeros of the other id's length.
func fill(id, other core.ObjectID) core.ObjectID {
	if !id.IsZero() {
		return id
	}
	if len(other) > len(core.ZeroSHA1) {
		return core.ZeroSHA1 + core.ZeroSHA1[:len(other)-len(core.ZeroSHA1)]
	}
	return core.ZeroSHA1
}

// IsRefError returns the [*git.RefError] in err's chain, if there is one.
func IsRefError(err error) (*git.RefError, bool) {
	var re *git.RefError
	ok := errors.As(err, &re)
	return re, ok
}
