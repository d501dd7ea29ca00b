package engine

import (
	"context"
	"slices"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git/fsck"
	"github.com/headwater-git/headwater/core/repo"
	"github.com/headwater-git/headwater/core/schedule"
	"github.com/headwater-git/headwater/providers"
)

// SaveSettings replaces the settings. Filters that changed take effect by a
// sync that is asked for at once. Errors: KindInvalid, which names the setting.
func (e *Engine) SaveSettings(ctx context.Context, r core.Repository, s core.Settings) error {
	if err := repo.CheckSettings(r, s); err != nil {
		return err
	}
	s.Tolerate, _ = fsck.CheckTolerated(s.Tolerate) // in git's spelling
	old, err := e.store.Settings(ctx, r.ID)
	if err != nil {
		return err
	}
	if s.PublicRead && !old.PublicRead {
		if err := e.checkPublic(ctx, r); err != nil {
			return err
		}
	}
	if err := e.store.SaveSettings(ctx, r.ID, s); err != nil {
		return err
	}
	if old.LFS != s.LFS {
		e.backlog.Changed(r.ID)
	}
	if (s.StrictWants || s.PublicRead) && !old.StrictWants && !old.PublicRead {
		e.reach.Applied(r.ID) // so that the first who asks need not wait for the set
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

// checkPublic asks the host how public an upstream is, and returns why the repository
// cannot be read without a token.
func (e *Engine) checkPublic(ctx context.Context, r core.Repository) error {
	if r.Upstream != nil && r.Upstream.Mode != providers.ModePublic {
		if _, err := e.monitor.Ask(ctx, r); err != nil {
			return err
		}
	}
	return e.public.Check(ctx, r)
}

// sameRefs reports whether two settings let the same refs and objects in.
func sameRefs(a, b core.Settings) bool {
	return slices.Equal(a.Include, b.Include) && slices.Equal(a.Exclude, b.Exclude) && slices.Equal(a.RefPolicies, b.RefPolicies) &&
		a.LFSPolicy == b.LFSPolicy && a.PullRequests == b.PullRequests && slices.Equal(a.Tolerate, b.Tolerate)
}
