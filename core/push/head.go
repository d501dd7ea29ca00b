package push

import (
	"context"
	"slices"
	"strings"

	"github.com/headwater-git/headwater/core"
)

const reasonDefault = "this is the default branch; make another branch the default one first"

// losesDefault reports whether an update deletes the default branch of a
// repository without an upstream: every clone would be of nothing. Of a synced
// repository the host decides.
func (s Session) losesDefault(u core.RefUpdate) bool {
	return s.Repo.Upstream == nil && s.Namespace == core.Default && u.IsDelete() && u.Name == "refs/heads/"+s.Repo.DefaultBranch
}

// firstHead returns the branch (full name) that HEAD moves to with the first
// branches of a repository without an upstream, or "" if it stays. It stays where
// that cannot be found out: the push is good without it.
func (s *Service) firstHead(ctx context.Context, w Session, updates []core.RefUpdate) string {
	if w.Repo.Upstream != nil || w.Namespace != core.Default {
		return ""
	}
	var pushed []string
	for _, u := range updates {
		if branch, ok := strings.CutPrefix(u.Name, "refs/heads/"); ok && !u.IsDelete() {
			pushed = append(pushed, branch)
		}
	}
	if len(pushed) == 0 || slices.Contains(pushed, w.Repo.DefaultBranch) {
		return ""
	}
	more, err := s.git.HasRefs(ctx, s.repos.Path(w.Repo.ID), "refs/heads/")
	if err != nil {
		s.log.Warn("cannot tell whether these are the first branches", "repo_id", w.Repo.ID, "error", err)
	}
	if err != nil || more {
		return ""
	}
	return "refs/heads/" + core.FirstBranch(w.Repo.DefaultBranch, pushed)
}
