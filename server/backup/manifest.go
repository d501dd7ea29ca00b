package backup

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/headwater-git/headwater/core/lfs"
)

// Names within one backup.
const (
	manifestFile = "backup.json"
	databaseFile = "headwater.db"
	keysFile     = "keys.age"
	reposFolder  = "repos"
	lfsFolder    = lfs.FolderName
)

// manifestFormat is the version of a backup's layout; a reader refuses newer ones.
const manifestFormat = 1

// stamp is the form of a backup's folder name, in UTC.
const stamp = "20060102T150405Z"

// Why a repository is or is not in a backup.
const (
	ReasonLocal       = "local"                           // it has no upstream
	ReasonOwnRefs     = "refs of its own"                 // kept tips, notes, ephemeral branches, or refs that differ from the upstream's
	ReasonUnreachable = "upstream not available"          // nothing to fetch it from
	ReasonAll         = "all were asked for"              // with --all
	ReasonDerived     = "fetched again from its upstream" // not in the backup
)

// Manifest says what is in a backup. It is written when all else is on the disk, so
// that a folder without one is no backup.
type Manifest struct {
	Format       int                  `json:"format"`
	MadeAt       time.Time            `json:"made_at"` // the moment that database and refs are of
	Version      string               `json:"version"` // of the program
	Database     ManifestFile         `json:"database"`
	Keys         bool                 `json:"keys"` // keys.age is there
	Repositories []ManifestRepository `json:"repositories"`
	LFS          ManifestLFS          `json:"lfs"`
}

// ManifestLFS is what a backup has of LFS objects: those of the repositories that are in
// it, once each.
type ManifestLFS struct {
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
}

// ManifestFile is a file and what it must be.
type ManifestFile struct {
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// ManifestRepository is a repository of the database.
type ManifestRepository struct {
	ID           string `json:"id"`
	Organisation string `json:"organisation"`
	Name         string `json:"name"`
	Included     bool   `json:"included"`
	Reason       string `json:"reason"`
	Refs         int    `json:"refs"`  // of all kinds, those of the server's own too
	Files        int    `json:"files"` // in its folder of the backup
	Bytes        int64  `json:"bytes"` // of those files
}

// Included counts the repositories that a backup has.
func (m Manifest) Included() (n int) {
	for _, r := range m.Repositories {
		if r.Included {
			n++
		}
	}
	return n
}

// ReadManifest reads the manifest of a backup's folder. The error is [fs.ErrNotExist]
// if it is no backup.
func ReadManifest(dir string) (Manifest, error) {
	text, err := os.ReadFile(filepath.Join(dir, manifestFile))
	if err != nil {
		return Manifest{}, err
	}
	var m Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return Manifest{}, fmt.Errorf("read %s: %w", filepath.Join(dir, manifestFile), err)
	}
	if m.Format < 1 || m.Format > manifestFormat {
		return Manifest{}, fmt.Errorf("the backup %s has the format %d, of which this program knows nothing; use the newer one that made it", dir, m.Format)
	}
	return m, nil
}

// Backups lists the whole backups below a folder by their names, oldest first.
func Backups(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if _, err := time.Parse(stamp, e.Name()); err != nil {
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, e.Name(), manifestFile)); err == nil {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

// Latest returns the folder of the newest backup below dir, or dir itself if it is one.
func Latest(dir string) (string, error) {
	if _, err := os.Stat(filepath.Join(dir, manifestFile)); err == nil {
		return dir, nil
	}
	names, err := Backups(dir)
	if err != nil {
		return "", err
	}
	if len(names) == 0 {
		return "", fmt.Errorf("there is no whole backup in %s", dir)
	}
	return filepath.Join(dir, names[len(names)-1]), nil
}
