package backup

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/lfs"
	"github.com/headwater-git/headwater/store"
)

// linkLFS links the LFS objects of the repositories that are in the backup. One whose
// bytes are not here is left out: the server has it fetched or pushed again.
func (w *writing) linkLFS(ctx context.Context, snapshot *store.Snapshot) error {
	from, to := filepath.Join(w.DataDir, lfsFolder), filepath.Join(w.stage, lfsFolder)
	for id := range w.reasons {
		err := snapshot.EachLFSObject(ctx, id, func(o core.LFSObject) error {
			oid, err := lfs.ParseOID(o.OID)
			if err != nil {
				return err
			}
			link := lfs.ObjectPath(to, oid)
			if err := os.MkdirAll(filepath.Dir(link), 0o700); err != nil {
				return err
			}
			err = os.Link(lfs.ObjectPath(from, oid), link)
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist) {
				return nil
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// fillLFS puts the staged LFS objects into the backup.
func (w *writing) fillLFS() (m ManifestLFS, err error) {
	staged := filepath.Join(w.stage, lfsFolder)
	if _, err := os.Stat(staged); errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	before := ""
	if w.before != "" {
		before = filepath.Join(w.before, lfsFolder)
	}
	var copied int64
	m.Files, m.Bytes, copied, err = transfer(staged, before, filepath.Join(w.dir, lfsFolder))
	w.copied += copied
	return m, err
}
