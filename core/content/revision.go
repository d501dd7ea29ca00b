package content

import (
	"cmp"
	"context"
	"regexp"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git/catfile"
)

// maxRevision is the length limit of a revision in bytes.
const maxRevision = 1024

// steps is what may follow a name. Five digits keep git from walking further than
// any answer is worth.
var steps = regexp.MustCompile(`^(?:[~^][0-9]{0,5}){0,16}$`)

// revision is a revision that was taken apart: a name, and the steps from it
// as in "main~2".
type revision struct{ name, steps string }

// parseRevision checks a caller's revision. Errors: KindInvalid.
func parseRevision(text string) (revision, error) {
	name, rest := text, ""
	if i := strings.IndexAny(text, "~^"); i >= 0 {
		name, rest = text[:i], text[i:]
	}
	bad := func(reason string) error {
		return &core.Error{Kind: core.KindInvalid, Op: "check revision", Subject: text, Message: "invalid revision: " + reason}
	}
	switch {
	case len(text) > maxRevision:
		return revision{}, bad("it is too long")
	case name == "":
		return revision{}, bad("it names nothing")
	case !steps.MatchString(rest):
		return revision{}, bad("only ~N and ^N may follow a name")
	case name == "HEAD":
	case strings.HasPrefix(name, "refs/"):
		if err := core.ValidateRefName(name); err != nil {
			return revision{}, bad("it is no ref name")
		}
	default:
		if err := core.ValidateBranchName(name); err != nil {
			return revision{}, bad("it is neither a ref name nor an id")
		}
	}
	return revision{name, rest}, nil
}

// hidden reports whether a full ref name is out of callers' sight.
func hidden(name string) bool {
	return strings.HasPrefix(name+"/", core.InternalPrefix) || strings.HasPrefix(name+"/", "refs/namespaces/")
}

// whole is the revision without the steps back from it.
func (r revision) whole() revision {
	r.steps = ""
	return r
}

// candidates returns the object names that the revision may mean, the first
// that exists wins. They are full ref names or ids: git is never left to guess,
// since it would look into hidden refs, too.
func (r revision) candidates(ns core.Namespace, defaultBranch string) []string {
	var names []string
	switch {
	case r.name == "HEAD":
		names = append(names, ns.Path("refs/heads/"+defaultBranch))
		if ns == core.Default {
			names = append(names, "HEAD")
		}
	case strings.HasPrefix(r.name, "refs/"):
		if !hidden(r.name) {
			names = append(names, ns.Path(r.name))
		}
	case core.ObjectID(strings.ToLower(r.name)).Valid():
		names = append(names, strings.ToLower(r.name))
	default:
		names = append(names, ns.Path("refs/heads/"+r.name), ns.Path("refs/tags/"+r.name))
		first, _, _ := strings.Cut(r.name, "/")
		if first != r.name && (first == "heads" || first == "tags" || first == "notes") {
			names = append(names, ns.Path("refs/"+r.name))
		}
		if core.MaybeObjectID(r.name) {
			names = append(names, strings.ToLower(r.name))
		}
	}
	for i := range names {
		names[i] += r.steps
	}
	return names
}

// resolved is a revision that was found.
type resolved struct {
	Commit core.ObjectID
	Name   string // what the caller asked for, or what stood in for nothing
}

// resolve finds the commit of a revision. Errors: KindInvalid for a bad or
// ambiguous revision, KindNotFound.
func (s *Service) resolve(ctx context.Context, dir string, repo core.Repository, at At) (resolved, error) {
	if at.Ref == "" {
		return s.resolveDefault(ctx, dir, repo, at.Namespace)
	}
	rev, err := parseRevision(at.Ref)
	if err != nil {
		return resolved{}, err
	}
	names := rev.candidates(at.Namespace, repo.DefaultBranch)
	i, object, err := s.first(ctx, dir, names, "^{commit}")
	if err != nil {
		return resolved{}, err
	}
	var notFound error = core.Errorf(core.KindNotFound, "ref %q not found", at.Ref)
	if object.Found() && byID(names[i]) {
		if ok, err := s.Served(ctx, repo, object.ID); err != nil || !ok {
			return resolved{}, cmp.Or(err, notFound)
		}
	}
	if !object.Found() && core.MaybeObjectID(rev.name) {
		// With a step after it, git calls an ambiguous id a missing one.
		if _, object, err = s.first(ctx, dir, []string{strings.ToLower(rev.name)}, ""); err != nil {
			return resolved{}, err
		}
		if object.Ambiguous {
			return resolved{}, core.Errorf(core.KindInvalid, "the short id %q fits several objects", at.Ref)
		}
		object = catfile.Object{}
	}
	if !object.Found() {
		if err := s.noCommit(ctx, dir, repo, rev.whole().candidates(at.Namespace, repo.DefaultBranch), at.Ref); err != nil {
			return resolved{}, err
		}
		s.missed(repo.ID)
		return resolved{}, notFound
	}
	return resolved{object.ID, at.Ref}, nil
}

// byID reports whether a candidate names an object by its id, not by a ref.
func byID(candidate string) bool {
	return !strings.HasPrefix(candidate, "refs/") && !strings.HasPrefix(candidate, "HEAD")
}

// Served reports whether a caller may name an object of the repository by its id. It
// need not be there. Errors: KindConflict if that is not known yet.
func (s *Service) Served(ctx context.Context, repo core.Repository, id core.ObjectID) (bool, error) {
	refused, err := s.refused(ctx, repo, []core.ObjectID{id})
	return len(refused) == 0, err
}

// cursorCommit checks the commit that a listing began with, which a cursor names and
// anybody could have written. gone is the error if it may not be named.
func (s *Service) cursorCommit(ctx context.Context, repo core.Repository, id, head core.ObjectID, gone string) error {
	if id == head {
		return nil
	}
	ok, err := s.Served(ctx, repo, id)
	if err == nil && !ok {
		err = core.Errorf(core.KindNotFound, "%s", gone)
	}
	return err
}

// noCommit says of a name that leads to no commit what it does lead to: a tag may
// be of a file's content or of a folder. It returns nil if it leads to nothing, or
// to a commit whose history is shorter than what was asked for.
func (s *Service) noCommit(ctx context.Context, dir string, repo core.Repository, names []string, shown string) error {
	i, object, err := s.first(ctx, dir, names, "^{}")
	if err != nil || !object.Found() || object.Type == "commit" {
		return err
	}
	if byID(names[i]) {
		if ok, err := s.Served(ctx, repo, object.ID); err != nil || !ok {
			return err
		}
	}
	return core.Errorf(core.KindInvalid, "%q names a %s, not a commit; name a branch, a commit or a tag of one", shown, object.Type)
}

// resolveDefault finds the default branch; if there is none of that name, what
// HEAD points to, or main.
func (s *Service) resolveDefault(ctx context.Context, dir string, repo core.Repository, ns core.Namespace) (resolved, error) {
	shown := []string{repo.DefaultBranch, "main"}
	names := []string{ns.Path("refs/heads/" + repo.DefaultBranch), ns.Path("refs/heads/main")}
	if ns == core.Default {
		shown = []string{repo.DefaultBranch, "HEAD", "main"}
		names = []string{names[0], "HEAD", names[1]}
	}
	i, object, err := s.first(ctx, dir, names, "^{commit}")
	if err != nil {
		return resolved{}, err
	}
	if !object.Found() {
		s.missed(repo.ID)
		return resolved{}, core.Errorf(core.KindNotFound, "the repository has no branch %q; it may be empty", repo.DefaultBranch)
	}
	return resolved{object.ID, shown[i]}, nil
}

// first returns the first of the names that exists or is ambiguous, else an
// object that is neither.
func (s *Service) first(ctx context.Context, dir string, names []string, suffix string) (int, catfile.Object, error) {
	full := make([]string, len(names))
	for i, name := range names {
		full[i] = name + suffix
	}
	objects, err := s.cat.Info(ctx, dir, full...)
	if err != nil {
		return 0, catfile.Object{}, err
	}
	for i, object := range objects {
		if object.Found() || object.Ambiguous {
			return i, object, nil
		}
	}
	return 0, catfile.Object{}, nil
}

// open is what most reads begin with: the folder and the commit.
func (s *Service) open(ctx context.Context, repo core.Repository, at At) (string, resolved, error) {
	dir, err := s.dir(ctx, repo)
	if err != nil {
		return "", resolved{}, err
	}
	found, err := s.resolve(ctx, dir, repo, at)
	return dir, found, err
}

// Resolve returns the commit that a caller's revision names, as a namespace
// sees it; "" is the default branch. Errors: KindInvalid for a bad or ambiguous
// revision, KindNotFound.
func (s *Service) Resolve(ctx context.Context, repo core.Repository, ns core.Namespace, revision string) (core.ObjectID, error) {
	_, found, err := s.open(ctx, repo, At{Namespace: ns, Ref: revision})
	return found.Commit, err
}
