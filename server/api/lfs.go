package api

import (
	"context"
	"net/http"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/lfs/prune"
)

// lfsSyncView is what a mirror has still to fetch of LFS objects.
type lfsSyncView struct {
	Objects   int64           `json:"objects"`                   // that wait to be fetched
	Bytes     int64           `json:"bytes"`                     // of them
	Failing   int64           `json:"failing"`                   // of them, those whose last attempt failed
	Missing   int64           `json:"missing"`                   // that the host says it does not have
	OldestAt  *core.Timestamp `json:"oldest_at,omitempty"`       // since when the first of them waits
	NextAt    *core.Timestamp `json:"next_attempt_at,omitempty"` // of what failed or is missing
	ScannedAt *core.Timestamp `json:"scanned_at,omitempty"`      // when pointers were last looked for
	Round     *lfsRoundView   `json:"round,omitempty"`           // that is under way
}

// lfsRoundView is how far the objects have come that were found since nothing waited.
type lfsRoundView struct {
	StartedAt core.Timestamp `json:"started_at"`
	Objects   int64          `json:"objects"` // that were found
	Bytes     int64          `json:"bytes"`   // of them
	Percent   int            `json:"percent"` // of the bytes that need not be waited for any more
}

func viewLFSSync(b core.LFSBacklog) lfsSyncView {
	view := lfsSyncView{
		Objects: b.Objects, Bytes: b.Bytes, Failing: b.Failing, Missing: b.Missing, OldestAt: instant(b.OldestAt), ScannedAt: instant(b.ScannedAt),
		NextAt: instant(b.NextAt),
	}
	if !b.RoundAt.IsZero() {
		view.Round = &lfsRoundView{StartedAt: core.Timestamp(b.RoundAt), Objects: b.RoundObjects, Bytes: b.RoundBytes}
		if b.RoundBytes > 0 {
			view.Round.Percent = int(100 * max(b.RoundBytes-b.Bytes, 0) / b.RoundBytes)
		}
	}
	return view
}

// PendingLFS lists what mirrors have still to fetch. [core.Store] implements it.
type PendingLFS interface {
	PendingLFS(ctx context.Context, repoID string, tried bool, after string, limit int) ([]core.LFSPending, error)
}

// pendingLFSView is an object that is not here yet.
type pendingLFSView struct {
	OID      string          `json:"oid"`
	Size     int64           `json:"size"`
	Path     string          `json:"path"` // or one of the places
	FoundAt  core.Timestamp  `json:"found_at"`
	Attempts int             `json:"attempts"` // that failed
	NextAt   *core.Timestamp `json:"next_attempt_at,omitempty"`
	Missing  bool            `json:"missing"` // the host says that it does not have it
	Class    core.ErrorClass `json:"class,omitempty"`
	Error    string          `json:"error,omitempty"`
}

// pendingLFSList is a page of them.
type pendingLFSList struct {
	Objects []pendingLFSView `json:"objects"` // by id
	pageFields
}

func (s *server) listPendingLFS(c *call) error {
	if err := c.synced(); err != nil {
		return err
	}
	query := params{c.r.URL.Query()}
	page, err := query.page(pendingLFSListing)
	if err != nil {
		return err
	}
	tried, err := query.flag("failed")
	if err != nil {
		return err
	}
	rows, err := s.Records.PendingLFS(c.ctx(), c.repo.ID, tried, page.before, page.fetch())
	if err != nil {
		return err
	}
	rows, rest := cut(page, rows, func(p core.LFSPending) string { return p.OID })
	answer := pendingLFSList{Objects: []pendingLFSView{}, pageFields: rest}
	for _, p := range rows {
		view := pendingLFSView{
			OID: p.OID, Size: p.Size, Path: p.Path, FoundAt: core.Timestamp(p.FoundAt), Attempts: p.Attempts, NextAt: instant(p.NextAt),
			Missing: p.Missing, Class: p.Class,
		}
		if p.Attempts > 0 {
			view.Error = p.Class.Describe(p.Error)
		}
		answer.Objects = append(answer.Objects, view)
	}
	return c.answer(http.StatusOK, answer)
}

// LFSPrunes takes away what no ref needs. [*prune.Service] implements it; see there.
type LFSPrunes interface {
	Prune(ctx context.Context, repo core.Repository, dry bool) (prune.Pruned, error)
}

var _ LFSPrunes = (*prune.Service)(nil)

// maxPrunedNamed is how many objects an answer names.
const maxPrunedNamed = 1000

// prunedLFSView is what a repository does not need of LFS.
type prunedLFSView struct {
	Count   int             `json:"count"`
	Bytes   int64           `json:"bytes"`   // of all of them
	Objects []lfsObjectView `json:"objects"` // of more than 1000, the first, by id
}

// lfsObjectView is an object of LFS.
type lfsObjectView struct {
	OID  string `json:"oid"`
	Size int64  `json:"size"`
}

// pruneLFS takes objects away. With ?dry_run=true nothing is changed, and the answer
// says what would be.
func (s *server) pruneLFS(c *call) error {
	if s.LFSPrunes == nil {
		return core.Errorf(core.KindUnsupported, "prunes are not available on this server")
	}
	query := params{c.r.URL.Query()}
	dry, err := query.flag("dry_run")
	if err != nil {
		return err
	}
	if err := s.Repositories.CheckReady(c.ctx(), c.repo); err != nil {
		return err
	}
	p, err := s.LFSPrunes.Prune(c.ctx(), c.repo, dry)
	if err != nil {
		return err
	}
	if dry {
		c.audited.Store(true) // there is nothing to record
	}
	answer := prunedLFSView{Count: len(p.Objects), Bytes: p.Bytes, Objects: []lfsObjectView{}}
	for _, o := range p.Objects[:min(len(p.Objects), maxPrunedNamed)] {
		answer.Objects = append(answer.Objects, lfsObjectView{OID: o.OID, Size: o.Size})
	}
	return c.answer(http.StatusOK, answer)
}
