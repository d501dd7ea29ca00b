package commit

import (
	"context"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/limit"
)

// Commit is the wish for a new commit on a branch, without its tree.
type Commit struct {
	Caller
	Signed
	Branch    string // short name
	Ephemeral bool   // the branch is an ephemeral one
	// Base is the branch that Branch begins at if it does not exist yet.
	Base          string
	BaseEphemeral bool
	// Expected is where Branch must be, or Base if Branch begins there; see pin.
	Expected string
	// LFS has the files of [Service.CommitFiles] that .gitattributes gives to Git LFS stored
	// as its objects, and committed as pointers.
	LFS bool
}

// Result is a commit that was made.
type Result struct {
	Commit    core.ObjectID
	Tree      core.ObjectID
	Branch    string
	Old       core.ObjectID // "" if the branch is new
	PackBytes int64         // of the packs in which the new objects were stored
	Blobs     int           // contents that the call brought
}

func (c Commit) namespace() core.Namespace { return namespace(c.Ephemeral) }

func (c Commit) ref() string { return "refs/heads/" + c.Branch }

// check checks everything that needs no repository. Errors: KindInvalid.
func (c Commit) check() error {
	if err := checkBranch("target_branch", c.Branch); err != nil {
		return err
	}
	if c.Base != "" {
		if err := checkBranch("base_branch", c.Base); err != nil {
			return err
		}
	}
	if c.BaseEphemeral && c.Base == "" {
		return core.Errorf(core.KindInvalid, "base_is_ephemeral needs base_branch")
	}
	return c.Signed.require()
}

// checkBranch checks the short name of a branch from the field.
func checkBranch(field, name string) error {
	if name == "" {
		return core.Errorf(core.KindInvalid, "%s is required", field)
	}
	if strings.HasPrefix(name, "refs/") {
		return core.Errorf(core.KindInvalid, "%s: name the branch without refs/heads/", field)
	}
	if err := core.ValidateBranchName(name); err != nil {
		return core.Errorf(core.KindInvalid, "%s: %s", field, core.MessageOf(err))
	}
	return nil
}

// standing is where a branch is, and what a new commit on it builds on.
type standing struct {
	tip    core.ObjectID // "" if the branch does not exist
	parent head          // zero: the new commit is the first of all
}

// standing looks where the branch is. Errors: KindPrecondition if it is not
// where it was expected, KindNotFound.
func (s *Service) standing(ctx context.Context, c Commit) (standing, error) {
	var st standing
	var err error
	if st.tip, err = s.ref(ctx, c.Repo, c.namespace(), c.ref()); err != nil {
		return st, err
	}
	// A guard on a branch that begins at another is about that one: it is all
	// that the caller can have seen.
	fromBase := st.tip == "" && c.Base != ""
	if !fromBase {
		if err := holds(c.Expected, "branch "+quote(c.Branch), st.tip); err != nil {
			return st, err
		}
	}
	switch {
	case st.tip != "":
		st.parent, err = s.head(ctx, c.Repo, st.tip)
	case fromBase:
		if st.parent, err = s.resolve(ctx, c.Repo, namespace(c.BaseEphemeral), "refs/heads/"+c.Base); core.KindOf(err) == core.KindNotFound {
			err = core.Errorf(core.KindNotFound, "base branch %q does not exist", c.Base)
		}
		if err == nil && !core.ObjectID(c.Expected).IsZero() {
			err = holds(c.Expected, "base branch "+quote(c.Base), st.parent.commit)
		}
	default:
		var empty bool
		if empty, err = s.empty(ctx, c.Repo); err == nil && !empty {
			err = core.Errorf(core.KindNotFound, "branch %q does not exist; name a base_branch to make it from", c.Branch)
		}
	}
	return st, err
}

// ready is what can be refused before anything is uploaded. It pins the guard.
func (s *Service) ready(ctx context.Context, c *Commit) error {
	if err := c.check(); err != nil {
		return err
	}
	// Any id will do: only the name is checked.
	if err := s.check(ctx, c.Caller, c.namespace(), core.RefUpdate{Name: c.ref(), New: core.ObjectID(firstID(c.Repo))}); err != nil {
		return err
	}
	var err error
	if c.Expected, err = s.pin(ctx, c.Repo, c.namespace(), c.ref(), c.Expected); err != nil {
		return err
	}
	st, err := s.standing(ctx, *c)
	if err != nil {
		return &TipError{Tip: st.tip, Err: err}
	}
	// Next comes the upload, whose time is the client's.
	limit.Free(ctx)
	return nil
}

// firstID is an id that is not "absent", for where only that matters.
func firstID(r core.Repository) string {
	b := make([]byte, idDigits(r))
	for i := range b {
		b[i] = '1'
	}
	return string(b)
}

// advance makes a commit on the branch and moves the branch to it. build
// returns its tree, for the tree that the commit builds on ("" for none); it is
// called anew when the branch has moved meanwhile.
//
// Errors: KindInvalid if the tree is the same, KindPrecondition if the branch
// is not where it was expected, KindStale if it moved and was not tried again,
// and those of [RefWriter]. They are [*TipError]s where the tip is known.
func (s *Service) advance(ctx context.Context, c Commit, p *pack, build func(ctx context.Context, base core.ObjectID) (core.ObjectID, error)) (Result, error) {
	ctx, unlock, err := s.turn(ctx, c.Caller, c.namespace(), c.ref())
	if err != nil {
		return Result{}, err
	}
	defer unlock()
	for attempt := 1; ; attempt++ {
		st, err := s.standing(ctx, c)
		var r Result
		if err == nil {
			r, err = s.commitOn(ctx, c, p, st, build)
		}
		if err == nil {
			return r, nil
		}
		if !again(err, c.Caller, c.namespace(), c.ref(), c.Expected, attempt) {
			return Result{}, &TipError{Tip: st.tip, Err: stale(err, c.Expected)}
		}
		s.log.Debug("a push moved the branch, building on its new tip", "repo_id", c.Repo.ID, "branch", c.Branch, "attempt", attempt)
	}
}

// commitOn makes one commit and moves the branch from where it stands.
func (s *Service) commitOn(ctx context.Context, c Commit, p *pack, st standing, build func(ctx context.Context, base core.ObjectID) (core.ObjectID, error)) (Result, error) {
	tree, err := build(ctx, st.parent.tree)
	if err != nil {
		return Result{}, err
	}
	if tree == st.parent.tree {
		return Result{}, core.Errorf(core.KindInvalid, "no changes: the branch has this content already")
	}
	var parents []core.ObjectID
	if st.parent.commit != "" {
		parents = append(parents, st.parent.commit)
	}
	id, err := p.add(typeCommit, c.encode(tree, parents, s.clock.Now()))
	if err != nil {
		return Result{}, err
	}
	if err := s.store(ctx, s.repos.Path(c.Repo.ID), p); err != nil {
		return Result{}, err
	}
	if err := s.move(ctx, c.Caller, c.namespace(), core.RefUpdate{Name: c.ref(), Old: st.tip, New: id}); err != nil {
		return Result{}, err
	}
	return Result{Commit: id, Tree: tree, Branch: c.Branch, Old: st.tip, PackBytes: p.stored, Blobs: p.blobs}, nil
}
