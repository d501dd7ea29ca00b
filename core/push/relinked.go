package push

import (
	"context"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/upstream"
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
	if !upstream.Same(w.Repo.Upstream, r.Upstream) {
		b.refuseAll(core.KindStale, reasonRelinked)
	}
	w.Repo = r
	return w, s.repos.Current(ctx, r)
}
