package content

import (
	"context"
	"strings"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
)

// Branch is a branch.
type Branch struct {
	Name      string // short
	Head      core.ObjectID
	CreatedAt time.Time // when its tip was committed
	Cursor    string    // of a listing that begins after it
}

// Tag is a tag, peeled.
type Tag struct {
	Name   string // short
	Target core.ObjectID
	Cursor string
}

// NotesRef is a ref that holds notes.
type NotesRef struct {
	Name   string // full
	Tip    core.ObjectID
	Cursor string
}

// RefsPage is a page of a listing of refs, by name in byte order.
type RefsPage struct {
	Cursor string
	Limit  int // at least 1
}

// refs lists the refs below a prefix that come after a name, one more than the
// limit. The names are those of the namespace.
func (s *Service) refs(ctx context.Context, dir string, ns core.Namespace, prefix, after string, limit int) ([]git.Ref, error) {
	below := strings.TrimSuffix(ns.Path(prefix[:strings.LastIndexByte(prefix, '/')]), "/")
	all, err := s.git.Refs(ctx, dir, below)
	if err != nil {
		return nil, err
	}
	var refs []git.Ref
	for _, ref := range all {
		ref.Name = strings.TrimPrefix(ref.Name, ns.Path(""))
		if !strings.HasPrefix(ref.Name, prefix) || ref.Name <= after {
			continue
		}
		if refs = append(refs, ref); len(refs) > limit {
			break
		}
	}
	return refs, nil
}

// page cuts a listing to its limit and returns the cursor of the next page.
func page(refs []git.Ref, kind string, limit int) ([]git.Ref, string) {
	if len(refs) <= limit {
		return refs, ""
	}
	refs = refs[:limit]
	return refs, cursor{kind: kind, after: refs[limit-1].Name}.String()
}

// Branches lists branches. Errors: KindInvalid for a bad cursor.
func (s *Service) Branches(ctx context.Context, repo core.Repository, ns core.Namespace, p RefsPage) ([]Branch, string, error) {
	const prefix = "refs/heads/"
	after, err := parseCursor("branches", p.Cursor)
	if err != nil {
		return nil, "", err
	}
	dir, err := s.dir(ctx, repo)
	if err != nil {
		return nil, "", err
	}
	refs, err := s.refs(ctx, dir, ns, prefix, after.after, p.Limit)
	if err != nil {
		return nil, "", err
	}
	refs, next := page(refs, "branches", p.Limit)
	ids := make([]core.ObjectID, len(refs))
	for i, ref := range refs {
		ids[i] = ref.ID
	}
	commits, err := s.commits(ctx, dir, ids...)
	if err != nil {
		s.missed(repo.ID)
		return nil, "", err
	}
	branches := make([]Branch, len(refs))
	for i, ref := range refs {
		branches[i] = Branch{
			Name: strings.TrimPrefix(ref.Name, prefix), Head: ref.ID, CreatedAt: commits[i].Committer.When,
			Cursor: cursor{kind: "branches", after: ref.Name}.String(),
		}
	}
	return branches, next, nil
}

// Branch returns one branch. Errors: KindInvalid, KindNotFound.
func (s *Service) Branch(ctx context.Context, repo core.Repository, ns core.Namespace, name string) (Branch, error) {
	name = strings.TrimPrefix(name, "refs/heads/")
	if err := core.ValidateBranchName(name); err != nil {
		return Branch{}, err
	}
	dir, err := s.dir(ctx, repo)
	if err != nil {
		return Branch{}, err
	}
	objects, err := s.cat.Contents(ctx, dir, maxCommit, ns.Path("refs/heads/"+name)+"^{commit}")
	if err != nil {
		return Branch{}, err
	}
	if !objects[0].Found() {
		return Branch{}, core.Errorf(core.KindNotFound, "ref not found")
	}
	c := parseCommit(objects[0].ID, objects[0].Data)
	return Branch{Name: name, Head: c.ID, CreatedAt: c.Committer.When}, nil
}

// Tags lists tags. Errors: KindInvalid for a bad cursor.
func (s *Service) Tags(ctx context.Context, repo core.Repository, p RefsPage) ([]Tag, string, error) {
	const prefix = "refs/tags/"
	after, err := parseCursor("tags", p.Cursor)
	if err != nil {
		return nil, "", err
	}
	dir, err := s.dir(ctx, repo)
	if err != nil {
		return nil, "", err
	}
	refs, err := s.refs(ctx, dir, core.Default, prefix, after.after, p.Limit)
	if err != nil {
		return nil, "", err
	}
	refs, next := page(refs, "tags", p.Limit)
	names := make([]string, len(refs))
	for i, ref := range refs {
		names[i] = string(ref.ID) + "^{}"
	}
	objects, err := s.cat.Info(ctx, dir, names...)
	if err != nil {
		return nil, "", err
	}
	tags := make([]Tag, len(refs))
	for i, ref := range refs {
		tags[i] = Tag{
			Name: strings.TrimPrefix(ref.Name, prefix), Target: objects[i].ID,
			Cursor: cursor{kind: "tags", after: ref.Name}.String(),
		}
	}
	return tags, next, nil
}

// Tag returns one tag. Errors: KindInvalid, KindNotFound.
func (s *Service) Tag(ctx context.Context, repo core.Repository, name string) (Tag, error) {
	name = strings.TrimPrefix(name, "refs/tags/")
	if err := core.ValidateRefName("refs/tags/" + name); err != nil {
		return Tag{}, err
	}
	dir, err := s.dir(ctx, repo)
	if err != nil {
		return Tag{}, err
	}
	objects, err := s.cat.Info(ctx, dir, "refs/tags/"+name+"^{}")
	if err != nil {
		return Tag{}, err
	}
	if !objects[0].Found() {
		return Tag{}, core.Errorf(core.KindNotFound, "ref not found")
	}
	return Tag{Name: name, Target: objects[0].ID}, nil
}
