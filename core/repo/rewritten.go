package repo

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
)

// rewriteID returns the id of the rewrite that an update of a journal entry is.
// It follows from both, so that recovery after a crash finds the hidden ref and
// the row that were made before it, and makes neither twice. It is a ULID of
// the entry's time, with a hash in place of random bits.
func rewriteID(journalID, ref string) string {
	const digits = 10 // of a ULID's time
	begin := strings.TrimPrefix(journalID, "jrn_")
	sum := sha256.Sum256([]byte(journalID + "\x00" + ref))
	crockford := base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)
	return "rw_" + begin[:min(digits, len(begin))] + crockford.EncodeToString(sum[:10])
}

// rewritten returns the rewrites among the updates of a journal entry: forced
// moves and deletions of branches and tags that are looked after, and of other
// refs that an upstream owns or that its mirror has no more place for. What cannot
// be distinguished from a fast-forward is taken for forced: then nothing is lost.
func (r *Repos) rewritten(ctx context.Context, t *transaction, j core.JournalEntry) ([]core.Rewrite, error) {
	var old []core.RefUpdate
	for _, u := range j.Updates {
		if !t.First && !u.Old.IsZero() && lookedAfter(t.Repo, j.Namespace, u) {
			old = append(old, u)
		}
	}
	if len(old) == 0 {
		return nil, nil
	}
	rules, err := r.Rules(ctx, t.Repo)
	if err != nil || !rules.journals() {
		return nil, err
	}
	now := r.clock.Now()
	var found []core.Rewrite
	forced := r.forcedOf(ctx, t, old)
	for _, u := range old {
		action := rules.Action(u.Name)
		if action == "" || !u.IsDelete() && !forced(u) {
			continue
		}
		rw := core.Rewrite{
			ID: rewriteID(j.ID, u.Name), RepoID: t.Repo.ID, JournalID: j.ID, Ref: u.Name, Old: u.Old, New: u.New,
			Source: j.Source, Actor: j.Actor, State: core.RewriteFollowed, CreatedAt: now,
		}
		if action != core.RefFollow {
			again, err := r.forgotten(ctx, t.Repo.ID, u)
			if err != nil {
				return nil, err
			}
			if !again {
				retain(&rw, rules, now)
			}
		}
		found = append(found, rw)
	}
	return found, nil
}

// forgotten reports whether the update takes objects away that were forgotten on
// purpose: a ref had brought them back, and what keeps its old tip would keep them.
func (r *Repos) forgotten(ctx context.Context, id string, u core.RefUpdate) (bool, error) {
	if any, err := r.store.AnyForgotten(ctx, id); err != nil || !any {
		return false, err
	}
	c := git.Command{Name: "rev-list", Dir: r.Path(id), Flags: []string{"--objects", "--no-object-names"}, Args: []string{string(u.Old)}}
	if !u.IsDelete() {
		// What the new tip leads to is served in any case.
		c.Args = append(c.Args, "^"+string(u.New))
	}
	found, err := r.forgottenIn(ctx, id, c, true)
	if errors.Is(err, errWalk) {
		// Then what is there is kept, as ever; the ref must move in any case.
		r.log.Warn("cannot tell whether an old tip leads to what was forgotten; it is kept", "repo_id", id, "ref", u.Name, "error", err)
		return false, nil
	}
	return len(found) > 0, err
}

// lookedAfter reports whether an update may be a rewrite to be recorded. The refs
// of pull requests are not: their hosts rewrite them all the time.
func lookedAfter(repo core.Repository, ns core.Namespace, u core.RefUpdate) bool {
	return core.UpstreamOwned(ns, u.Name) || ns == core.Default && repo.Upstream != nil && !core.Reserved(u.Name)
}

func retain(rw *core.Rewrite, rules Rules, now time.Time) {
	rw.State, rw.ExpiresAt = core.RewriteRetained, now.Add(rules.Retention())
}

// forcedOf tells which of the updates are forced: what the caller knows, or what one
// walk finds for all. Where that fails each is checked alone, so that one bad object
// leaves one ref unknown.
func (r *Repos) forcedOf(ctx context.Context, t *transaction, updates []core.RefUpdate) func(core.RefUpdate) bool {
	known := t.Forced
	if known == nil && len(updates) >= many {
		var err error
		if known, err = r.Forced(ctx, t.Repo.ID, updates); err != nil {
			known = nil
		}
	}
	if known == nil {
		return func(u core.RefUpdate) bool { return r.forced(ctx, t, u) }
	}
	return func(u core.RefUpdate) bool { return known[u.Name] }
}

// forced is [Repos.Forced] of one update.
func (r *Repos) forced(ctx context.Context, t *transaction, u core.RefUpdate) bool {
	forced, err := r.Forced(ctx, t.Repo.ID, []core.RefUpdate{u})
	if err != nil {
		r.log.Warn("cannot tell whether a ref is rewritten; its old tip is kept", "repo_id", t.Repo.ID, "ref", u.Name, "error", err)
		return true
	}
	return forced[u.Name]
}

// settleKept makes the states of rewrites whose updates are in place already
// agree with what is on disk: the settings may have changed since.
func (r *Repos) settleKept(ctx context.Context, dir string, repo core.Repository, rewrites []core.Rewrite, pending []core.RefUpdate) error {
	todo := make(map[string]bool, len(pending))
	for _, u := range pending {
		todo[u.Name] = true
	}
	if len(rewrites) == 0 {
		return nil
	}
	names := make([]string, 0, len(rewrites))
	for _, rw := range rewrites {
		names = append(names, rw.KeptRef())
	}
	kept, err := r.git.RefsNamed(ctx, dir, names)
	if err != nil {
		return err
	}
	rules, err := r.Rules(ctx, repo)
	if err != nil {
		return err
	}
	for i := range rewrites {
		rw := &rewrites[i]
		if todo[rw.Ref] {
			continue
		}
		if kept[rw.KeptRef()] == rw.Old {
			retain(rw, rules, r.clock.Now())
		} else {
			rw.State, rw.ExpiresAt = core.RewriteFollowed, time.Time{}
		}
	}
	return nil
}

// rewriteBody is the body of ref.rewritten and ref.held events.
type rewriteBody struct {
	ID     string            `json:"id"`
	Ref    string            `json:"ref"`
	Old    core.ObjectID     `json:"old"`
	New    core.ObjectID     `json:"new"`
	Source core.Source       `json:"source"`
	State  core.RewriteState `json:"state"`
}

// RecordRewrite writes the row of a rewrite and the event that tells of it.
func RecordRewrite(ctx context.Context, q core.Queries, repo core.Repository, rw core.Rewrite) error {
	if err := q.AddRewrite(ctx, rw); err != nil {
		return err
	}
	typ := core.EventRefRewritten
	if rw.State == core.RewriteHeld || rw.State == core.RewriteFrozen {
		typ = core.EventRefHeld
	}
	e, err := core.RepositoryEvent(repo, typ, rewriteBody{
		ID: rw.ID, Ref: rw.Ref, Old: rw.Old.OrZeros(rw.New), New: rw.New.OrZeros(rw.Old), Source: rw.Source, State: rw.State,
	}, rw.CreatedAt)
	if err != nil {
		return err
	}
	e.Ref = rw.Ref // without journal id: that and the ref belong to the push event
	return q.AddEvents(ctx, []core.Event{e})
}

// recordRewrites is RecordRewrite for those that have no row yet, of which there
// are only after a crash.
func recordRewrites(ctx context.Context, q core.Queries, repo core.Repository, rewrites []core.Rewrite, again bool) error {
	for _, rw := range rewrites {
		if again {
			_, err := q.Rewrite(ctx, repo.ID, rw.ID)
			if err == nil {
				continue
			}
			if core.KindOf(err) != core.KindNotFound {
				return err
			}
		}
		if err := RecordRewrite(ctx, q, repo, rw); err != nil {
			return err
		}
	}
	return nil
}

// approveRecovered closes the questions that an interrupted approval had
// answered: only an approval moves a ref by a sync's journal entry to where an
// open question says that the upstream has it.
func approveRecovered(ctx context.Context, q core.Queries, j core.JournalEntry, now time.Time) error {
	if j.Source != core.SourceSync {
		return nil
	}
	open, err := q.HeldRewrites(ctx, j.RepoID)
	if err != nil {
		return err
	}
	for _, row := range open {
		for _, u := range j.Updates {
			if row.JournalID != "" || row.Ref != u.Name || row.Old != u.Old || row.New != u.New && !(row.New.IsZero() && u.IsDelete()) {
				continue
			}
			row.State, row.JournalID, row.DecidedAt, row.DecidedBy = core.RewriteApproved, j.ID, now, j.Actor
			if err := q.SaveRewrite(ctx, row); err != nil {
				return err
			}
			// What the approval would have done beside it: see what can come
			// in place of a deleted ref.
			if err := q.SetDigest(ctx, j.RepoID, ""); err != nil && core.KindOf(err) != core.KindNotFound {
				return err
			}
			break
		}
	}
	return nil
}

// recoverKeptTips writes the rows of those updates of an interrupted journal entry
// that left an old tip under its hidden ref, wherever the refs have gone since:
// that tip would be kept for ever, and nobody could find it.
func (r *Repos) recoverKeptTips(ctx context.Context, repo core.Repository, j core.JournalEntry) error {
	if j.Namespace != core.Default || len(j.Updates) == 0 {
		return nil
	}
	names := make([]string, len(j.Updates))
	for i, u := range j.Updates {
		names[i] = core.KeptPrefix + rewriteID(j.ID, u.Name)
	}
	kept, err := r.git.RefsNamed(ctx, r.Path(repo.ID), names)
	if err != nil || len(kept) == 0 {
		return err
	}
	rules, err := r.Rules(ctx, repo)
	if err != nil {
		return err
	}
	var found []core.Rewrite
	now := r.clock.Now()
	for i, u := range j.Updates {
		if kept[names[i]] != u.Old || u.Old.IsZero() {
			continue
		}
		rw := core.Rewrite{
			ID: rewriteID(j.ID, u.Name), RepoID: repo.ID, JournalID: j.ID, Ref: u.Name, Old: u.Old, New: u.New,
			Source: j.Source, Actor: j.Actor, CreatedAt: now,
		}
		retain(&rw, rules, now)
		found = append(found, rw)
	}
	return r.store.Tx(ctx, func(q core.Queries) error { return recordRewrites(ctx, q, repo, found, true) })
}

// DropKept removes the hidden refs that keep the old tips of rewrites, under the
// write lock. One that is not there any more is none to remove.
func (r *Repos) DropKept(ctx context.Context, id string, rewrites ...core.Rewrite) error {
	names := make([]string, len(rewrites))
	for i, rw := range rewrites {
		names[i] = rw.KeptRef()
	}
	unlock, err := r.locks.LockWrite(ctx, id)
	if err != nil {
		return fmt.Errorf("wait for the write lock: %w", err)
	}
	defer unlock()
	have, err := r.git.RefsNamed(ctx, r.Path(id), names)
	if err != nil {
		return err
	}
	var changes []git.RefChange
	for name, at := range have {
		changes = append(changes, git.RefChange{RefUpdate: core.RefUpdate{Name: name, Old: at}})
	}
	if err := r.point.Commit(ctx, Change{RepoID: id, Deletes: changes}); err != nil {
		return fmt.Errorf("remove the refs of old tips: %w", err)
	}
	return nil
}
