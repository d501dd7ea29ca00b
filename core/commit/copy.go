package commit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
)

// Copy says what of a repository goes into a new one.
type Copy struct {
	From core.Repository
	// Revision is where the new default branch begins; "" is the source's
	// default branch. A snapshot needs it.
	Revision string
	Branch   string // the new default branch
	// Snapshot leaves the history behind: one commit, signed by Initial, has
	// the tree of the revision.
	Snapshot bool
	Initial  Signed
}

// Prepare checks what of a copy can be checked before there is a new
// repository, and fills in what was left out. Errors: KindInvalid, KindNotFound.
func (s *Service) Prepare(ctx context.Context, c Copy) (Copy, error) {
	if c.Snapshot && c.Revision == "" {
		return c, core.Errorf(core.KindInvalid, "a snapshot needs base_repo.ref")
	}
	if c.Snapshot {
		if c.Initial.Message == "" {
			c.Initial.Message = fmt.Sprintf("Snapshot of %s at %s", c.From.Name, c.Revision)
		}
		if c.Initial.Author == nil {
			c.Initial.Author = &Person{"Headwater", "headwater@localhost"}
		}
		if err := c.Initial.require(); err != nil {
			return c, err
		}
	}
	if c.Revision == "" {
		return c, nil
	}
	look := s.resolveWhole
	if c.Snapshot {
		look = s.resolve // its files are all that is taken
	}
	_, err := look(ctx, c.From, core.Default, c.Revision)
	return c, err
}

// Fill copies into the empty bare repository at dir, which nobody reads yet. The
// source must have been prepared.
//
// The objects come straight from the source's object store, which is an alternate
// of this one process: no transport has to be opened for local paths, and
// what the source has deltified is copied as it is.
func (s *Service) Fill(ctx context.Context, dir string, c Copy) error {
	chosen, err := s.resolve(ctx, c.From, core.Default, c.Revision)
	if err != nil && (c.Revision != "" || core.KindOf(err) != core.KindNotFound) {
		return err
	}
	refs := map[string]core.ObjectID{}
	if c.Snapshot {
		if chosen.commit, err = s.snapshot(ctx, dir, c, chosen.tree); err != nil {
			return err
		}
	} else if refs, err = s.git.RefMap(ctx, s.repos.Path(c.From.ID), "refs/heads/", "refs/tags/"); err != nil {
		return err
	}
	if chosen.commit != "" {
		refs["refs/heads/"+c.Branch] = chosen.commit
	}
	if len(refs) == 0 {
		return nil // a copy of nothing
	}
	if err := s.copyObjects(ctx, dir, c.From, refs); err != nil {
		return err
	}
	changes := make([]git.RefChange, 0, len(refs))
	for name, id := range refs {
		changes = append(changes, git.RefChange{RefUpdate: core.RefUpdate{Name: name, New: id}})
	}
	err = s.git.WriteRefs(ctx, dir, changes)
	if refused, ok := errors.AsType[*git.RefError](err); ok && refused.Kind == git.RefConflict {
		return &core.Error{Kind: core.KindConflict, Message: fmt.Sprintf("the default branch %q and the branches of the source cannot be side by side: one is a folder of the other", c.Branch), Err: err}
	}
	if err != nil {
		return fmt.Errorf("write the refs of the copy: %w", err)
	}
	return nil
}

// snapshot puts the one commit of a snapshot into the new repository.
func (s *Service) snapshot(ctx context.Context, dir string, c Copy, tree core.ObjectID) (core.ObjectID, error) {
	p := s.newPack(c.From)
	defer p.close()
	id, err := p.add(typeCommit, c.Initial.encode(tree, nil, s.clock.Now()))
	if err != nil {
		return "", err
	}
	return id, s.store(ctx, dir, p)
}

// copyObjects packs what the refs reach into the new repository.
func (s *Service) copyObjects(ctx context.Context, dir string, from core.Repository, refs map[string]core.ObjectID) error {
	var ids strings.Builder
	for _, id := range refs {
		ids.WriteString(string(id) + "\n")
	}
	err := s.git.Run(ctx, git.Command{
		Name: "pack-objects", Dir: dir,
		Flags: []string{"--revs", "--delta-base-offset", "--quiet"},
		Args:  []string{"objects/pack/pack"}, // the prefix of the pack's name
		Env:   []string{"GIT_ALTERNATE_OBJECT_DIRECTORIES=" + filepath.Join(s.repos.Path(from.ID), "objects")},
		Stdin: strings.NewReader(ids.String()), Stdout: io.Discard,
	})
	if err != nil {
		return fmt.Errorf("copy objects: %w", err)
	}
	return nil
}
