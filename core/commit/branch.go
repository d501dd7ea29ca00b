package commit

import (
	"context"
	"strings"

	"github.com/headwater-git/headwater/core"
)

// NewBranch is the wish for a branch.
type NewBranch struct {
	Caller
	Branch        string // short name
	Ephemeral     bool
	Base          string // any revision; "" is the default branch
	BaseEphemeral bool   // Base is a name of the ephemeral namespace
	Force         bool   // move a branch that exists
}

// CreateBranch makes a branch and returns its commit; created is false if it
// was there already, at the same commit. Promotion of an ephemeral branch is
// this with an ephemeral base. Errors: KindInvalid, KindNotFound for the base,
// KindConflict if the branch exists elsewhere and Force is not set, and those
// of [RefWriter].
func (s *Service) CreateBranch(ctx context.Context, b NewBranch) (id core.ObjectID, created bool, err error) {
	b.Branch = shortName(b.Branch)
	if err := checkBranch("target_branch", b.Branch); err != nil {
		return "", false, err
	}
	from, err := s.resolveWhole(ctx, b.Repo, namespace(b.BaseEphemeral), b.Base)
	if err != nil {
		return "", false, err
	}
	ns, ref := namespace(b.Ephemeral), "refs/heads/"+b.Branch
	ctx, unlock, err := s.turn(ctx, b.Caller, ns, ref)
	if err != nil {
		return "", false, err
	}
	defer unlock()
	for attempt := 1; ; attempt++ {
		tip, err := s.ref(ctx, b.Repo, ns, ref)
		switch {
		case err != nil:
			return "", false, err
		case tip == from.commit:
			// No ref changes, so nothing else would ask the policy.
			return tip, false, s.check(ctx, b.Caller, ns, core.RefUpdate{Name: ref, Old: tip, New: tip})
		case tip != "" && !b.Force:
			return "", false, core.Errorf(core.KindConflict, "branch %q exists already, at %s", b.Branch, tip)
		}
		err = s.move(ctx, b.Caller, ns, core.RefUpdate{Name: ref, Old: tip, New: from.commit})
		if err == nil {
			return from.commit, true, nil
		}
		if !again(err, b.Caller, ns, ref, "", attempt) {
			return "", false, err
		}
	}
}

// DeleteBranch deletes a branch. Errors: KindInvalid, KindNotFound,
// KindConflict for the default branch, and those of [RefWriter].
func (s *Service) DeleteBranch(ctx context.Context, c Caller, branch string, ephemeral bool) error {
	if err := checkBranch("target_branch", branch); err != nil {
		return err
	}
	ns := namespace(ephemeral)
	if ns == core.Default && branch == c.Repo.DefaultBranch {
		return core.Errorf(core.KindConflict, "branch %q is the default branch; choose another one first", branch)
	}
	return s.deleteRef(ctx, c, ns, "refs/heads/"+branch, "branch", branch)
}

// deleteRef deletes a ref wherever it is.
func (s *Service) deleteRef(ctx context.Context, c Caller, ns core.Namespace, ref, what, name string) error {
	ctx, unlock, err := s.turn(ctx, c, ns, ref)
	if err != nil {
		return err
	}
	defer unlock()
	for attempt := 1; ; attempt++ {
		id, err := s.ref(ctx, c.Repo, ns, ref)
		if err != nil {
			return err
		}
		if id == "" {
			return core.Errorf(core.KindNotFound, "%s %q does not exist", what, name)
		}
		err = s.move(ctx, c, ns, core.RefUpdate{Name: ref, Old: id})
		if err == nil || !again(err, c, ns, ref, "", attempt) {
			return err
		}
	}
}

// checkTag checks the short name of a tag. Errors: KindInvalid.
func checkTag(name string) error {
	switch {
	case name == "":
		return core.Errorf(core.KindInvalid, "name is required")
	case strings.HasPrefix(name, "refs/"):
		return core.Errorf(core.KindInvalid, "name the tag without refs/tags/")
	case name[0] == '-':
		return core.Errorf(core.KindInvalid, "a tag name must not start with '-'")
	}
	if err := core.ValidateRefName("refs/tags/" + name); err != nil {
		return core.Errorf(core.KindInvalid, "invalid tag name: %s", strings.TrimPrefix(core.MessageOf(err), "invalid ref name: "))
	}
	return nil
}

// CreateTag makes a lightweight tag of the commit that a revision names, and
// returns the commit. Errors: KindInvalid, KindNotFound for the revision,
// KindConflict if the tag exists, and those of [RefWriter].
func (s *Service) CreateTag(ctx context.Context, c Caller, name, revision string) (core.ObjectID, error) {
	if err := checkTag(name); err != nil {
		return "", err
	}
	if revision == "" {
		return "", core.Errorf(core.KindInvalid, "ref is required")
	}
	target, err := s.resolveWhole(ctx, c.Repo, core.Default, revision)
	if err != nil {
		return "", err
	}
	ref := "refs/tags/" + name
	exists := func() error {
		id, err := s.ref(ctx, c.Repo, core.Default, ref)
		if err == nil && id != "" {
			err = core.Errorf(core.KindConflict, "tag %q exists already", name)
		}
		return err
	}
	if err := exists(); err != nil {
		return "", err
	}
	err = s.move(ctx, c, core.Default, core.RefUpdate{Name: ref, New: target.commit})
	if core.KindOf(err) == core.KindStale {
		if there := exists(); there != nil {
			return "", there // made by another one a moment ago
		}
	}
	return target.commit, err
}

// DeleteTag deletes a tag. Errors: KindInvalid, KindNotFound, and those of
// [RefWriter].
func (s *Service) DeleteTag(ctx context.Context, c Caller, name string) error {
	if err := checkTag(name); err != nil {
		return err
	}
	return s.deleteRef(ctx, c, core.Default, "refs/tags/"+name, "tag", name)
}
