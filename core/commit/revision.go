package commit

import (
	"context"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/limit"
)

// head is a commit and its tree.
type head struct{ commit, tree core.ObjectID }

// refs returns what refs hold, by their names in the namespace.
func (s *Service) refs(ctx context.Context, r core.Repository, ns core.Namespace, names ...string) ([]core.ObjectID, error) {
	if err := limit.Take(ctx, r.ID); err != nil {
		return nil, err
	}
	paths := make([]string, len(names))
	for i, name := range names {
		paths[i] = ns.Path(name)
	}
	objects, err := s.objects.Info(ctx, s.repos.Path(r.ID), paths...)
	if err != nil {
		return nil, err
	}
	ids := make([]core.ObjectID, len(objects))
	for i, o := range objects {
		ids[i] = o.ID
	}
	return ids, nil
}

// ref is refs for one.
func (s *Service) ref(ctx context.Context, r core.Repository, ns core.Namespace, name string) (core.ObjectID, error) {
	ids, err := s.refs(ctx, r, ns, name)
	if err != nil {
		return "", err
	}
	return ids[0], nil
}

// resolve returns the commit that a caller's revision names, "" the default
// branch. Errors: KindInvalid for a malformed or ambiguous one, KindNotFound.
func (s *Service) resolve(ctx context.Context, r core.Repository, ns core.Namespace, revision string) (head, error) {
	id, err := s.revisions.Resolve(ctx, r, ns, revision)
	if err != nil {
		return head{}, err
	}
	return s.head(ctx, r, id)
}

// resolveWhole is resolve for what a ref will lead to. A commit that is named by
// its id may be one that a fetch left behind for want of its history; a ref at it
// would break every clone. Errors: KindConflict, beside those of resolve.
func (s *Service) resolveWhole(ctx context.Context, r core.Repository, ns core.Namespace, revision string) (head, error) {
	found, err := s.resolve(ctx, r, ns, revision)
	name, _, _ := strings.Cut(revision, "~")
	name, _, _ = strings.Cut(name, "^")
	// Only what comes from an upstream can lack something, and no ref leads to it.
	if err != nil || r.Upstream == nil || !core.MaybeObjectID(name) {
		return found, err
	}
	whole, err := s.git.Complete(ctx, s.repos.Path(r.ID), found.commit)
	if err == nil && !whole {
		err = core.Errorf(core.KindConflict, "a part of the history of %s is missing here, since the upstream did not have it; sync the repository and try again", found.commit)
	}
	return found, err
}

// head reads the tree of a commit.
func (s *Service) head(ctx context.Context, r core.Repository, commit core.ObjectID) (head, error) {
	objects, err := s.objects.Info(ctx, s.repos.Path(r.ID), string(commit)+"^{tree}")
	if err != nil {
		return head{}, err
	}
	if !objects[0].Found() {
		return head{}, core.Errorf(core.KindNotFound, "commit %q does not exist in this repository", commit)
	}
	return head{commit, objects[0].ID}, nil
}

// empty reports whether the repository has no branches and tags at all.
func (s *Service) empty(ctx context.Context, r core.Repository) (bool, error) {
	some, err := s.git.HasRefs(ctx, s.repos.Path(r.ID), "refs/heads/", "refs/tags/")
	return !some, err
}
