package engine

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/loop"
	"github.com/headwater-git/headwater/core/mirror"
	"github.com/headwater-git/headwater/core/upstream"
)

// maxEnsured bounds the refs and ids of one call.
const maxEnsured = 100

// ensurePause is how long to wait between looks, doubling up to the second one.
const (
	ensurePause    = 250 * time.Millisecond
	ensurePauseMax = 5 * time.Second
)

// RefWant is a ref that shall be here.
type RefWant struct {
	Name string        // full name, or a branch, or a tag
	ID   core.ObjectID // the ref shall have it, or it in its history; "": the ref shall be as the upstream has it now
}

// EnsureRequest says what shall be here.
type EnsureRequest struct {
	Refs []RefWant
	IDs  []core.ObjectID // objects, on a ref or not
}

// EnsuredRef is what became of a ref.
type EnsuredRef struct {
	Name string        // full name
	ID   core.ObjectID // where it is; zero: nowhere
	Here bool          // as it was wanted
	// Reason is what keeps the ref out for good, if something does: a policy
	// holds it, or its name cannot be here.
	Reason string
}

// notServed is the reason for an id that is not served, whether it is here or not.
const notServed = "no ref leads to it, and it was forgotten here or the repository serves nothing else (strict_wants)"

// EnsuredID is what became of an id.
type EnsuredID struct {
	ID     core.ObjectID
	Here   bool
	Reason string // why it is not, in the host's words
}

// Ensured is the answer to an [EnsureRequest].
type Ensured struct {
	Refs      []EnsuredRef
	IDs       []EnsuredID
	Freshness core.Freshness
	All       bool // everything is here
	Forgotten bool // what is not here was forgotten here on purpose, and was not waited for
}

// Ensure waits until everything that is wanted is here, or ctx ends; then it
// returns what is, without an error. Objects and refs that are here already are
// not asked about. All else is looked up at the upstream, by looks that begin
// after the call, again and again: hosts announce refs before they serve them. Only
// ids that were forgotten here on purpose are not waited for: one look says whether a
// ref leads to them again.
// An id that no ref leads to is fetched by itself, if the host serves that.
// Errors: KindInvalid (no upstream, too much or nothing wanted, bad names).
func (e *Engine) Ensure(ctx context.Context, r core.Repository, q EnsureRequest) (Ensured, error) {
	if err := q.check(r); err != nil {
		return Ensured{}, err
	}
	pause := ensurePause
	looked := false
	reasons := map[core.ObjectID]string{}
	var forgotten []core.ObjectID
	for {
		found, err := e.ensured(context.WithoutCancel(ctx), r, q, looked, reasons)
		found.Forgotten = err == nil && !found.All && looked && found.missesOnly(forgotten)
		if err != nil || found.All || found.Forgotten || ctx.Err() != nil {
			return found, err
		}
		if r.Paused() {
			return Ensured{}, core.Errorf(core.KindConflict, core.PausedSentence)
		}
		if looked {
			if !loop.Sleep(ctx, e.clock, pause, nil) {
				continue // once more, for the answer
			}
			pause = min(pause*2, ensurePauseMax)
		}
		if err := e.looker.Look(ctx, r); err == nil {
			looked = true
		} else if !looked {
			// Not a word from the upstream yet: the same pause before the next try.
			e.log.Debug("a look at the upstream failed", "repo_id", r.ID, "error", err)
			loop.Sleep(ctx, e.clock, pause, nil)
			pause = min(pause*2, ensurePauseMax)
			continue
		}
		forgotten = e.fetchMissing(ctx, r, q.IDs, reasons)
	}
}

// missesOnly reports whether nothing is waited for but some of the ids.
func (f Ensured) missesOnly(ids []core.ObjectID) bool {
	return !slices.ContainsFunc(f.Refs, func(r EnsuredRef) bool { return !r.Here }) &&
		!slices.ContainsFunc(f.IDs, func(i EnsuredID) bool { return !i.Here && !slices.Contains(ids, i.ID) })
}

func (q EnsureRequest) check(r core.Repository) error {
	switch n := len(q.Refs) + len(q.IDs); {
	case r.Upstream == nil:
		return core.Errorf(core.KindInvalid, "no upstream configured for this repository")
	case n == 0:
		return core.Errorf(core.KindInvalid, "name refs or ids that shall be here")
	case n > maxEnsured:
		return core.Errorf(core.KindInvalid, "at most %d refs and ids can be waited for at once", maxEnsured)
	}
	for _, w := range q.Refs {
		if err := core.ValidateUpstreamRef(w.Name); err != nil {
			return err
		}
		if w.ID != "" && !w.ID.Valid() {
			return core.Errorf(core.KindInvalid, "ref %q: %q is not an object id in full length", w.Name, w.ID)
		}
	}
	for _, id := range q.IDs {
		if !id.Valid() {
			return core.Errorf(core.KindInvalid, "%q is not an object id in full length", id)
		}
	}
	return nil
}

// ensured compares what is here with what is wanted.
func (e *Engine) ensured(ctx context.Context, r core.Repository, q EnsureRequest, looked bool, reasons map[core.ObjectID]string) (Ensured, error) {
	dir := e.repos.Path(r.ID)
	refs, err := e.git.RefMap(ctx, dir, "refs/heads/", "refs/tags/")
	if err != nil {
		return Ensured{}, err
	}
	kept, err := e.keptOut(ctx, r)
	if err != nil {
		return Ensured{}, err
	}
	out := Ensured{All: true}
	for _, w := range q.Refs {
		name, id := resolve(refs, w.Name)
		reason := kept[name]
		if tag := "refs/tags/" + w.Name; id.IsZero() && reason == "" && kept[tag] != "" {
			name, reason = tag, kept[tag]
		}
		found := EnsuredRef{Name: name, ID: id, Here: looked && !id.IsZero() && reason == ""}
		if w.ID != "" {
			if found.Here, err = e.leadsTo(ctx, r, id, w.ID); err != nil {
				return Ensured{}, err
			}
		}
		if !found.Here {
			found.Reason = reason
		}
		out.Refs = append(out.Refs, found)
		out.All = out.All && found.Here
	}
	for _, id := range q.IDs {
		here, err := e.hasWhole(ctx, dir, id)
		if err != nil {
			return Ensured{}, err
		}
		found := EnsuredID{ID: id, Here: here}
		if !here {
			found.Reason = reasons[id]
		}
		if here {
			refused, err := e.reach.Refused(ctx, r, []core.ObjectID{id})
			if err != nil {
				return Ensured{}, err
			}
			if len(refused) > 0 {
				found.Here, found.Reason = false, notServed
			}
		}
		out.IDs = append(out.IDs, found)
		out.All = out.All && found.Here
	}
	out.Freshness, err = e.Freshness(ctx, r, core.Demand{})
	return out, err
}

// keptOut returns why refs of the upstream are not here as it has them, by name.
func (e *Engine) keptOut(ctx context.Context, r core.Repository) (map[string]string, error) {
	reasons := map[string]string{}
	held, err := e.held(ctx, r)
	if err != nil {
		return nil, err
	}
	for _, row := range held {
		reasons[row.Ref] = row.HoldReason()
	}
	state, err := e.store.SyncState(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	for _, skipped := range state.Skipped {
		reasons[skipped.Ref] = skipped.Reason()
	}
	return reasons, nil
}

// resolve finds a ref by its full or short name; a branch goes before a tag.
func resolve(refs map[string]core.ObjectID, name string) (string, core.ObjectID) {
	if strings.HasPrefix(name, "refs/") {
		return name, refs[name]
	}
	if id, ok := refs["refs/heads/"+name]; ok {
		return "refs/heads/" + name, id
	}
	if id, ok := refs["refs/tags/"+name]; ok {
		return "refs/tags/" + name, id
	}
	return "refs/heads/" + name, ""
}

// leadsTo reports whether the tip is the id, or has it in its history.
func (e *Engine) leadsTo(ctx context.Context, r core.Repository, tip, id core.ObjectID) (bool, error) {
	if tip == id || tip.IsZero() {
		return tip == id, nil
	}
	dir := e.repos.Path(r.ID)
	if here, err := e.git.HasObject(ctx, dir, id); err != nil || !here {
		return false, err
	}
	ok, err := e.git.IsAncestor(ctx, dir, id, tip)
	var exit *git.ExitError
	if errors.As(err, &exit) {
		return false, nil // one of them is no commit
	}
	return ok, err
}

// hasWhole is [git.Git.HasObject] for an object that no ref need lead to: a fetch may have
// left it behind for want of its history.
func (e *Engine) hasWhole(ctx context.Context, dir string, id core.ObjectID) (bool, error) {
	if here, err := e.git.HasObject(ctx, dir, id); err != nil || !here {
		return false, err
	}
	return e.git.Complete(ctx, dir, id)
}

// fetchMissing fetches the ids that are not here, each by itself: one that the
// host does not serve must not keep the others away. It notes why some are not; a
// fetch that the end of ctx cut short says nothing new of that. It returns which of
// them are forgotten, or lead to what is.
func (e *Engine) fetchMissing(ctx context.Context, r core.Repository, ids []core.ObjectID, reasons map[core.ObjectID]string) []core.ObjectID {
	strict, err := e.reach.Strict(ctx, r)
	if err != nil {
		return nil
	}
	forgotten, err := e.store.Forgotten(ctx, r.ID, ids)
	for _, id := range ids {
		if strict || err != nil || slices.Contains(forgotten, id) {
			// It would not be served either. The look has brought what refs lead to.
			reasons[id] = notServed
			continue
		}
		if here, err := e.hasWhole(ctx, e.repos.Path(r.ID), id); err != nil || here || ctx.Err() != nil {
			continue
		}
		err := e.sync.FetchObject(ctx, r, id)
		if errors.Is(err, mirror.ErrForgotten) {
			forgotten = append(forgotten, id)
		}
		if err != nil && (ctx.Err() == nil || reasons[id] == "") {
			_, reasons[id] = upstream.Classify(err)
		}
	}
	return forgotten
}
