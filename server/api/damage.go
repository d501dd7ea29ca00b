package api

import (
	"context"
	"net/http"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/rebuild"
)

// Damages knows which repositories are missing or damaged.
type Damages interface {
	// Of returns what is wrong with a repository's folder, if something is.
	Of(repo core.Repository) (core.Damage, bool)
	// GoOn has a repository that waits rebuilt, and any other verified now. It returns
	// what is wrong with it then. KindLocked: it is being repacked. KindResource: it
	// could not be verified.
	GoOn(ctx context.Context, repo core.Repository) (core.Damage, bool, error)
}

var _ Damages = (*rebuild.Service)(nil)

// damageView is what was found wrong with a repository's folder.
type damageView struct {
	State      core.DamageState `json:"state"` // rebuilding, waiting, lost, damaged; ended: rebuilt, mended
	Message    string           `json:"message"`
	FoundAt    core.Timestamp   `json:"found_at"`
	EndedAt    *core.Timestamp  `json:"ended_at,omitempty"`
	Quarantine string           `json:"quarantine"` // name of the folder that was replaced, below quarantine/ of the data directory
	Carried    int              `json:"carried"`    // refs that were taken over from it
	Lost       []core.LostRef   `json:"lost,omitempty"`
}

func viewDamage(repo core.Repository, d core.Damage) *damageView {
	view := &damageView{
		State: d.State, Message: d.Reason, FoundAt: core.Timestamp(d.FoundAt), EndedAt: instant(d.EndedAt), Quarantine: d.ID, Carried: d.Carried, Lost: d.Lost,
	}
	if d.State.Open() {
		view.Message = rebuild.Sentence(repo, d)
	}
	return view
}

func (s *server) rebuildRepository(c *call) error {
	if s.Damages == nil {
		return core.Errorf(core.KindUnsupported, "this server cannot rebuild repositories")
	}
	if _, _, err := s.Damages.GoOn(c.ctx(), c.repo); err != nil {
		return err
	}
	view, err := s.repositoryView(c, c.repo)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, view)
}
