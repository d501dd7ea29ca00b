package ephemeral

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
)

// Bounds of one look for orphans.
const (
	maxRewrites = 100    // the newest
	maxOrphans  = 500    //
	maxLost     = 10_000 // commits that one rewrite took away
	maxRoots    = 100
)

// Orphan is an ephemeral branch that was begun on a commit which its base has no
// more.
type Orphan struct {
	Branch  string // short name
	ID      core.ObjectID
	Rewrite core.Rewrite // that took the commit away, the newest if there are several
	// Base is the last commit that the branch has in common with what the
	// rewritten ref was.
	Base core.ObjectID
}

// Orphans lists the ephemeral branches whose base was rewritten away, by name:
// what such a branch and the old tip of a rewrite have in common is not in the
// present history of the rewritten branch, or of the default branch if the
// rewritten one is gone. It looks at the newest hundred rewrites and at no more
// than 10,000 commits of each. more tells that there are more than the 500 that
// it returns.
func (s *Service) Orphans(ctx context.Context, r core.Repository) (found []Orphan, more bool, err error) {
	dir := s.Path(r.ID)
	drafts, err := s.Git.RefMap(ctx, dir, branches)
	if err != nil || len(drafts) == 0 {
		return nil, false, err
	}
	rewrites, err := s.Store.Rewrites(ctx, core.RewriteFilter{RepoID: r.ID, Limit: maxRewrites})
	if err != nil {
		return nil, false, err
	}
	heads, err := s.Git.RefMap(ctx, dir, "refs/heads/")
	if err != nil {
		return nil, false, err
	}
	known := map[string]bool{}
	for _, rw := range rewrites {
		// One without journal entry has not moved its ref.
		if rw.JournalID == "" || !strings.HasPrefix(rw.Ref, "refs/heads/") {
			continue
		}
		present := heads[rw.Ref]
		if present == "" {
			present = heads["refs/heads/"+r.DefaultBranch]
		}
		lost, err := s.on(ctx, dir, rw.Old, present)
		if err != nil {
			return nil, false, err
		}
		for _, name := range lost {
			if known[name] || drafts[name] == "" {
				continue
			}
			if len(found) == maxOrphans {
				return sorted(found), true, nil
			}
			known[name] = true
			o := Orphan{Branch: strings.TrimPrefix(name, branches), ID: drafts[name], Rewrite: rw}
			if o.Base, err = s.base(ctx, dir, o.ID, rw.Old); err != nil {
				return nil, false, err
			}
			found = append(found, o)
		}
	}
	return sorted(found), false, nil
}

func sorted(found []Orphan) []Orphan {
	slices.SortFunc(found, func(a, b Orphan) int { return strings.Compare(a.Branch, b.Branch) })
	return found
}

// on returns the ephemeral branches that have a commit which a ref lost when it
// moved from old to where it is now, by full names. If the old tip is not here
// any more, nobody knows.
func (s *Service) on(ctx context.Context, dir string, old, present core.ObjectID) ([]string, error) {
	in := string(old) + "\n"
	if present != "" {
		in += "^" + string(present) + "\n"
	}
	out, err := s.Git.Output(ctx, git.Command{
		Name: "rev-list", Dir: dir, Flags: []string{"--parents", "--max-count=" + strconv.Itoa(maxLost), "--stdin"}, Stdin: strings.NewReader(in),
	})
	var exit *git.ExitError
	if errors.As(err, &exit) && ctx.Err() == nil {
		s.log.Debug("an old tip is not here any more", "id", old, "error", err)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	flags := []string{"--format=%(refname)"}
	for _, root := range roots(out) {
		flags = append(flags, "--contains="+root)
	}
	if len(flags) == 1 {
		return nil, nil
	}
	out, err = s.Git.Output(ctx, git.Command{Name: "for-each-ref", Dir: dir, Flags: flags, Args: []string{branches}})
	return strings.Fields(string(out)), err
}

// roots returns the commits of a list with parents that have no parent in it:
// a history that contains any of the others contains one of these as well.
func roots(list []byte) []string {
	in := map[string]bool{}
	var commits [][]string
	for sc := bufio.NewScanner(bytes.NewReader(list)); sc.Scan(); {
		words := strings.Fields(sc.Text())
		in[words[0]] = true
		commits = append(commits, words)
	}
	var out []string
	for _, words := range commits {
		if !slices.ContainsFunc(words[1:], func(p string) bool { return in[p] }) && len(out) < maxRoots {
			out = append(out, words[0])
		}
	}
	return out
}

// base returns what two commits have in common.
func (s *Service) base(ctx context.Context, dir string, a, b core.ObjectID) (core.ObjectID, error) {
	out, err := s.Git.Output(ctx, git.Command{Name: "merge-base", Dir: dir, Args: []string{string(a), string(b)}})
	return core.ObjectID(strings.TrimSpace(string(out))), err
}
