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
	Leave(ctx context.Context, repo core.Repository, oids []string, before time.Time) (int, error)
}

var _ Objects = (*lfs.Service)(nil)

// Store lists which repository has which objects; [core.Store] does.
type Store interface {
	OldLFSObjects(ctx context.Context, repoID string, before time.Time, after string, limit int) ([]core.LFSObject, error)
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

// Pruned is what a repository does not need of LFS.
type Pruned struct {
	Objects []core.LFSObject // by id
	Bytes   int64            // of them
}

// Prune takes the objects away from a repository that no ref of it needs, and that were
// neither added nor offered within the last hour: a push sends objects before the ref that
// needs them. With dry it takes none away, and returns what it would. The bytes of those
// that no other repository has go after [lfs.Grace].
func (s *Service) Prune(ctx context.Context, repo core.Repository, dry bool) (Pruned, error) {
	before := s.o.Clock.Now().Add(-underWay)
	unneeded, err := s.unneeded(ctx, repo, before)
	if err != nil {
		return Pruned{}, err
	}
	var p Pruned
	oids := slices.Sorted(maps.Keys(unneeded))
	for _, oid := range oids {
		p.Objects = append(p.Objects, core.LFSObject{OID: oid, Size: unneeded[oid]})
		p.Bytes += unneeded[oid]
	}
	if !dry {
		_, err = s.o.Objects.Leave(ctx, repo, oids, before)
	}
	return p, err
}

func (s *Service) forget(ctx context.Context, repo core.Repository, forgotten map[core.ObjectID]bool) error {
	now := s.o.Clock.Now()
	unneeded, err := s.unneeded(ctx, repo, now.Add(time.Microsecond))
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

// unneeded returns the objects of a repository that were added before a time and that no
// ref needs, and their sizes: neither the refs that are shown, with their history, nor kept
// tips and drafts.
func (s *Service) unneeded(ctx context.Context, repo core.Repository, before time.Time) (map[string]int64, error) {
	unneeded := map[string]int64{}
	for after := ""; ; {
		rows, err := s.o.Store.OldLFSObjects(ctx, repo.ID, before, after, page)
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
