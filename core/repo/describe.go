package repo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/durable"
)

// DescriptionFile is the file in a repository's folder that says whose it is, so that
// a lost database is not lost names. Only doctor and restore read it: while there is
// a database, that is the truth.
const DescriptionFile = "headwater.json"

// descriptionFormat is the version of the file; a reader refuses newer ones.
const descriptionFormat = 1

// maxDescription, in bytes, bounds what is read as a description; one takes about 500.
const maxDescription = 64 << 10

// Description is what a repository's folder says of itself. It holds no secret.
type Description struct {
	Format       int                `json:"format"`
	ID           string             `json:"id"`
	Organisation string             `json:"organisation"`
	Name         string             `json:"name"`
	CreatedAt    time.Time          `json:"created_at"`
	Upstream     *DescribedUpstream `json:"upstream,omitempty"` // nil: local
}

// DescribedUpstream is [core.Upstream] in a [Description].
type DescribedUpstream struct {
	Provider      string    `json:"provider"`
	Instance      string    `json:"instance"`
	Mode          core.Mode `json:"mode"`
	Host          string    `json:"host"`
	Owner         string    `json:"owner"`
	Name          string    `json:"name"`
	ID            string    `json:"id,omitempty"`
	URL           string    `json:"url"`
	DefaultBranch string    `json:"default_branch,omitempty"`
}

// DescriptionOf returns the description of a repository.
func DescriptionOf(r core.Repository) Description {
	d := Description{Format: descriptionFormat, ID: r.ID, Organisation: r.Org, Name: r.Name, CreatedAt: r.CreatedAt.UTC()}
	if r.Upstream != nil {
		up := DescribedUpstream(*r.Upstream)
		d.Upstream = &up
	}
	return d
}

// Repository returns the repository that is described. Default branch and object format are not:
// the folder's HEAD and config say them.
func (d Description) Repository() core.Repository {
	r := core.Repository{ID: d.ID, Org: d.Organisation, Name: d.Name, CreatedAt: d.CreatedAt}
	if d.Upstream != nil {
		up := core.Upstream(*d.Upstream)
		r.Upstream = &up
	}
	return r
}

// ReadDescription reads the description in a repository's folder. The error is
// [fs.ErrNotExist] if there is none.
func ReadDescription(dir string) (Description, error) {
	path := filepath.Join(dir, DescriptionFile)
	info, err := os.Lstat(path)
	if err != nil {
		return Description{}, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxDescription {
		return Description{}, fmt.Errorf("%s is not a description of a repository", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return Description{}, err
	}
	var d Description
	if err := json.Unmarshal(text, &d); err != nil {
		return Description{}, fmt.Errorf("read %s: %w", path, err)
	}
	if d.Format < 1 || d.Format > descriptionFormat {
		return Description{}, fmt.Errorf("%s has the format %d, of which this program knows nothing; use the newer one that wrote it", path, d.Format)
	}
	return d, nil
}

// WriteDescription writes the description of a repository into its folder, durably,
// unless the same is there already.
func WriteDescription(dir string, r core.Repository) error {
	text, err := json.MarshalIndent(DescriptionOf(r), "", "  ")
	if err != nil {
		return err
	}
	text = append(text, '\n')
	path := filepath.Join(dir, DescriptionFile)
	if have, err := os.ReadFile(path); err == nil && string(have) == string(text) {
		return nil
	}
	return durable.ReplaceFile(path, text, 0o600)
}

// Describe brings the description of a repository up to what the store says. One
// that has no folder, or is not in the store any more, is none.
func (r *Repos) Describe(ctx context.Context, id string) error {
	// One at a time, or what was read first might be written last.
	r.describeMu.Lock()
	defer r.describeMu.Unlock()
	return r.describe(ctx, id)
}

func (r *Repos) describe(ctx context.Context, id string) error {
	found, err := r.store.RepositoryByID(ctx, id)
	if core.KindOf(err) == core.KindNotFound {
		return nil
	}
	if err != nil {
		return err
	}
	if err := WriteDescription(r.Path(id), found); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("describe repository %s: %w", id, err)
	}
	return nil
}

// DescribeAll describes all repositories, for folders of former versions and what
// could not be written. What cannot be written now (a full disk) keeps no server
// from starting: it is logged.
func (r *Repos) DescribeAll(ctx context.Context) error {
	ids, err := r.store.RepositoryIDs(ctx)
	if err != nil {
		return err
	}
	var all errgroup.Group
	all.SetLimit(4 * runtime.GOMAXPROCS(0))
	for _, id := range ids {
		all.Go(func() error {
			if err := r.describe(ctx, id); err != nil && ctx.Err() == nil {
				r.log.Warn("a repository's folder does not say whose it is; the next start tries again", "repo_id", id, "error", err)
			}
			return ctx.Err()
		})
	}
	return all.Wait()
}

// folders returns the folders of repositories below repos/ of a data directory, in order.
// Links on the way are not followed: what they lead to is not the server's.
func folders(dataDir string) (found []string, err error) {
	dirs := []string{filepath.Join(dataDir, "repos")}
	for depth := range 2 {
		var below []string
		for _, dir := range dirs {
			entries, err := os.ReadDir(dir)
			if err != nil && !errors.Is(err, fs.ErrNotExist) && depth == 0 {
				return nil, err // what is not to be read further down is no repository of the server's
			}
			for _, e := range entries {
				if e.IsDir() {
					below = append(below, filepath.Join(dir, e.Name()))
				}
			}
		}
		dirs = below
	}
	for _, dir := range dirs {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), ".git") {
				found = append(found, filepath.Join(dir, e.Name()))
			}
		}
	}
	return found, nil
}

// Populated returns the folders below repos/ of a data directory that have content,
// in order: what a missing or empty database would lose the names of.
func Populated(dataDir string) ([]string, error) {
	found, err := folders(dataDir)
	if err != nil {
		return nil, err
	}
	var populated []string
	for _, dir := range found {
		if hasContent(dir) {
			populated = append(populated, dir)
		}
	}
	return populated, nil
}

// hasContent reports whether a repository's folder has objects or refs.
func hasContent(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "packed-refs"))
	return err == nil || hasFiles(filepath.Join(dir, "refs")) || hasFiles(filepath.Join(dir, "objects"))
}
