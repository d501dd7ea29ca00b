package inbound

import (
	"context"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/providers"
)

const (
	// maxExpectations bounds what is kept of one webhook. With more refs the
	// look takes them all anyway; only its repetitions know the first ones alone.
	maxExpectations = 1000
	// expectFor is how long an announced ref is looked for.
	expectFor = 10 * time.Minute
	// maxTogether is how many repositories may follow one upstream and still be
	// served in the transaction of the delivery.
	maxTogether = 500
)

// take records a delivery and asks for what it hints at, in one transaction.
// It returns how many repositories it concerns. KindConflict: it came before.
func (s *Service) take(ctx context.Context, a *Address, id string, result providers.WebhookResult, now time.Time) (int, error) {
	repos, doubtful, err := s.concerned(ctx, a, result)
	if err != nil {
		return 0, err
	}
	look := false
	switch result.Kind {
	case providers.WebhookPush, providers.WebhookRef, providers.WebhookDefaultBranch:
		look = true
	case providers.WebhookRenamed, providers.WebhookDeleted:
		doubtful = append(doubtful, repos...)
	case providers.WebhookInstallation, providers.WebhookPing, providers.WebhookIgnored:
		// An installation is followed up below; the others are good for nothing
		// but to know that the address works.
	}
	late := repos[min(len(repos), maxTogether):]
	repos = repos[:min(len(repos), maxTogether)]
	d := core.InboundDelivery{Instance: a.instance, DeliveryID: id, Kind: result.Kind, ReceivedAt: now}
	if len(repos) == 1 {
		d.RepoID = repos[0].ID
	}
	err = s.store.Tx(ctx, func(q core.Queries) error {
		if err := q.AddInboundDelivery(ctx, d); err != nil {
			return err
		}
		for _, r := range repos {
			if err := q.NoteInbound(ctx, r.ID, now, time.Time{}); err != nil && core.KindOf(err) != core.KindNotFound {
				return err
			}
			if !look {
				continue
			}
			if err := s.announce(ctx, q, r.ID, result, now); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	if look && len(repos) > 0 {
		s.announcements.NotifyAll()
	}
	if result.Kind == providers.WebhookInstallation {
		s.ask(check{instance: a.instance, host: result.Host, account: result.Account, hints: result.Repositories})
	}
	for _, r := range append(doubtful, late...) {
		s.ask(check{repoID: r.ID})
	}
	return len(repos) + len(late), nil
}

// concerned finds the repositories that a webhook is about, and those of which
// only the host can tell whether it is about them: another repository has the
// path of their upstream.
func (s *Service) concerned(ctx context.Context, a *Address, result providers.WebhookResult) (repos, doubtful []core.Repository, err error) {
	if a.webhook != nil {
		return []core.Repository{a.repo}, nil, nil
	}
	if result.RepositoryID == "" && result.RepositoryPath == "" {
		return nil, nil, nil
	}
	seen := map[string]bool{}
	if result.RepositoryID != "" {
		repos, err = s.store.RepositoriesOf(ctx, a.instance, result.Host, result.RepositoryID, "")
		if err != nil {
			return nil, nil, err
		}
		for _, r := range repos {
			seen[r.ID] = true
		}
	}
	if result.RepositoryPath == "" {
		return repos, nil, nil
	}
	byPath, err := s.store.RepositoriesOf(ctx, a.instance, result.Host, "", result.RepositoryPath)
	if err != nil {
		return nil, nil, err
	}
	for _, r := range byPath {
		switch {
		case seen[r.ID]:
		case result.RepositoryID == "" || r.Upstream.ID == "":
			repos = append(repos, r)
		default:
			doubtful = append(doubtful, r)
		}
	}
	return repos, doubtful, nil
}

// announce asks for a look at one repository. One that expects nothing is added
// where the refs are not all that moved, because a repository may mirror none of
// those that are named.
func (s *Service) announce(ctx context.Context, q core.Queries, repoID string, result providers.WebhookResult, now time.Time) error {
	expect, all := expectations(repoID, result, now)
	err := error(nil)
	if len(expect) > 0 {
		err = s.announcements.AnnounceIn(ctx, q, repoID, expect)
	}
	if err == nil && !all {
		err = s.announcements.AnnounceIn(ctx, q, repoID, nil)
	}
	return notMissing(err) // detached since it was found: there is nothing to look at
}

// expectations turns the refs of a webhook into what a listing must show, of
// branches and tags whose new id the host tells. It reports whether that is all
// that the webhook is about.
func expectations(repoID string, result providers.WebhookResult, now time.Time) (out []core.Expectation, all bool) {
	all = !result.Truncated && len(result.Refs) > 0
	for _, hint := range result.Refs {
		id := core.ObjectID(hint.New)
		if len(out) == maxExpectations || !id.Valid() || !core.UpstreamOwned(core.Default, hint.Name) || core.ValidateRefName(hint.Name) != nil {
			all = false
			continue
		}
		if id.IsZero() {
			id = "" // a deletion
		}
		old := core.ObjectID(hint.Old)
		if !old.Valid() || old.IsZero() {
			old = ""
		}
		out = append(out, core.Expectation{
			RepoID: repoID, Ref: hint.Name, Old: old, New: id, Since: now, ExpiresAt: now.Add(expectFor),
		})
	}
	return out, all
}
