package mirror

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/discovery"
	"github.com/headwater-git/headwater/core/repo"
	"github.com/headwater-git/headwater/core/upstream"
)

// maxListed is how many refs one fetch asks for by id. Where more differ, the
// time goes elsewhere.
const maxListed = 1000

// relists is how often a run lists the upstream once more because it moved after it
// was listed, before it asks by name.
const relists = 2

// fetchListed makes the tracking refs what was listed. It asks for the listed
// ids: git then wants no listing of its own (protocol v2), which saves a round
// trip, and gets what was listed and nothing newer. What is here already is not
// asked for at all. all names everything, for where ids do not do.
func (x *run) fetchListed(ctx context.Context, all []string) error {
	for attempt := 0; ; attempt++ {
		refs, err := x.known(ctx, x.RepoID)
		if err != nil {
			return err
		}
		x.inFlight = nil
		var moves []git.RefChange
		for name, id := range x.listed.Refs {
			switch {
			case name == "HEAD", refs[core.TrackingRef(name)] == id:
			case x.watch.Moved(name):
				x.inFlight = append(x.inFlight, name) // brought by the session that has it
			default:
				moves = append(moves, trackingMove(name, refs[core.TrackingRef(name)], id))
			}
		}
		if err := x.dropGone(ctx, refs, x.listed); err != nil {
			return err
		}
		if len(moves) > maxListed {
			return x.fetchByName(ctx, all, moves)
		}
		err = x.fetchIDs(ctx, moves)
		switch {
		case err == nil:
			for _, m := range moves {
				refs[m.Name] = m.New
			}
			x.refs = refs
			return x.moveTracking(ctx, moves)
		case !git.Unavailable(err):
			return err
		case attempt == relists:
			return x.fetchByName(ctx, all, moves)
		}
		if err := x.listAgain(ctx, err); err != nil {
			return err
		}
		if err := x.brakeEmpty(ctx, x.listed); err != nil {
			return err
		}
	}
}

// fetchOne is fetchListed for one ref.
func (x *run) fetchOne(ctx context.Context, name string) error {
	for attempt := 0; ; attempt++ {
		refs, err := x.git.RefsNamed(ctx, x.repos.Path(x.RepoID), []string{core.TrackingRef(name)})
		if err != nil {
			return err
		}
		moves := []git.RefChange{trackingMove(name, refs[core.TrackingRef(name)], x.listed.Refs[name])}
		err = x.fetchIDs(ctx, moves)
		switch {
		case err == nil:
			return x.moveTracking(ctx, moves)
		case !git.Unavailable(err):
			return err
		case attempt == relists:
			return x.fetchByName(ctx, []string{refspec(name)}, moves)
		}
		if err := x.listAgain(ctx, err); err != nil {
			return err
		}
		if _, ok := x.listed.Refs[name]; !ok {
			return &upstream.ClassifiedError{Class: core.ClassNotFound, Text: fmt.Sprintf("the upstream has no branch or tag %q", x.Ref), Final: true}
		}
	}
}

// listAgain lists the upstream once more, which has thrown away what was listed.
func (x *run) listAgain(ctx context.Context, cause error) error {
	x.log.Debug("the upstream moved after it was listed; listing it again", "repo_id", x.RepoID, "error", cause)
	return x.listUpstream(ctx)
}

// fetchIDs brings the objects of the moves, by their ids.
func (x *run) fetchIDs(ctx context.Context, moves []git.RefChange) error {
	if len(moves) == 0 {
		return nil
	}
	ids := make([]string, len(moves))
	for i, m := range moves {
		ids[i] = "+" + string(m.New) + ":" + m.Name // the source may be an id; see git-fetch(1)
	}
	return x.fetch(ctx, ids)
}

// fetchByName brings the objects of refspecs. git does not say in a form that every
// version has which ids it got, so what the listings before and after agree on is what
// it got; the rest, of refs that moved meanwhile, is left to the next run.
func (x *run) fetchByName(ctx context.Context, specs []string, moves []git.RefChange) error {
	if err := x.fetch(ctx, specs); err != nil {
		return err
	}
	before := x.scope.digest(x.listed)
	l := x.listFor(ctx, x.repo, x.Ref)
	if l.err != nil {
		return fmt.Errorf("after the fetch: %w", l.err)
	}
	x.missed = before != l.scope.digest(l.adv)
	moves = slices.DeleteFunc(moves, func(m git.RefChange) bool { return l.adv.Refs[publicName(m.Name)] != m.New })
	return x.moveTracking(ctx, moves)
}

// moveTracking moves tracking refs to what was fetched. Of those that others have moved
// since they were read, the ones that write sessions have are left out: theirs are
// newer, and the run looks again.
func (x *run) moveTracking(ctx context.Context, moves []git.RefChange) error {
	for attempt := 1; ; attempt++ {
		// A first mirror has no readers yet, and maybe very many refs.
		err := x.repos.MoveTracking(ctx, x.RepoID, moves, x.First)
		if re, ok := repo.IsRefError(err); !ok || re.Kind != git.RefStale || attempt == planAttempts {
			return err
		}
		x.refs = nil // look before the plan
		now, err := x.git.RefMap(ctx, x.repos.Path(x.RepoID), core.TrackingPrefix)
		if err != nil {
			return err
		}
		moves = slices.DeleteFunc(moves, func(m git.RefChange) bool {
			moved := now[m.Name] != m.Old && x.watch.Moved(publicName(m.Name))
			if moved {
				x.inFlight = append(x.inFlight, publicName(m.Name))
			}
			return moved
		})
		for i, m := range moves {
			moves[i].Old = now[m.Name]
		}
	}
}

// trackingMove moves the tracking ref of a ref of the upstream.
func trackingMove(name string, from, to core.ObjectID) git.RefChange {
	return git.RefChange{RefUpdate: core.RefUpdate{Name: core.TrackingRef(name), Old: from, New: to}}
}

// publicName returns the ref of the upstream that a tracking ref is of.
func publicName(tracking string) string {
	return "refs/" + strings.TrimPrefix(tracking, core.TrackingPrefix)
}

// dropGone removes tracking refs that the upstream has no more, here and in
// have, before others come: a branch that was renamed from "a" to "a/b" could
// not be fetched otherwise. Those that the scope leaves out stay until their
// public refs are gone, unless there are none yet.
func (x *run) dropGone(ctx context.Context, have map[string]core.ObjectID, adv discovery.Advertisement) error {
	var gone []git.RefChange
	for name, id := range have {
		short, tracking := strings.CutPrefix(name, core.TrackingPrefix)
		short = "refs/" + short
		if !tracking || core.ValidateRefName(short) != nil || !x.First && !x.scope.mirrors(short) {
			continue // not what a listing could tell
		}
		if _, ok := adv.Refs[short]; !ok {
			delete(have, name)
			gone = append(gone, git.RefChange{RefUpdate: core.RefUpdate{Name: name, Old: id}})
		}
	}
	if err := x.repos.MoveTracking(ctx, x.RepoID, gone, false); err != nil {
		return fmt.Errorf("drop tracking refs: %w", err)
	}
	return nil
}
