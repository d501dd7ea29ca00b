package engine

import (
	"context"
	"slices"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git/fsck"
	"github.com/headwater-git/headwater/core/mirror"
	"github.com/headwater-git/headwater/core/repo"
	"github.com/headwater-git/headwater/core/schedule"
)

// Settings returns what was chosen for the repository.
func (e *Engine) Settings(ctx context.Context, r core.Repository) (core.Settings, error) {
	return e.store.Settings(ctx, r.ID)
}

// SaveSettings replaces the settings. Filters that changed take effect by a
// sync that is asked for at once. Errors: KindInvalid, which names the setting.
func (e *Engine) SaveSettings(ctx context.Context, r core.Repository, s core.Settings) error {
	if err := CheckSettings(r, s); err != nil {
		return err
	}
	s.Tolerate, _ = fsck.CheckTolerated(s.Tolerate) // in git's spelling
	old, err := e.store.Settings(ctx, r.ID)
	if err != nil {
		return err
	}
	if err := e.store.SaveSettings(ctx, r.ID, s); err != nil {
		return err
	}
	if r.Upstream == nil {
		return nil
	}
	if old.Poll != s.Poll {
		if err := e.schedule.SettingsChanged(ctx, r.ID); err != nil {
			return err
		}
	}
	if sameRefs(old, s) {
		return nil
	}
	// The digest of the last listing covers the rules, so the run plans anew.
	_, err = e.schedule.Request(ctx, r.ID, schedule.TriggerAPI, "")
	return err
}

// CheckSettings returns a KindInvalid error for settings that cannot be meant.
func CheckSettings(r core.Repository, s core.Settings) error {
	if err := s.Validate(); err != nil {
		return err
	}
	if r.Upstream == nil && (s.Poll != "" || s.Demand() != (core.Demand{}) || len(s.Include)+len(s.Exclude) > 0 || s.PullRequests) {
		return core.Errorf(core.KindInvalid, "poll, max_staleness, freshness, include, exclude and pull_requests are for repositories with an upstream")
	}
	if _, err := fsck.CheckTolerated(s.Tolerate); err != nil {
		return err
	}
	_, err := repo.NewRules(r, s)
	return err
}

// PlanSettings returns what the settings would do to the refs of a synced
// repository, without doing it.
func (e *Engine) PlanSettings(ctx context.Context, r core.Repository, s core.Settings) (mirror.Plan, error) {
	if err := CheckSettings(r, s); err != nil {
		return mirror.Plan{}, err
	}
	if r.Upstream == nil {
		return mirror.Plan{}, nil
	}
	return e.sync.Plan(ctx, r, s)
}

// sameRefs reports whether two settings let the same refs and objects in.
func sameRefs(a, b core.Settings) bool {
	return slices.Equal(a.Include, b.Include) && slices.Equal(a.Exclude, b.Exclude) && slices.Equal(a.RefPolicies, b.RefPolicies) &&
		a.PullRequests == b.PullRequests && slices.Equal(a.Tolerate, b.Tolerate)
}
