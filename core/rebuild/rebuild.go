package rebuild

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/durable"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/repo"
)

// marker is a file in a new folder that says that its refs are not complete yet. Its
// content is the id of the damage.
const marker = "headwater-rebuilding"

// accountedFor is how long the folder of a rebuild that lost nothing stays.
const accountedFor = 14 * 24 * time.Hour

// Needed reports whether the next sync of a repository is to rebuild it. An error
// says that it must not touch the repository: KindDamaged.
func (s *Service) Needed(r core.Repository) (bool, error) {
	d, ok := s.Of(r)
	if ok && d.State == core.DamageWaiting {
		return false, core.Errorf(core.KindDamaged, "%s", Sentence(r, d))
	}
	return ok, nil
}

// Begin returns the folder into which the upstream is to be fetched: a new one beside
// the repository's, the one of an earlier attempt, or the repository's own where that
// has taken its place already.
func (s *Service) Begin(ctx context.Context, r core.Repository) (string, error) {
	d, ok := s.Of(r)
	if !ok {
		return "", core.Errorf(core.KindInternal, "there is nothing to rebuild")
	}
	if marked(s.o.Repos.Path(r.ID), d) {
		return s.o.Repos.Path(r.ID), nil
	}
	dir := filepath.Join(s.o.Repos.TempDir(), "rebuild-"+r.ID+".git")
	if marked(dir, d) {
		return dir, nil // what it has need not be fetched again
	}
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	if err := s.o.Git.Init(ctx, dir, r.DefaultBranch, r.ObjectFormat); err != nil {
		return "", fmt.Errorf("make repository: %w", err)
	}
	if err := repo.WriteDescription(dir, r); err != nil {
		return "", err
	}
	return dir, durable.ReplaceFile(filepath.Join(dir, marker), []byte(d.ID), 0o600)
}

// marked reports whether a folder is the new one for a damage.
func marked(dir string, d core.Damage) bool {
	id, err := os.ReadFile(filepath.Join(dir, marker))
	return err == nil && string(id) == d.ID
}

// Finish puts the folder that the upstream was fetched into in the place of the
// damaged one, with all of that which can still be read.
func (s *Service) Finish(ctx context.Context, r core.Repository, dir string) error {
	d, ok := s.Of(r)
	if !ok {
		return core.Errorf(core.KindInternal, "there is nothing to rebuild")
	}
	s.o.Repos.Failpoint("rebuild-fetched")
	saved, err := s.salvage(ctx, r, d, dir)
	if err != nil {
		return err
	}
	s.o.Repos.Failpoint("rebuild-salvaged")
	if dir != s.o.Repos.Path(r.ID) {
		if saved, err = s.replace(ctx, r, d, dir, saved); err != nil {
			return err
		}
	}
	s.o.Repos.Failpoint("rebuild-placed")
	if err := s.carry(ctx, r, d, saved); err != nil {
		return err
	}
	s.o.Repos.Failpoint("rebuild-carried")
	if err := os.Remove(filepath.Join(s.o.Repos.Path(r.ID), marker)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.log.Warn("a rebuilt repository keeps its mark", "repo_id", r.ID, "error", err)
	}
	s.o.Rebuilt(r.ID)
	return nil
}

// errMoved says that a write session moved refs of the old folder while they were
// copied.
var errMoved = errors.New("refs moved while they were copied")

// moveAttempts is how often what sessions moved meanwhile is copied, too.
const moveAttempts = 5

// replace moves the folders. Sessions that had begun before the damage was found may
// still move refs of the old one, and what they brought is taken along.
func (s *Service) replace(ctx context.Context, r core.Repository, d core.Damage, dir string, saved salvaged) (salvaged, error) {
	unlock, err := s.o.Repos.Locks().LockMaintain(ctx, r.ID) // a repack of the damaged folder ends first
	if err != nil {
		return saved, err
	}
	defer unlock()
	for attempt := 1; ; attempt++ {
		err := s.o.Repos.Replace(ctx, r.ID, dir, d.ID, func() error {
			old, err := s.refsOf(d)
			if err == nil && !maps.Equal(old, saved.old) {
				err = errMoved
			}
			return err
		})
		if !errors.Is(err, errMoved) || attempt == moveAttempts {
			return saved, err
		}
		if saved, err = s.salvage(ctx, r, d, dir); err != nil {
			return saved, err
		}
	}
}

// carry sets the refs that were saved, and ends the damage.
func (s *Service) carry(ctx context.Context, r core.Repository, d core.Damage, saved salvaged) error {
	for {
		have, err := s.o.Git.RefMap(ctx, s.o.Repos.Path(r.ID), "refs/")
		if err != nil {
			return err
		}
		var updates []core.RefUpdate
		for name, id := range saved.whole {
			if have[name] != id {
				updates = append(updates, core.RefUpdate{Name: name, Old: have[name], New: id})
			}
		}
		d.State, d.EndedAt, d.Carried, d.Lost = core.DamageRebuilt, s.o.Clock.Now(), saved.carried, saved.lost
		o, err := s.o.Repos.Transact(ctx, repo.Intent{
			// First: for readers nothing moves, so there is nothing to tell ref by ref.
			Repo: r, Source: core.SourceSync, Actor: core.SystemSubject, Updates: updates, First: true,
			Record: func(ctx context.Context, q core.Queries, _ core.JournalEntry) error {
				return s.record(ctx, q, r, d, saved)
			},
		})
		if err == nil {
			err = o.Err
		}
		if re, ok := repo.IsRefError(err); ok && re.Kind == git.RefConflict && saved.drop(re.Ref) {
			continue // its name cannot be beside another one
		}
		if err != nil {
			return fmt.Errorf("set the refs of a rebuilt repository: %w", err)
		}
		s.keep(d)
		s.log.Info("a repository was rebuilt from its upstream", "repo_id", r.ID, "quarantine", d.ID, "carried", d.Carried, "lost", len(d.Lost))
		return nil
	}
}

// rebuiltBody is the body of an [core.EventRepositoryRebuilt].
type rebuiltBody struct {
	Reason     string         `json:"reason"`
	Quarantine string         `json:"quarantine"` // name of the folder, if there was one
	Carried    int            `json:"carried"`
	Lost       []core.LostRef `json:"lost"`
}

// record writes down how a rebuild ended.
func (s *Service) record(ctx context.Context, q core.Queries, r core.Repository, d core.Damage, saved salvaged) error {
	if err := q.SaveDamage(ctx, d); err != nil {
		return err
	}
	// The next listing is compared with the refs.
	if err := q.SetDigest(ctx, r.ID, ""); err != nil && core.KindOf(err) != core.KindNotFound {
		return err
	}
	for _, lost := range d.Lost {
		row, ok := saved.rows[lost.Ref]
		if !ok {
			continue
		}
		// Nobody can have it back any more.
		row.State, row.DecidedAt, row.DecidedBy = core.RewriteExpired, d.EndedAt, core.SystemSubject
		if err := q.SaveRewrite(ctx, row); err != nil {
			return err
		}
	}
	body := rebuiltBody{Reason: d.Reason, Carried: d.Carried, Lost: append([]core.LostRef{}, d.Lost...)}
	if _, there := s.o.Repos.Quarantined(d.ID); there {
		body.Quarantine = d.ID
	}
	e, err := core.RepositoryEvent(r, core.EventRepositoryRebuilt, body, d.EndedAt)
	if err != nil {
		return err
	}
	return q.AddEvents(ctx, []core.Event{e})
}

// oldFolder returns where the damaged folder is now; "" if there is none.
func (s *Service) oldFolder(d core.Damage) string {
	if path, there := s.o.Repos.Quarantined(d.ID); there {
		return path
	}
	path := s.o.Repos.Path(d.RepoID)
	if marked(path, d) {
		return "" // it is the new one already, and there was no old one
	}
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}

// refsOf reads the refs of the old folder, without those that the fetch brings.
func (s *Service) refsOf(d core.Damage) (map[string]core.ObjectID, error) {
	old := s.oldFolder(d)
	if old == "" {
		return map[string]core.ObjectID{}, nil
	}
	refs, err := git.SalvageRefs(old)
	if err != nil {
		return nil, fmt.Errorf("read the refs of a damaged repository: %w", err)
	}
	maps.DeleteFunc(refs, func(name string, _ core.ObjectID) bool { return strings.HasPrefix(name, core.TrackingPrefix) })
	return refs, nil
}

// removeAccounted removes quarantined folders of rebuilds that lost nothing, some time
// after them. All others are a person's to remove.
func (s *Service) removeAccounted(ctx context.Context) {
	dir, _ := s.o.Repos.Quarantined("")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // there is none
	}
	now := s.o.Clock.Now()
	for _, e := range entries {
		d, err := s.o.Store.Damage(ctx, e.Name())
		if err != nil || d.State != core.DamageRebuilt || len(d.Lost) > 0 || now.Sub(d.EndedAt) < accountedFor {
			continue
		}
		s.log.Info("removing a damaged repository from the quarantine; its rebuild lost nothing", "quarantine", e.Name())
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			s.log.Warn("a quarantined folder cannot be removed", "quarantine", e.Name(), "error", err)
		}
	}
}
