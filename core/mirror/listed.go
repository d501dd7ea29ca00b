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
func (s *Service) fetchListed(ctx context.Context, x *run, all []string) error {
	for attempt := 0; ; attempt++ {
		refs, err := s.known(ctx, x.RepoID)
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
		if err := s.dropGone(ctx, x, refs, x.listed); err != nil {
			return err
		}
		if len(moves) > maxListed {
			return s.fetchByName(ctx, x, all, moves)
		}
		err = s.fetchIDs(ctx, x, moves)
		switch {
		case err == nil:
			for _, m := range moves {
				refs[m.Name] = m.New
			}
			x.refs = refs
			return s.moveTracking(ctx, x, moves)
		case !git.Unavailable(err):
			return err
		case attempt == relists:
			return s.fetchByName(ctx, x, all, moves)
		}
		if err := s.relist(ctx, x, err); err != nil {
			return err
		}
		if err := s.brakeEmpty(ctx, x, x.listed); err != nil {
			return err
		}
	}
}

// fetchOne is fetchListed for one ref.
func (s *Service) fetchOne(ctx context.Context, x *run, name string) error {
	for attempt := 0; ; attempt++ {
		refs, err := s.git.RefsNamed(ctx, s.repos.Path(x.RepoID), []string{core.TrackingRef(name)})
		if err != nil {
			return err
		}
		moves := []git.RefChange{trackingMove(name, refs[core.TrackingRef(name)], x.listed.Refs[name])}
		err = s.fetchIDs(ctx, x, moves)
		switch {
		case err == nil:
			return s.moveTracking(ctx, x, moves)
		case !git.Unavailable(err):
			return err
		case attempt == relists:
			return s.fetchByName(ctx, x, []string{refspec(name)}, moves)
		}
		if err := s.relist(ctx, x, err); err != nil {
			return err
		}
		if _, ok := x.listed.Refs[name]; !ok {
			return &upstream.ClassifiedError{Class: core.ClassNotFound, Text: fmt.Sprintf("the upstream has no branch or tag %q", x.Ref), Final: true}
		}
	}
}

// relist lists the upstream once more, which has thrown away what was listed.
func (s *Service) relist(ctx context.Context, x *run, cause error) error {
	s.log.Debug("the upstream moved after it was listed; listing it again", "repo_id", x.RepoID, "error", cause)
	return s.listUpstream(ctx, x)
}

// fetchIDs brings the objects of the moves, by their ids.
func (s *Service) fetchIDs(ctx context.Context, x *run, moves []git.RefChange) error {
	if len(moves) == 0 {
		return nil
	}
	ids := make([]string, len(moves))
	for i, m := range moves {
		ids[i] = "+" + string(m.New) + ":" + m.Name // the source may be an id; see git-fetch(1)
	}
	return s.fetch(ctx, x, ids)
}

// fetchByName brings the objects of refspecs. git does not say in a form that every
// version has which ids it got, so what the listings before and after agree on is what
// it got; the rest, of refs that moved meanwhile, is left to the next run.
func (s *Service) fetchByName(ctx context.Context, x *run, specs []string, moves []git.RefChange) error {
	if err := s.fetch(ctx, x, specs); err != nil {
		return err
	}
	before := x.scope.digest(x.listed)
	l := s.listFor(ctx, x.repo, x.Ref)
	if l.err != nil {
		return fmt.Errorf("after the fetch: %w", l.err)
	}
	x.missed = before != l.scope.digest(l.adv)
	moves = slices.DeleteFunc(moves, func(m git.RefChange) bool { return l.adv.Refs[publicName(m.Name)] != m.New })
	return s.moveTracking(ctx, x, moves)
}

// moveTracking moves tracking refs to what was fetched. Of those that others have moved
// since they were read, the ones that write sessions have are left out: theirs are
// newer, and the run looks again.
func (s *Service) moveTracking(ctx context.Context, x *run, moves []git.RefChange) error {
	for attempt := 1; ; attempt++ {
		// A first mirror has no readers yet, and maybe very many refs.
		err := s.repos.MoveTracking(ctx, x.RepoID, moves, x.First)
		if re, ok := repo.IsRefError(err); !ok || re.Kind != git.RefStale || attempt == planAttempts {
			return err
		}
		x.refs = nil // look before the plan
		now, err := s.git.RefMap(ctx, s.repos.Path(x.RepoID), core.TrackingPrefix)
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
func (s *Service) dropGone(ctx context.Context, x *run, have map[string]core.ObjectID, adv discovery.Advertisement) error {
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
	if err := s.repos.MoveTracking(ctx, x.RepoID, gone, false); err != nil {
		return fmt.Errorf("drop tracking refs: %w", err)
	}
	return nil
}
