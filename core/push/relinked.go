package push

import (
	"context"

	"github.com/headwater-git/headwater/core"
)

const reasonRelinked = "the repository was linked to another upstream meanwhile; fetch and push again"

// current returns the session with the repository as it is now that its refs are
// locked, and brings its copy forward: a client may take an hour to send its objects. An upstream that was
// renamed in that time is followed. What was meant for another upstream, or for
// none, is refused: it was based on what that had.
func (s *Service) current(ctx context.Context, w Session, b *results) (Session, error) {
	r, err := s.store.RepositoryByID(ctx, w.Repo.ID)
	if err != nil {
		return w, err
	}
	if !sameUpstream(w.Repo.Upstream, r.Upstream) {
		b.refuseAll(core.KindStale, reasonRelinked)
	}
	w.Repo = r
	return w, s.repos.Current(ctx, r)
}

// sameUpstream reports whether both are the same repository, wherever its host
// has it.
func sameUpstream(a, b *core.Upstream) bool {
	if a == nil || b == nil {
		return a == b
	}
	if a.Instance != b.Instance || a.Mode != b.Mode {
		return false
	}
	return a.URL == b.URL || a.Host == b.Host && a.ID != "" && a.ID == b.ID
}
