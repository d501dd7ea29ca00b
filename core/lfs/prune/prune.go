// Package prune takes the LFS objects away from a repository that no ref of it needs.
package prune

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/forget"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/lfs"
	"github.com/headwater-git/headwater/core/lfs/scan"
)

// page is how many objects are listed at once.
const page = 1000

// Objects has objects; *lfs.Service does.
type Objects interface {
	Drop(ctx context.Context, repo core.Repository, oids []string, before time.Time) (int, error)
}

var _ Objects = (*lfs.Service)(nil)

// Store lists which repository has which objects; [core.Store] does.
type Store interface {
	LFSObjects(ctx context.Context, repoID, after string, limit int) ([]core.LFSObject, error)
}

// Options configures [New]. All is required.
type Options struct {
	Store   Store
	Objects Objects
	Scanner *scan.Scanner
	Git     *git.Git
	Path    func(repoID string) string // of its folder
	Clock   core.Clock
}

// Service prunes. It is safe for concurrent use.
type Service struct{ o Options }

// New returns a service.
func New(o Options) *Service { return &Service{o} }

var _ forget.Forgetter = (*Service)(nil)

// underWay is how long an object may be here before its pointer is: a push sends the one
// before the other.
const underWay = time.Hour

// Forget implements [forget.Forgetter]: what pointers that were forgotten have led to is
// among what no ref needs. Of what was added within the last hour it drops those objects
// alone whose pointer is one of ids, as git-lfs writes it: the others may belong to a push
// that is under way, and whose refs come next.
func (s *Service) Forget(ctx context.Context, repo core.Repository, ids []core.ObjectID) error {
	forgotten := make(map[core.ObjectID]bool, len(ids))
	for _, id := range ids {
		forgotten[id] = true
	}
	if err := s.forget(ctx, repo, forgotten); err != nil {
		return fmt.Errorf("%w: purge it again", err)
	}
	return nil
}

func (s *Service) forget(ctx context.Context, repo core.Repository, forgotten map[core.ObjectID]bool) error {
	unneeded, err := s.unneeded(ctx, repo)
	if err != nil {
		return err
	}
	all := slices.Sorted(maps.Keys(unneeded))
	var pointed []string
	for _, oid := range all {
		p := lfs.Pointer{OID: lfs.OID(oid), Size: unneeded[oid]}
		if forgotten[blobID(repo.ObjectFormat, p.Encode())] {
			pointed = append(pointed, oid)
		}
	}
	now := s.o.Clock.Now()
	if _, err := s.o.Objects.Drop(ctx, repo, pointed, now.Add(time.Microsecond)); err != nil {
		return err
	}
	_, err = s.o.Objects.Drop(ctx, repo, all, now.Add(-underWay))
	return err
}

// blobID returns the id of a blob in a repository.
func blobID(format string, content []byte) core.ObjectID {
	sum := git.NewHash(format)
	_, _ = fmt.Fprintf(sum, "blob %d\x00%s", len(content), content) // a hash takes all
	return core.ObjectID(hex.EncodeToString(sum.Sum(nil)))
}

// unneeded returns the objects of a repository that no ref needs, and their sizes: neither
// the refs that are shown, with their history, nor kept tips and drafts.
func (s *Service) unneeded(ctx context.Context, repo core.Repository) (map[string]int64, error) {
	unneeded := map[string]int64{}
	for after := ""; ; {
		rows, err := s.o.Store.LFSObjects(ctx, repo.ID, after, page)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			unneeded[row.OID] = row.Size
			after = row.OID
		}
		if len(rows) < page {
			break
		}
	}
	if len(unneeded) == 0 {
		return unneeded, nil
	}
	refs, err := s.o.Git.RefMap(ctx, s.o.Path(repo.ID), "refs/")
	if err != nil {
		return nil, err
	}
	tips := slices.Sorted(maps.Values(refs))
	err = s.o.Scanner.All(ctx, s.o.Path(repo.ID), slices.Compact(tips), func(found []scan.Found) error {
		for _, f := range found {
			delete(unneeded, string(f.OID))
		}
		return nil
	})
	return unneeded, err
}
