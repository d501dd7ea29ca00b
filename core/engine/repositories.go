package engine

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/commit"
	"github.com/headwater-git/headwater/core/schedule"
	"github.com/headwater-git/headwater/core/upstream"
	"github.com/headwater-git/headwater/providers"
)

// defaultBranch is the default branch of a repository that asks for none.
const defaultBranch = "main"

// CreateRepository makes a repository on disk and in the store and returns it
// when it can be used. KindInvalid: bad name, branch, provider or host.
// KindConflict: the name is taken (or is linked already). KindPrecondition: the
// provider lacks its configuration. KindNotFound: a public upstream that cannot
// be read.
func (e *Engine) CreateRepository(ctx context.Context, r CreateRequest) (core.Repository, error) {
	if err := core.ValidateRepositoryName(r.Name); err != nil {
		return core.Repository{}, err
	}
	if _, err := e.store.Repository(ctx, r.Org, r.Name); err == nil {
		return core.Repository{}, core.Errorf(core.KindConflict, "repository %q already exists", r.Name)
	} else if core.KindOf(err) != core.KindNotFound {
		return core.Repository{}, err
	}
	if err := e.quota.CheckCreate(ctx, r.Org); err != nil {
		return core.Repository{}, err
	}
	now := e.clock.Now()
	repo := core.Repository{
		ID: core.NewID("repo", now), Org: r.Org, Name: r.Name, DefaultBranch: r.DefaultBranch, ObjectFormat: "sha1", CreatedAt: now,
	}
	if r.Upstream != nil {
		up, remote, err := e.upstreams.Link(ctx, upstream.LinkRequest{
			Provider: r.Upstream.Provider, Public: r.Upstream.Public, Owner: r.Upstream.Owner, Name: r.Upstream.Name, Host: r.Upstream.Host,
			Listed: r.Upstream.Listed,
		})
		if err != nil {
			return core.Repository{}, err
		}
		up.DefaultBranch = r.Upstream.DefaultBranch
		repo.Upstream = &up
		if up.DefaultBranch != "" {
			repo.DefaultBranch = up.DefaultBranch
		} else if remote.DefaultBranch != "" {
			repo.DefaultBranch = remote.DefaultBranch
		}
	}
	if r.Copy != nil {
		repo.ObjectFormat = r.Copy.From.ObjectFormat
		if repo.DefaultBranch == "" {
			repo.DefaultBranch = r.Copy.From.DefaultBranch
		}
	}
	if repo.DefaultBranch == "" {
		repo.DefaultBranch = defaultBranch
	}
	if err := core.ValidateBranchName(repo.DefaultBranch); err != nil {
		return core.Repository{}, err
	}
	if err := e.makeRepository(ctx, repo, r.Copy); err != nil {
		return core.Repository{}, err
	}
	e.repos.Failpoint("create-made")
	if err := e.store.Tx(ctx, func(q core.Queries) error {
		if err := q.CreateRepository(ctx, repo); err != nil || r.Copy == nil {
			return err
		}
		// Its pointers are the source's, so its objects are, too.
		return q.CopyLFSObjects(ctx, r.Copy.From.ID, repo.ID, now)
	}); err != nil {
		if derr := e.repos.Delete(context.WithoutCancel(ctx), repo.ID); derr != nil {
			e.log.Warn("an unused folder stays until the next start", "repo_id", repo.ID, "error", derr)
		}
		return core.Repository{}, err
	}
	if repo.Upstream != nil {
		e.checkInbound(ctx, repo.ID)
	}
	if repo.Upstream != nil && repo.Upstream.Mode != providers.ModeGeneric {
		// Nothing is missing for the first mirror. A generic upstream waits
		// for its credential and a pull.
		if _, err := e.schedule.Request(ctx, repo.ID, schedule.TriggerCreate, ""); err != nil {
			return core.Repository{}, err
		}
	}
	e.usage.Due(repo.ID)
	if r.Copy != nil {
		e.maintain.Due(repo.ID) // a bitmap for the first clones
	}
	e.log.Info("repository created", "repo_id", repo.ID, "org", repo.Org, "name", repo.Name, "synced", repo.Upstream != nil)
	return repo, nil
}

// makeRepository makes the repository on disk, empty or as a copy.
func (e *Engine) makeRepository(ctx context.Context, r core.Repository, from *CopyRequest) error {
	if from == nil {
		return e.repos.Create(ctx, r.ID, r.DefaultBranch, r.ObjectFormat)
	}
	if err := e.CheckReady(ctx, from.From); err != nil {
		return err
	}
	c, err := e.commit.Prepare(ctx, commit.Copy{
		From: from.From, Revision: from.Revision, Branch: r.DefaultBranch, Snapshot: from.Snapshot, Initial: from.Initial,
	})
	if err != nil {
		return err
	}
	return e.repos.CreateFrom(ctx, r.ID, r.DefaultBranch, r.ObjectFormat, func(ctx context.Context, dir string) error {
		return e.commit.Fill(ctx, dir, c)
	})
}

// SetDefaultBranch returns the repository with its new default branch. KindNotFound:
// the branch does not exist in a repository that has branches.
func (e *Engine) SetDefaultBranch(ctx context.Context, r core.Repository, branch string) (core.Repository, error) {
	branch = strings.TrimPrefix(branch, "refs/heads/")
	if err := core.ValidateBranchName(branch); err != nil {
		return r, err
	}
	if err := e.rebuild.Check(r); err != nil {
		return r, err
	}
	heads, err := e.git.RefMap(ctx, e.repos.Path(r.ID), "refs/heads/")
	if err != nil {
		return r, err
	}
	if _, ok := heads["refs/heads/"+branch]; !ok && len(heads) > 0 {
		return r, core.Errorf(core.KindNotFound, "branch %q does not exist", branch)
	}
	err = e.repos.SetHead(ctx, r.ID, branch, func(q core.Queries) error {
		if r.Upstream != nil {
			// Chosen here, so it stays although the upstream's HEAD differs.
			if err := q.PinDefaultBranch(ctx, r.ID, branch); err != nil {
				return err
			}
		}
		return q.SetDefaultBranch(ctx, r.ID, branch)
	})
	if err != nil {
		return r, err
	}
	return e.store.RepositoryByID(ctx, r.ID)
}

// Detach forgets link and credential and keeps the content. It is idempotent.
// KindConflict: the content is not here, and only the link and the credential can
// bring it back.
func (e *Engine) Detach(ctx context.Context, r core.Repository) error {
	if err := e.checkDetach(r); err != nil {
		return err
	}
	gone := e.inbound.Leaving(ctx, r)
	if err := e.store.DetachUpstream(ctx, r.ID); err != nil {
		return err
	}
	gone()
	// A run that had begun must not move refs of what is a local repository
	// now; none begins any more.
	if err := e.sync.Cancel(ctx, r.ID); err != nil {
		return err
	}
	e.log.Info("repository detached from its upstream", "repo_id", r.ID)
	return nil
}

// SyncStatus returns what a caller may know of a repository's state.
func (e *Engine) SyncStatus(ctx context.Context, r core.Repository) (SyncStatus, error) {
	state, err := e.store.SyncState(ctx, r.ID)
	if err != nil {
		return SyncStatus{}, err
	}
	st := SyncStatus{SyncState: state, Unconfirmed: e.push.Unsettled(r.ID)}
	if d, ok := e.rebuild.Of(r); ok {
		st.Damage = &d
	}
	if p, ok := e.sync.Progress(r.ID); ok {
		st.Running, st.Progress = true, &p
	}
	runs, err := e.store.Runs(ctx, r.ID, "", 1)
	if err != nil {
		return SyncStatus{}, err
	}
	if len(runs) > 0 {
		st.LastRun = &runs[0]
	}
	w, err := e.store.InboundWebhook(ctx, r.ID)
	switch {
	case err == nil:
		st.Webhook = &w
	case core.KindOf(err) != core.KindNotFound:
		return SyncStatus{}, err
	}
	expected, err := e.store.Expectations(ctx, r.ID)
	if err != nil {
		return SyncStatus{}, err
	}
	st.Expected = len(expected)
	if r.Upstream != nil {
		st.HostRests = e.schedule.PausedUntil(r.Upstream.Host)
		st.Identity = e.monitor.Identity(r)
	}
	if !st.PausedAt.IsZero() {
		st.PollAt, st.NextAttemptAt = time.Time{}, time.Time{} // nothing comes by itself
	}
	if !st.PollAt.IsZero() {
		st.PollAt = e.nextPoll(st.SyncState)
	}
	if e.backlog.Mirrors(r.ID) {
		b, err := e.store.LFSBacklog(ctx, r.ID)
		if err != nil {
			return SyncStatus{}, err
		}
		st.LFS = &b
	}
	st.Held, err = e.held(ctx, r)
	return st, err
}

// nextPoll returns when the upstream is looked at next: now, if it is due, but
// while a run waits for its time there is no look before that.
func (e *Engine) nextPoll(state core.SyncState) time.Time {
	at := state.PollAt
	if now := e.clock.Now(); at.Before(now) {
		at = now
	}
	if state.Served < state.Wanted && at.Before(state.NextAttemptAt) {
		at = state.NextAttemptAt
	}
	return at
}

// held returns the rewrites that policies keep from being followed, by ref.
func (e *Engine) held(ctx context.Context, r core.Repository) ([]core.Rewrite, error) {
	rows, err := e.store.HeldRewrites(ctx, r.ID)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	rules, err := e.repos.Rules(ctx, r)
	if err != nil {
		return nil, err
	}
	var held []core.Rewrite
	for _, row := range core.NewestHeld(rows) {
		if rules.Keeps(row) {
			held = append(held, row)
		}
	}
	slices.SortFunc(held, func(a, b core.Rewrite) int { return strings.Compare(a.Ref, b.Ref) })
	return held, nil
}

// CheckReady is KindSyncing while the first sync of a repository runs or is about
// to. After one that failed, the repository is an empty one. It is KindRebuilding or
// KindDamaged where the content is not here, see [rebuild.Service.Check].
func (e *Engine) CheckReady(ctx context.Context, r core.Repository) error {
	if err := e.checkContent(ctx, r); err != nil {
		return err
	}
	if r.Upstream == nil {
		return nil
	}
	state, err := e.store.SyncState(ctx, r.ID)
	if core.KindOf(err) == core.KindNotFound {
		return nil // detached meanwhile
	}
	if err != nil {
		return err
	}
	if state.Ready() {
		return nil
	}
	_, running := e.sync.Progress(r.ID)
	if running || state.Wanted > state.Served && state.NextAttemptAt.IsZero() {
		return &core.Error{Kind: core.KindSyncing, Message: "repository sync in progress. please retry shortly", RetryAfter: 2 * time.Second}
	}
	return nil
}
