package mirror

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/discovery"
	"github.com/headwater-git/headwater/core/repo"
	"github.com/headwater-git/headwater/core/upstream"
)

// The mass-deletion brake: a plan that deletes more than half of more than
// this many refs waits for a second listing that agrees. Hosts do return empty
// listings during incidents.
const brakeRefs = 10

// brakePause is how long after the first listing the second one counts.
const brakePause = 30 * time.Second

// difference is what it takes to make the public refs equal to the tracking refs.
type difference struct {
	updates                   []core.RefUpdate
	held                      []heldRef // what policies keep from being made
	created, updated, deleted int       // of updates
	public                    int       // branches and tags there are now that the scope mirrors
	left                      []string  // refs left out because a session moves them
	outside                   int       // of deleted: refs that the scope does not mirror any more
	blocked                   int       // creations whose names conflict with refs that stay
}

// diff compares tracking refs with public refs, in the scope; with only, just
// that ref. What is not in the scope is not to be here.
func diff(sc scope, refs map[string]core.ObjectID, only string, skip func(name string) bool) difference {
	var d difference
	add := func(name string, before, after core.ObjectID) {
		switch {
		case skip(name):
			d.left = append(d.left, name)
			return
		case before.IsZero():
			d.created++
		case after.IsZero():
			d.deleted++
		default:
			d.updated++
		}
		d.updates = append(d.updates, core.RefUpdate{Name: name, Old: before, New: after})
	}
	for name, id := range refs {
		short, tracking := strings.CutPrefix(name, core.TrackingPrefix)
		if !tracking {
			mirrored := sc.mirrors(name)
			if mirrored && sc.rules.Owns(name) {
				d.public++
			}
			if _, ok := refs[core.TrackingRef(name)]; only != "" || ok && mirrored {
				continue
			}
			if !mirrored && !skip(name) {
				d.outside++
			}
			add(name, id, "")
			continue
		}
		public := "refs/" + short
		if only != "" && public != only || !sc.mirrors(public) {
			continue
		}
		if refs[public] != id {
			add(public, refs[public], id)
		}
	}
	slices.SortFunc(d.updates, byName)
	return d
}

func byName(a, b core.RefUpdate) int { return strings.Compare(a.Name, b.Name) }

func isPublic(name string) bool { return !strings.HasPrefix(name, core.TrackingPrefix) }

func isTag(name string) bool { return strings.HasPrefix(name, "refs/tags/") }

// planAttempts is how often a plan is made anew when a write session moved one
// of its refs between the look and the transaction.
const planAttempts = 5

// applyPlan makes the public refs equal to the tracking refs.
func (x *run) applyPlan(ctx context.Context, adv discovery.Advertisement, only string) error {
	for attempt := 1; ; attempt++ {
		err := x.applyOnce(ctx, adv, only)
		if re, ok := repo.IsRefError(err); !ok || re.Kind != git.RefStale || attempt == planAttempts || ctx.Err() != nil {
			return err
		}
	}
}

// applyOnce is one attempt of [run.applyPlan]: compare, let policies and the brake have
// their say, move the refs, and only then the tracking refs that the filter leaves out.
func (x *run) applyOnce(ctx context.Context, adv discovery.Advertisement, only string) error {
	refs := x.refs
	x.refs = nil // another attempt looks again
	if refs == nil {
		var err error
		if refs, err = x.known(ctx, x.RepoID); err != nil {
			return err
		}
	}
	head, keep := "", ""
	if only == "" {
		head, keep = heads(x.repo, x.scope, adv, refs)
	}
	d := diff(x.scope, refs, only, func(name string) bool { return name == keep || x.watch.Moved(name) })
	if keep != "" {
		d.left = slices.DeleteFunc(d.left, func(name string) bool { return name == keep })
	}
	forced := map[string]bool{}
	if !x.First {
		var err error
		if forced, err = x.repos.Forced(ctx, x.RepoID, d.updates); err != nil {
			return err
		}
	}
	d.applyPolicies(x.scope, forced)
	awaiting, err := x.holdLFS(ctx, &d)
	if err != nil {
		return err
	}
	d.dropConflictingCreates(keep)
	// What was fetched may be newer than what was listed.
	seen := fetched(x.scope, refs, adv.HeadTarget)
	if err := x.brakeDeletions(seen, d); err != nil {
		return err
	}
	asked, err := x.recordHeld(ctx, x.repo, only, d.held, d.follows)
	if err != nil {
		return err
	}
	complete := x.leave(d)
	x.count(d, forced)
	x.Outcome = outcomeSucceeded
	x.digest = ""
	// While refs await objects each look compares, see [Mirror.compare]: the listing is the
	// same when they have come.
	if only == "" && complete && !awaiting && (keep == "" || !x.scope.mirrors(keep)) {
		x.digest = x.scope.digest(seen)
	}
	if head != "" && !d.leaves(refs, head) {
		head, x.digest = "", "" // left to a session, or gone since the listing: next time
	}
	if len(d.updates) == 0 && head == "" && !x.First {
		if asked == 0 {
			x.Outcome = outcomeUnchanged
		}
	} else if err := x.apply(ctx, d.updates, forced, head); err != nil {
		return err
	}
	if only != "" {
		return nil
	}
	// Only now: until the public refs are gone, these tell what they were.
	if err := x.repos.MoveTracking(ctx, x.RepoID, x.scope.outside(refs), false); err != nil {
		return fmt.Errorf("drop tracking refs outside the filter: %w", err)
	}
	return nil
}

// leave notes which refs the run leaves to write sessions, and whether it is to look
// again for them. It reports whether it leaves none.
func (x *run) leave(d difference) (complete bool) {
	x.left = slices.Concat(d.left, x.inFlight)
	complete = len(x.left) == 0
	// Whoever settles an update asks for a sync at its end; until then another
	// look would find the same.
	x.left = slices.DeleteFunc(x.left, func(name string) bool { return x.repos.Unsettled(x.RepoID, name) })
	x.again = len(x.left) > 0 || x.missed
	return complete
}

// count gives the run the numbers of a difference, of whose updates some are forced.
func (x *run) count(d difference, forced map[string]bool) {
	x.RefsCreated, x.RefsUpdated, x.RefsDeleted = d.created, d.updated, d.deleted
	x.RefsHeld, x.RefsForced = len(d.held)+d.blocked, 0
	for _, u := range d.updates {
		if forced[u.Name] {
			x.RefsForced++
		}
	}
}

// fetched returns the tracking refs of the scope as the listing that would have
// led to them.
func fetched(sc scope, refs map[string]core.ObjectID, headTarget string) discovery.Advertisement {
	seen := discovery.Advertisement{HeadTarget: headTarget, Refs: make(map[string]core.ObjectID, len(refs)/2)}
	for name, id := range refs {
		short, tracking := strings.CutPrefix(name, core.TrackingPrefix)
		// A listing leaves out names that are not valid to us.
		if tracking && sc.mirrors("refs/"+short) && core.ValidateRefName("refs/"+short) == nil {
			seen.Refs["refs/"+short] = id
		}
	}
	return seen
}

// leaves reports whether the ref exists after the updates, of the refs before.
func (d difference) leaves(refs map[string]core.ObjectID, ref string) bool {
	for _, u := range d.updates {
		if u.Name == ref {
			return !u.IsDelete()
		}
	}
	_, ok := refs[ref]
	return ok
}

// apply carries the updates out as one transaction.
func (x *run) apply(ctx context.Context, updates []core.RefUpdate, forced map[string]bool, head string) error {
	in := repo.Intent{
		Repo: x.repo, Source: core.SourceSync, Actor: core.SystemSubject, Updates: updates, First: x.First, Forced: forced, Head: head,
	}
	if head != "" {
		in.RecordHead = func(ctx context.Context, q core.Queries) error {
			branch := strings.TrimPrefix(head, "refs/heads/")
			if err := q.SetDefaultBranch(ctx, x.RepoID, branch); err != nil {
				return err
			}
			e, err := headChanged(x.repo, branch, x.clock.Now())
			if err != nil {
				return err
			}
			x.headed = true
			return q.AddEvents(ctx, []core.Event{e})
		}
	}
	o, err := x.repos.Transact(ctx, in)
	if err == nil {
		err = o.Err
	}
	if err != nil {
		return fmt.Errorf("apply the upstream's refs: %w", err)
	}
	return nil
}

// brakeDeletions stops a plan that would delete most refs, until a second listing agrees.
func (x *run) brakeDeletions(adv discovery.Advertisement, d difference) error {
	lost := d.deleted - d.outside // what a filter leaves out was meant
	if d.public <= brakeRefs || lost*2 <= d.public {
		return nil
	}
	return x.holdBack(adv, lost, d.public)
}

// holdBack stops the run unless the same listing was held back long enough ago: an
// incident at the host answers alike for a while.
func (x *run) holdBack(adv discovery.Advertisement, deleted, public int) error {
	digest := adv.Digest()
	since := x.clock.Now()
	if first := x.taken.BrakeSince; x.taken.BrakeDigest == digest && !first.IsZero() {
		if since.Sub(first) >= brakePause {
			return nil // the second listing agrees
		}
		since = first
	}
	x.brake = heldListing{digest, since}
	return &upstream.ClassifiedError{Class: core.ClassDiverged, Text: fmt.Sprintf(
		"held back: of the %d branches and tags here the upstream lacks %d now; nothing is deleted before a listing at least %s later agrees", public, deleted, brakePause)}
}

// brakeEmpty is the brake for a listing without any ref, which must not even
// reach the tracking refs.
func (x *run) brakeEmpty(ctx context.Context, adv discovery.Advertisement) error {
	for name := range adv.Refs {
		if name != "HEAD" {
			return nil
		}
	}
	public, err := x.git.Refs(ctx, x.repos.Path(x.RepoID), "refs/heads/", "refs/tags/")
	if err != nil {
		return err
	}
	public = slices.DeleteFunc(public, func(r git.Ref) bool { return !x.scope.mirrors(r.Name) })
	if len(public) == 0 {
		return nil
	}
	return x.holdBack(adv, len(public), len(public))
}
