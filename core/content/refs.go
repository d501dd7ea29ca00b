package content

import (
	"bufio"
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
	out, err := s.git.Stream(ctx, git.Command{
		Name: "for-each-ref",
		Dir:  dir,
		// Nothing here needs the objects, so none is read: refs of a page are
		// few, those before it may be many.
		Flags: []string{"--format=%(objectname) %(refname)", "--sort=refname"},
		Args:  []string{strings.TrimSuffix(ns.Path(prefix[:strings.LastIndexByte(prefix, '/')]), "/")},
	})
	if err != nil {
		return nil, err
	}
	defer out.Close()
	var refs []git.Ref
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		id, name, _ := strings.Cut(lines.Text(), " ")
		name = strings.TrimPrefix(name, ns.Path(""))
		if !strings.HasPrefix(name, prefix) || name <= after {
			continue
		}
		refs = append(refs, git.Ref{Name: name, ID: core.ObjectID(id)})
		if len(refs) > limit {
			return refs, nil
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	return refs, out.Wait()
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
