package commit

import (
	"context"
	"regexp"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
)

const (
	// maxCommit is the size limit of a commit object that is read, in bytes.
	maxCommit   = 16 << 20
	maxRevision = 1024
)

var (
	// steps is what may follow a name: the restricted revision syntax. Five
	// digits keep git from walking further than any answer is worth.
	steps       = regexp.MustCompile(`^(?:[~^][0-9]{0,5}){0,16}$`)
	hexadecimal = regexp.MustCompile(`^[0-9a-fA-F]{4,64}$`)
)

// head is a commit and its tree.
type head struct{ commit, tree core.ObjectID }

// refs returns what refs hold, by their names in the namespace.
func (s *Service) refs(ctx context.Context, r core.Repository, ns core.Namespace, names ...string) ([]core.ObjectID, error) {
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

// candidates returns the object names that a caller's revision may mean; the
// first that exists is meant. They are full ref names or ids: git is never left
// to guess, since it would look into hidden refs, too.
func candidates(r core.Repository, ns core.Namespace, revision string) ([]string, error) {
	name, rest := revision, ""
	if i := strings.IndexAny(revision, "~^"); i >= 0 {
		name, rest = revision[:i], revision[i:]
	}
	bad := func(reason string) error {
		return &core.Error{Kind: core.KindInvalid, Op: "check revision", Subject: revision, Message: "invalid revision: " + reason}
	}
	var names []string
	switch id := core.ObjectID(strings.ToLower(name)); {
	case len(revision) > maxRevision:
		return nil, bad("it is too long")
	case name == "":
		return nil, bad("it names nothing")
	case !steps.MatchString(rest):
		return nil, bad("only ~N and ^N may follow a name")
	case name == "HEAD":
		names = []string{ns.Path("refs/heads/" + r.DefaultBranch)}
	case id.Valid():
		names = []string{string(id)}
	case strings.HasPrefix(name, "refs/"):
		if err := core.ValidateRefName(name); err != nil {
			return nil, bad("it is no ref name")
		}
		if !hidden(name) {
			names = []string{ns.Path(name)}
		}
	default:
		if err := core.ValidateBranchName(name); err != nil {
			return nil, bad("it is neither a ref name nor an id")
		}
		names = []string{ns.Path("refs/heads/" + name), ns.Path("refs/tags/" + name)}
		if hexadecimal.MatchString(name) {
			names = append(names, strings.ToLower(name))
		}
	}
	for i := range names {
		names[i] += rest
	}
	return names, nil
}

// hidden reports whether a full ref name is out of callers' sight.
func hidden(name string) bool {
	return strings.HasPrefix(name+"/", core.InternalPrefix) || strings.HasPrefix(name+"/", "refs/namespaces/")
}

// first returns the first candidate that exists, peeled to the type that
// suffix names.
func (s *Service) first(ctx context.Context, r core.Repository, ns core.Namespace, revision, suffix string) (git.Object, error) {
	names, err := candidates(r, ns, revision)
	if err != nil {
		return git.Object{}, err
	}
	for i := range names {
		names[i] += suffix
	}
	objects, err := s.objects.Info(ctx, s.repos.Path(r.ID), names...)
	if err != nil {
		return git.Object{}, err
	}
	for _, o := range objects {
		switch {
		case o.Ambiguous:
			return git.Object{}, core.Errorf(core.KindInvalid, "the short id %q fits several objects", revision)
		case o.Found():
			return o, nil
		}
	}
	return git.Object{}, core.Errorf(core.KindNotFound, "%q does not exist in this repository", revision)
}

// resolve returns the commit that a revision names. Errors: KindInvalid for a
// malformed or ambiguous revision, KindNotFound.
func (s *Service) resolve(ctx context.Context, r core.Repository, ns core.Namespace, revision string) (head, error) {
	o, err := s.first(ctx, r, ns, revision, "^{commit}")
	if err != nil {
		return head{}, err
	}
	return s.head(ctx, r, o.ID)
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
	out, err := s.git.Output(ctx, git.Command{
		Name: "for-each-ref", Dir: s.repos.Path(r.ID), Flags: []string{"--count=1", "--format=%(refname)"}, Args: []string{"refs/heads/", "refs/tags/"},
	})
	return len(out) == 0, err
}
