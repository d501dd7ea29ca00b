package mirrorset

import (
	"context"
	"slices"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/glob"
	"github.com/headwater-git/headwater/core/upstream"
	"github.com/headwater-git/headwater/providers"
)

// maxListed bounds how many repositories of an owner are looked at.
const maxListed = 20000

// Item is one repository of a plan.
type Item struct {
	core.MirrorEntry
	Remote providers.Remote
	Fork   bool
	repo   core.Repository // that is here already
}

// rules are the patterns of a set, read.
type rules struct{ include, exclude glob.List }

func rulesOf(s core.MirrorSet) (rules, error) {
	include, err := glob.Parse(s.Include)
	if err != nil {
		return rules{}, core.Errorf(core.KindInvalid, "include: %v", err)
	}
	exclude, err := glob.Parse(s.Exclude)
	if err != nil {
		return rules{}, core.Errorf(core.KindInvalid, "exclude: %v", err)
	}
	return rules{include, exclude}, nil
}

// below returns the path of a repository below the owner of a set.
func below(s core.MirrorSet, path string) string {
	if len(path) > len(s.Owner) && strings.EqualFold(path[:len(s.Owner)], s.Owner) && path[len(s.Owner)] == '/' {
		return path[len(s.Owner)+1:]
	}
	return path
}

// leftOut returns why a repository is not mirrored, "" if it is.
func (r rules) leftOut(s core.MirrorSet, one providers.ListedRepository) string {
	reason := r.unmatched(s, one)
	switch {
	case reason != "":
		return reason
	case one.Remote.Archived && !s.Archived:
		return "it is archived"
	case one.Fork && !s.Forks:
		return "it is a fork"
	}
	return ""
}

// unmatched returns why the patterns leave a repository out, "" if they do not.
func (r rules) unmatched(s core.MirrorSet, one providers.ListedRepository) string {
	path := below(s, one.Remote.Path)
	switch {
	case len(s.Include) > 0 && !r.include.Match(path):
		return "it is not included"
	case r.exclude.Match(path):
		return "it is excluded"
	}
	return ""
}

// list reads all pages of the owner's list, and when the credential expires.
func (s *Service) list(ctx context.Context, o upstream.Owner, c *providers.StoredCredential, found func(providers.RepositoryPage)) ([]providers.ListedRepository, error) {
	var all []providers.ListedRepository
	seen := map[string]bool{}
	for cursor := ""; ; {
		page, err := s.upstreams.ListPage(ctx, o, c, cursor)
		if err != nil {
			return nil, err
		}
		found(page)
		for _, one := range page.Repositories {
			// A list can change between two pages, and repeat one.
			if id := one.Remote.UpstreamID; id != "" && !seen[id] {
				seen[id] = true
				all = append(all, one)
			}
		}
		if page.Next == "" {
			break
		}
		if page.Next == cursor || len(all) > maxListed {
			return nil, core.Errorf(core.KindTooLarge, "the list of %s does not end, or has more than %d repositories: mirror groups of it one by one", o.Owner, maxListed)
		}
		cursor = page.Next
	}
	slices.SortFunc(all, func(a, b providers.ListedRepository) int { return strings.Compare(a.Remote.Path, b.Remote.Path) })
	return all, nil
}

// plan says what a list means here. Nothing is written.
func (s *Service) plan(ctx context.Context, set core.MirrorSet, o upstream.Owner, listed []providers.ListedRepository) ([]Item, error) {
	r, err := rulesOf(set)
	if err != nil {
		return nil, err
	}
	known := map[string]core.MirrorEntry{}
	if set.ID != "" {
		entries, err := s.store.MirrorEntries(ctx, set.ID)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			known[e.UpstreamID] = e
		}
	}
	taken := map[string]bool{} // names that this plan gives
	items := make([]Item, 0, len(listed))
	for _, one := range listed {
		i := Item{Remote: one.Remote, Fork: one.Fork, MirrorEntry: core.MirrorEntry{
			SetID: set.ID, UpstreamID: one.Remote.UpstreamID, Path: one.Remote.Path, Name: set.Prefix + below(set, one.Remote.Path),
		}}
		if err := s.decide(ctx, set, o, r, one, known[i.UpstreamID], taken, &i); err != nil {
			return nil, err
		}
		items = append(items, i)
	}
	return items, nil
}

// decide decides about one repository.
func (s *Service) decide(
	ctx context.Context, set core.MirrorSet, o upstream.Owner, r rules, one providers.ListedRepository, known core.MirrorEntry,
	taken map[string]bool, i *Item,
) error {
	repo, err := s.here(ctx, set.Org, o, one.Remote)
	switch {
	case err == nil:
		i.repo, i.RepoID, i.Name, i.Action = repo, repo.ID, repo.Name, core.MirrorKeep
		// What the patterns leave out is none of the set's business, and gets nothing
		// of it. One that became archived, or a fork that was mirrored, is followed on.
		if reason := r.unmatched(set, one); reason != "" {
			i.Action, i.Reason = core.MirrorSkip, reason
			return nil
		}
		if !strings.EqualFold(repo.Upstream.Owner+"/"+repo.Upstream.Name, one.Remote.Path) {
			i.Action, i.Reason = core.MirrorMove, "it was at "+repo.Upstream.Owner+"/"+repo.Upstream.Name
		}
		return nil
	case core.KindOf(err) != core.KindNotFound:
		return err
	}
	if reason := r.leftOut(set, one); reason != "" {
		i.Action, i.Reason = core.MirrorSkip, reason
		return nil
	}
	if known.RepoID != "" && !known.Exists {
		i.Action, i.Reason, i.RepoID = core.MirrorSkip, "its mirror was deleted here", known.RepoID
		return nil
	}
	if known.RepoID != "" {
		i.Action, i.Reason, i.Name = core.MirrorSkip, "its mirror, "+known.Name+", follows something else here", known.Name
		i.RepoID = known.RepoID
		return nil
	}
	if err := core.ValidateRepositoryName(i.Name); err != nil {
		i.Action, i.Reason = core.MirrorConflict, "it cannot be named "+i.Name+" here: "+core.PublicMessage(err)
		return nil
	}
	_, err = s.store.Repository(ctx, set.Org, i.Name)
	switch {
	case err == nil || taken[strings.ToLower(i.Name)]:
		i.Action, i.Reason = core.MirrorConflict, "the name "+i.Name+" is taken here by another repository: give a prefix"
		return nil
	case core.KindOf(err) != core.KindNotFound:
		return err
	}
	taken[strings.ToLower(i.Name)] = true
	i.Action = core.MirrorCreate
	return nil
}

// here returns the organisation's repository that follows a remote, found by its
// stable id or, if it has none yet, by its path. KindNotFound: there is none.
func (s *Service) here(ctx context.Context, org string, o upstream.Owner, remote providers.Remote) (core.Repository, error) {
	byID, err := s.store.RepositoriesOf(ctx, o.Instance, o.Host, remote.UpstreamID, "")
	if err != nil {
		return core.Repository{}, err
	}
	byPath, err := s.store.RepositoriesOf(ctx, o.Instance, o.Host, "", remote.Path)
	if err != nil {
		return core.Repository{}, err
	}
	for _, r := range append(byID, byPath...) {
		if r.Org == org && r.Upstream != nil && (r.Upstream.ID == remote.UpstreamID || r.Upstream.ID == "") {
			return r, nil
		}
	}
	return core.Repository{}, core.Errorf(core.KindNotFound, "no repository follows %s", remote.Path)
}
