package api

import (
	"context"
	"net/http"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/rebuild"
)

// Damages knows which repositories are missing or damaged.
type Damages interface {
	// Damage returns what is wrong with a repository's folder, else what was found
	// wrong with it last and has ended; nil if nothing ever was.
	Damage(ctx context.Context, repo core.Repository) (*core.Damage, error)
	// OpenDamage is Damage without what has ended.
	OpenDamage(repo core.Repository) *core.Damage
	// Rebuild has a repository that waits rebuilt, and any other verified now. It
	// returns what is wrong with it then. KindLocked: it is being repacked.
	Rebuild(ctx context.Context, repo core.Repository) (*core.Damage, error)
}

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

// viewDamage returns nil for nil.
func viewDamage(repo core.Repository, d *core.Damage) *damageView {
	if d == nil {
		return nil
	}
	view := &damageView{
		State: d.State, Message: d.Reason, FoundAt: core.Timestamp(d.FoundAt), EndedAt: instant(d.EndedAt), Quarantine: d.ID, Carried: d.Carried, Lost: d.Lost,
	}
	if d.State.Open() {
		view.Message = rebuild.Sentence(repo, *d)
	}
	return view
}

func (s *server) rebuildRepository(c *call) error {
	if s.Damages == nil {
		return core.Errorf(core.KindUnsupported, "this server cannot rebuild repositories")
	}
	if _, err := s.Damages.Rebuild(c.ctx(), c.repo); err != nil {
		return err
	}
	view, err := s.repositoryView(c, c.repo)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, view)
}
