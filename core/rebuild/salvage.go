package rebuild

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
)

// salvaged is what a rebuilt repository gets beside what its upstream has.
type salvaged struct {
	old     map[string]core.ObjectID // refs that were read in the old folder
	whole   map[string]core.ObjectID // refs to set: all that they lead to is here
	carried int                      // of whole: what the old folder or the rows had
	lost    []core.LostRef           // sorted by ref
	rows    map[string]core.Rewrite  // rewrites whose tips these are, by ref on disk
}

// drop counts a ref as lost. It is false if it was not one to set.
func (p *salvaged) drop(ref string) bool {
	id, ok := p.whole[ref]
	if ok {
		delete(p.whole, ref)
		p.lost = append(p.lost, core.LostRef{Ref: ref, ID: id})
	}
	return ok
}

// journaled is how many journal entries are read to find refs whose files are gone.
const journaled = 10_000

// salvage copies into the new folder what the old one has beside the upstream.
func (s *Service) salvage(ctx context.Context, r core.Repository, d core.Damage, dir string) (salvaged, error) {
	p := salvaged{whole: map[string]core.ObjectID{}, rows: map[string]core.Rewrite{}}
	var err error
	if p.old, err = s.refsOf(d); err != nil {
		return p, err
	}
	old := s.oldFolder(d)
	gone := old == ""
	if _, err := os.Stat(filepath.Join(old, "refs")); errors.Is(err, fs.ErrNotExist) {
		gone = true
	}
	wanted, err := s.wanted(ctx, r, &p, gone)
	if err != nil {
		return p, err
	}
	tracked, err := s.o.Git.RefMap(ctx, dir, core.TrackingPrefix)
	if err != nil {
		return p, err
	}
	complete, err := s.copyTips(ctx, old, dir, wanted, tracked)
	if err != nil {
		return p, err
	}
	for name, id := range wanted {
		upstream, there := tracked[core.TrackingRef(name)]
		_, held := p.rows[name]
		switch {
		case complete[id]:
			p.whole[name] = id
			p.carried++
		case there && !held:
			p.whole[name] = upstream // what the upstream has is what counts
		default:
			p.lost = append(p.lost, core.LostRef{Ref: name, ID: id})
		}
	}
	slices.SortFunc(p.lost, func(a, b core.LostRef) int { return strings.Compare(a.Ref, b.Ref) })
	for name, id := range tracked {
		public := "refs/" + strings.TrimPrefix(name, core.TrackingPrefix)
		if _, ok := p.whole[public]; gone && !ok {
			// Nothing tells which of the upstream's refs are new to readers, so no event is made of one.
			p.whole[public] = id
		}
	}
	return p, nil
}

// wanted returns the refs that the repository had, by their names on disk: those of
// the old folder, over them, if its files are gone, those of the journal, and those
// that rows of rewrites tell of.
func (s *Service) wanted(ctx context.Context, r core.Repository, p *salvaged, gone bool) (map[string]core.ObjectID, error) {
	wanted := maps.Clone(p.old)
	if gone {
		entries, err := s.o.Store.Journal(ctx, r.ID, journaled)
		if err != nil {
			return nil, err
		}
		for _, j := range slices.Backward(entries) { // oldest first, so that the newest counts
			for _, u := range j.Updates {
				if j.State == core.JournalApplied {
					wanted[j.Namespace.Path(u.Name)] = u.New
				}
			}
		}
	}
	for before := ""; ; {
		rows, err := s.o.Store.Rewrites(ctx, core.RewriteFilter{RepoID: r.ID, States: []core.RewriteState{core.RewriteRetained}, Before: before, Limit: 500})
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			wanted[row.KeptRef()], p.rows[row.KeptRef()] = row.Old, row
		}
		if len(rows) < 500 {
			break
		}
		before = rows[len(rows)-1].ID
	}
	held, err := s.o.Store.HeldRewrites(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	for ref, row := range core.NewestHeld(held) {
		wanted[ref], p.rows[ref] = row.Old, row
	}
	for name, id := range wanted {
		if id.IsZero() {
			delete(wanted, name)
		}
	}
	return wanted, nil
}

// copyTips copies what leads from the wanted ids, and returns those of which
// everything is in the new folder then.
func (s *Service) copyTips(ctx context.Context, from, to string, wanted, tracked map[string]core.ObjectID) (map[core.ObjectID]bool, error) {
	complete := make(map[core.ObjectID]bool, len(tracked))
	for _, id := range tracked {
		complete[id] = true // git has checked what it fetched
	}
	var tips []core.ObjectID
	for _, id := range wanted {
		if !complete[id] {
			tips = append(tips, id)
		}
	}
	slices.Sort(tips)
	tips = slices.Compact(tips)
	if len(tips) == 0 {
		return complete, nil
	}
	all, err := s.o.Git.CompleteAll(ctx, to, tips)
	if err != nil {
		return nil, err
	}
	if !all && from != "" {
		if err := s.copyMissing(ctx, from, to, tips); err != nil {
			return nil, err
		}
	}
	return complete, s.check(ctx, to, tips, complete)
}

// copyMissing copies what leads from the tips. Where something cannot be read, halves
// are tried, down to single tips: a damaged object takes along only what needs it.
func (s *Service) copyMissing(ctx context.Context, from, to string, tips []core.ObjectID) error {
	err := s.o.Git.Salvage(ctx, from, to, tips)
	if _, refused := errors.AsType[*git.ExitError](err); !refused || len(tips) == 1 {
		if refused {
			return nil // it is lost
		}
		return err
	}
	half := len(tips) / 2
	if err := s.copyMissing(ctx, from, to, tips[:half]); err != nil {
		return err
	}
	return s.copyMissing(ctx, from, to, tips[half:])
}

// check notes of which tips everything is there, by halves as well.
func (s *Service) check(ctx context.Context, dir string, tips []core.ObjectID, complete map[core.ObjectID]bool) error {
	all, err := s.o.Git.CompleteAll(ctx, dir, tips)
	if err != nil {
		return err
	}
	if all || len(tips) == 1 {
		for _, tip := range tips {
			complete[tip] = all
		}
		return nil
	}
	half := len(tips) / 2
	if err := s.check(ctx, dir, tips[:half], complete); err != nil {
		return err
	}
	return s.check(ctx, dir, tips[half:], complete)
}
