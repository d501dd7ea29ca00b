// Package prune takes the LFS objects away from a repository that no ref of it needs.
package prune

import (
	"context"
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

// Forget implements [forget.Forgetter]: what pointers that were forgotten have led to is
// among what no ref needs. It drops all of that, however new it is: of an object that
// nobody points to yet, nobody can tell whether its pointer was forgotten. Whoever is
// pushing at that moment may have to push again.
func (s *Service) Forget(ctx context.Context, repo core.Repository, _ []core.ObjectID) error {
	if _, err := s.Prune(ctx, repo, s.o.Clock.Now().Add(time.Microsecond)); err != nil {
		return fmt.Errorf("%w: purge it again", err)
	}
	return nil
}

// Prune takes the objects away from a repository that were added before a time and that
// no ref needs: neither the refs that are shown, with their history, nor kept tips and
// drafts. It returns how many they were.
func (s *Service) Prune(ctx context.Context, repo core.Repository, before time.Time) (int, error) {
	unneeded := map[string]bool{}
	for after := ""; ; {
		rows, err := s.o.Store.LFSObjects(ctx, repo.ID, after, page)
		if err != nil {
			return 0, err
		}
		for _, row := range rows {
			unneeded[row.OID] = true
			after = row.OID
		}
		if len(rows) < page {
			break
		}
	}
	if len(unneeded) == 0 {
		return 0, nil
	}
	refs, err := s.o.Git.RefMap(ctx, s.o.Path(repo.ID), "refs/")
	if err != nil {
		return 0, err
	}
	tips := slices.Sorted(maps.Values(refs))
	err = s.o.Scanner.All(ctx, s.o.Path(repo.ID), slices.Compact(tips), func(found []scan.Found) error {
		for _, f := range found {
			delete(unneeded, string(f.OID))
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return s.o.Objects.Drop(ctx, repo, slices.Sorted(maps.Keys(unneeded)), before)
}
