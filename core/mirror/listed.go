package mirror

import (
	"context"
	"fmt"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/discovery"
)

// maxListed is how many refs one fetch asks for by id. Where more differ, the
// time goes elsewhere.
const maxListed = 1000

// fetchListed makes the tracking refs what was listed. It asks for the listed
// ids: git then wants no listing of its own (protocol v2), which saves a round
// trip, and gets what was listed and nothing newer. What is here already is not
// asked for at all. All names everything, for where ids do not do.
func (s *Service) fetchListed(ctx context.Context, x *run, adv discovery.Advertisement, all []string) error {
	refs, err := s.known(ctx, x.RepoID)
	if err != nil {
		return err
	}
	x.inFlight = nil
	var ids []string
	for name, id := range adv.Refs {
		switch {
		case name == "HEAD", refs[core.TrackingRef(name)] == id:
		case x.watch.Moved(name):
			x.inFlight = append(x.inFlight, name) // brought by the session that has it
		default:
			ids = append(ids, idspec(name, id))
			refs[core.TrackingRef(name)] = id
		}
	}
	byName := func() error { return s.fetch(ctx, x, all, "--prune") }
	if len(ids) > maxListed {
		return byName()
	}
	if err := s.dropGone(ctx, x, refs, adv); err != nil {
		return err
	}
	listed, err := s.fetchIDs(ctx, x, ids, byName)
	if listed {
		x.refs = refs
	}
	return err
}

// fetchOne is fetchListed for one ref.
func (s *Service) fetchOne(ctx context.Context, x *run, adv discovery.Advertisement, name string) error {
	byName := func() error { return s.fetch(ctx, x, []string{refspec(name)}) }
	_, err := s.fetchIDs(ctx, x, []string{idspec(name, adv.Refs[name])}, byName)
	return err
}

// fetchIDs fetches by ids, or by name if the host does not give them any more:
// the upstream has moved since the listing. It reports whether the ids did.
func (s *Service) fetchIDs(ctx context.Context, x *run, ids []string, byName func() error) (bool, error) {
	if len(ids) == 0 {
		return true, nil
	}
	err := s.fetch(ctx, x, ids)
	if git.Unavailable(err) {
		s.log.Debug("the upstream moved after it was listed; fetching its refs by name", "repo_id", x.RepoID, "error", err)
		return false, byName()
	}
	return err == nil, err
}

// idspec is refspec for the object that was listed.
func idspec(name string, id core.ObjectID) string {
	return "+" + string(id) + ":" + core.TrackingRef(name)
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
