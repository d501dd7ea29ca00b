package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/repo"
)

// Adoption is what became of one folder that the database did not know.
type Adoption struct {
	Dir          string `json:"dir"`
	ID           string `json:"id"`
	Organisation string `json:"organisation"`
	Name         string `json:"name"`
	Synced       bool   `json:"synced"`
	Refused      string `json:"refused,omitempty"` // why it was not taken; nothing was changed then
}

// AdoptStore is what [Adopt] needs of [core.Store].
type AdoptStore interface {
	RepositoryByID(ctx context.Context, id string) (core.Repository, error)
	DeletedRepositoryByID(ctx context.Context, id string) (core.Repository, error)
	core.Transactor
}

// Adopt takes the folders of a data directory that the database does not know into it,
// as they describe themselves; organisations that are missing are made, without keys.
// Synced ones are looked at when the server runs: what is here is not fetched again.
// Credentials were in the database and are lost. Each folder is taken or not by itself.
func Adopt(ctx context.Context, dataDir string, s AdoptStore, g *git.Git, now time.Time) ([]Adoption, error) {
	populated, err := repo.Populated(dataDir)
	if err != nil {
		return nil, err
	}
	all := []Adoption{}
	for _, dir := range populated {
		id := strings.TrimSuffix(filepath.Base(dir), ".git")
		_, err := s.RepositoryByID(ctx, id)
		if core.KindOf(err) == core.KindNotFound {
			_, err = s.DeletedRepositoryByID(ctx, id)
		}
		if err == nil {
			continue
		} else if core.KindOf(err) != core.KindNotFound {
			return all, err
		}
		a := Adoption{Dir: dir, ID: id}
		if err := a.adopt(ctx, dataDir, s, g, now); err != nil {
			if ctx.Err() != nil {
				return all, ctx.Err()
			}
			a.Refused = Shown(err.Error())
		}
		all = append(all, a)
	}
	return all, nil
}

func (a *Adoption) adopt(ctx context.Context, dataDir string, s AdoptStore, g *git.Git, now time.Time) error {
	d, err := repo.ReadDescription(a.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("it does not say whose it is: headwater repo adopt %s NAME takes a copy of it", word(a.Dir))
	}
	if err != nil {
		return fmt.Errorf("what it says of itself cannot be read: %w; headwater repo adopt %s NAME takes a copy of it", err, word(a.Dir))
	}
	a.Organisation, a.Name, a.Synced = d.Organisation, d.Name, d.Upstream != nil
	if d.ID != a.ID {
		return fmt.Errorf("it says that it is %s, another repository", d.ID)
	}
	if err := core.ValidateRepositoryName(d.Name); err != nil {
		return fmt.Errorf("it cannot be named %q: %w", d.Name, err)
	}
	r := d.Repository()
	format, err := g.Output(ctx, git.Command{Name: "rev-parse", Dir: a.Dir, Flags: []string{"--show-object-format"}})
	if err != nil {
		return fmt.Errorf("it cannot be read: %w", err)
	}
	r.ObjectFormat = strings.TrimSpace(string(format))
	head, err := os.ReadFile(filepath.Join(a.Dir, "HEAD"))
	if err != nil {
		return err
	}
	r.DefaultBranch = strings.TrimPrefix(strings.TrimSpace(string(head)), "ref: refs/heads/")
	if err := core.ValidateBranchName(r.DefaultBranch); err != nil {
		return fmt.Errorf("its HEAD names no branch: %w", err)
	}
	refs, err := g.Refs(ctx, a.Dir, "refs/heads/", "refs/tags/")
	if err != nil {
		return fmt.Errorf("its refs cannot be read: %w", err)
	}
	var objects []core.LFSObject
	if r.Upstream == nil {
		if objects, err = adoptLFS(ctx, dataDir, g, a.Dir, refs); err != nil {
			return fmt.Errorf("its LFS pointers cannot be read: %w", err)
		}
	}
	err = s.Tx(ctx, func(q core.Queries) error {
		if _, err := q.Org(ctx, r.Org); core.KindOf(err) == core.KindNotFound {
			if err := q.CreateOrg(ctx, core.Org{Name: r.Org, CreatedAt: now}); err != nil {
				return err
			}
		} else if err != nil {
			return err
		}
		if err := q.CreateRepository(ctx, r); err != nil {
			return err
		}
		if len(objects) > 0 {
			if err := q.AddLFSObjects(ctx, r.ID, objects, now); err != nil {
				return err
			}
		}
		if r.Upstream == nil {
			return nil
		}
		if len(refs) > 0 {
			// It has content: reads go on during its first run, as after an attach.
			if err := q.MarkSynced(ctx, r.ID, now); err != nil {
				return err
			}
		}
		_, err := q.RequestSync(ctx, r.ID, "create", "")
		return err
	})
	if core.KindOf(err) == core.KindConflict {
		return fmt.Errorf("%s has another repository of the name %q", r.Org, r.Name)
	}
	return err
}
