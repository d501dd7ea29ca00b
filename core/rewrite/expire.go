package rewrite

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/loop"
)

const (
	// expireEvery is how long an old tip may outlive its time on the disk. To
	// everybody who asks it has expired at its time.
	expireEvery = time.Minute
	expireBatch = 100
	// laterBy postpones a tip that could not be let go, so that one broken
	// repository does not keep the others' from going.
	laterBy = time.Hour

	trimEvery    = time.Hour
	recountEvery = 7 * 24 * time.Hour // refs come and go, and with them what a tip alone holds
)

// Run lets old tips go when their time is over, and earlier where they take more
// room than the repository's settings allow, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	var trimmed, counted time.Time
	loop.Every(ctx, s.clock, expireEvery, func(ctx context.Context) {
		if err := s.Expire(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("cannot let old tips go; trying again", "error", err)
		}
		if now := s.clock.Now(); now.Sub(trimmed) >= trimEvery {
			recount := now.Sub(counted) >= recountEvery
			if err := s.Trim(ctx, recount); err != nil && ctx.Err() == nil {
				s.log.Error("cannot look at the room that old tips take; trying again", "error", err)
			}
			trimmed = now
			if recount {
				counted = now
			}
		}
	})
	return nil
}

// Expire lets go of every old tip whose time is over. Errors: the store's; what
// goes wrong in one repository is logged, and tried again in an hour.
func (s *Service) Expire(ctx context.Context) error {
	for ctx.Err() == nil {
		now := s.clock.Now()
		rows, err := s.store.ExpiredRewrites(ctx, now, expireBatch)
		if err != nil {
			return err
		}
		byRepo := map[string][]core.Rewrite{}
		for _, row := range rows {
			byRepo[row.RepoID] = append(byRepo[row.RepoID], row)
		}
		for id, rows := range byRepo {
			if err := s.expire(ctx, id, rows); err != nil {
				return err
			}
		}
		if len(rows) < expireBatch {
			return nil
		}
	}
	return context.Cause(ctx)
}

// expire lets go of old tips of one repository.
func (s *Service) expire(ctx context.Context, id string, rows []core.Rewrite) error {
	now := s.clock.Now()
	dropErr := s.repos.DropKept(ctx, id, rows...)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if dropErr != nil {
		s.log.Error("old tips cannot be let go; trying again later", "repo_id", id, "tips", len(rows), "error", dropErr)
	}
	err := s.store.Tx(ctx, func(q core.Queries) error {
		for _, row := range rows {
			at, err := q.Rewrite(ctx, id, row.ID)
			if core.KindOf(err) == core.KindNotFound {
				continue // deleted with its repository
			}
			if err != nil {
				return err
			}
			if at.State != core.RewriteRetained {
				continue // somebody decided meanwhile
			}
			if dropErr != nil {
				at.ExpiresAt = now.Add(laterBy)
			} else {
				at.State, at.DecidedAt = core.RewriteExpired, now
			}
			if err := q.SaveRewrite(ctx, at); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && dropErr == nil {
		s.log.Info("old tips let go", "repo_id", id, "tips", len(rows))
	}
	return err
}

// Trim lets go of the oldest tips of repositories whose tips together take more
// than the settings allow. With recount, tips that were counted before are
// counted anew.
func (s *Service) Trim(ctx context.Context, recount bool) error {
	ids, err := s.store.RepositoryIDs(ctx)
	if err != nil {
		return err
	}
	for _, id := range ids {
		settings, err := s.store.Settings(ctx, id)
		if err != nil {
			return err
		}
		if settings.RetentionBytes == 0 {
			continue
		}
		if err := s.trim(ctx, id, settings.RetentionBytes, recount); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			s.log.Error("cannot bound the room of old tips", "repo_id", id, "error", err)
		}
	}
	return nil
}

// trim walks from the newest tip to the oldest and lets go of what comes after
// the limit is full.
func (s *Service) trim(ctx context.Context, id string, limit int64, recount bool) error {
	var total int64
	var over []core.Rewrite
	f := core.RewriteFilter{RepoID: id, States: []core.RewriteState{core.RewriteRetained}, Limit: expireBatch}
	for {
		rows, err := s.store.Rewrites(ctx, f)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if len(over) > 0 {
				over = append(over, row)
				continue
			}
			if row.Bytes == 0 || recount {
				if row.Bytes, err = s.size(ctx, id, row.Old); err != nil {
					return err
				}
				if err := s.counted(ctx, row); err != nil {
					return err
				}
			}
			if total += row.Bytes; total > limit {
				over = append(over, row)
			}
		}
		if len(rows) < f.Limit {
			break
		}
		f.Before = rows[len(rows)-1].ID
	}
	if len(over) == 0 {
		return nil
	}
	return s.expire(ctx, id, over)
}

// counted records the size of an old tip, unless somebody decided meanwhile.
func (s *Service) counted(ctx context.Context, row core.Rewrite) error {
	return s.store.Tx(ctx, func(q core.Queries) error {
		at, err := q.Rewrite(ctx, row.RepoID, row.ID)
		if err != nil || at.State != core.RewriteRetained {
			return err
		}
		at.Bytes = row.Bytes
		return q.SaveRewrite(ctx, at)
	})
}

// size returns how many bytes on the disk an old tip alone holds: objects that
// are on no ref but hidden ones of old tips. What two of them share is counted
// for both.
func (s *Service) size(ctx context.Context, id string, tip core.ObjectID) (int64, error) {
	out, err := s.git.Output(ctx, git.Command{
		Name: "rev-list", Dir: s.repos.Path(id), Background: true,
		// The second --not ends the first: the tip is what is counted.
		Flags: []string{"--objects", "--disk-usage", "--not", "--exclude=" + core.KeptPrefix + "*", "--all", "--not"},
		Args:  []string{string(tip)},
	})
	if err != nil {
		return 0, fmt.Errorf("count an old tip: %w", err)
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("count an old tip: %w", err)
	}
	return n, nil
}
