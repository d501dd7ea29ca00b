package commit

import (
	"context"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/limit"
)

// pin turns the guard of a write into the id that the ref must be at: "" is
// any, zeros mean that the ref must not exist. A caller gives it as an id in
// either case, the beginning of one that fits a single commit, or the name of
// another branch, which is looked up here and never again: the guard is what
// the caller saw when the write began. Errors: KindInvalid.
func (s *Service) pin(ctx context.Context, r core.Repository, ns core.Namespace, ref, guard string) (string, error) {
	if guard == "" {
		return "", nil
	}
	id := core.ObjectID(strings.ToLower(guard))
	if id.Valid() && len(id) == idDigits(r) {
		return string(id), nil
	}
	branch := "refs/heads/" + shortName(guard)
	if guard == "HEAD" {
		branch = "refs/heads/" + r.DefaultBranch
	}
	if branch == ref || guard == ref || "refs/"+guard == ref || "refs/notes/"+guard == ref {
		return "", core.Errorf(core.KindInvalid, "the expected id %q is the name of what is to be changed, which is always where it is; give the id that you saw there", guard)
	}
	neither := core.Errorf(core.KindInvalid, "the expected id %q is neither an object id nor the name of a branch", guard)
	if core.ValidateRefName(branch) != nil {
		return "", neither
	}
	if err := limit.Take(ctx, r.ID); err != nil {
		return "", err
	}
	names, short := []string{ns.Path(branch)}, core.MaybeObjectID(guard) && len(guard) < 64
	if short {
		// Only commits count: a blob whose id begins alike cannot be meant.
		names = append(names, string(id)+"^{commit}")
	}
	objects, err := s.objects.Info(ctx, s.repos.Path(r.ID), names...)
	switch {
	case err != nil:
		return "", err
	case objects[0].Found():
		return string(objects[0].ID), nil
	case !short || id.IsZero():
		return "", neither
	case objects[1].Ambiguous:
		return "", core.Errorf(core.KindInvalid, "the expected id %q fits several commits; write more of it", guard)
	case objects[1].Found():
		return string(objects[1].ID), nil
	}
	return string(id), nil // no commit has it, so no ref is there
}

// holds compares a ref with the guard. Errors: KindPrecondition.
func holds(guard, name string, tip core.ObjectID) error {
	want := core.ObjectID(guard)
	switch {
	case guard == "" || want == tip || want.IsZero() && tip.IsZero():
		return nil
	case tip.IsZero():
		return core.Errorf(core.KindPrecondition, "%s does not exist, but was expected to be at %s", name, guard)
	case want.IsZero():
		return core.Errorf(core.KindPrecondition, "%s exists already, at %s", name, tip)
	}
	return core.Errorf(core.KindPrecondition, "%s is at %s, not at the expected %s", name, tip, guard)
}

// stale turns a lost race into a failed guard if there was one.
func stale(err error, guard string) error {
	if core.KindOf(err) != core.KindStale || guard == "" {
		return err
	}
	return &core.Error{Kind: core.KindPrecondition, Message: core.MessageOf(err), Err: err}
}
