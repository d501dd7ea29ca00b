package doctor

import (
	"context"
	"path/filepath"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/catfile"
	"github.com/headwater-git/headwater/core/lfs"
	"github.com/headwater-git/headwater/core/lfs/scan"
)

// again is how the bytes of an LFS object come back.
const again = "a mirror fetches it again when it is asked for; for a local repository run git lfs push --all in a clone that has it, or copy the file from a backup"

// lfs looks at the LFS objects: those that were found changed, and, if every object is to
// be read, all of them.
func (l *look) lfs(ctx context.Context) error {
	folder := lfs.FolderOf(filepath.Join(l.DataDir, lfs.FolderName))
	damaged, err := folder.Damaged()
	if err != nil {
		return err
	}
	for _, oid := range damaged {
		l.problem(folder.DamagedPath(oid), "the disk has changed this LFS object, which is not served any more, and it has not come again",
			again+"; if nobody misses it: rm "+core.ShellWord(folder.DamagedPath(oid)))
	}
	if !l.Deep {
		return nil
	}
	return folder.Each(ctx, func(p lfs.Pointer) error {
		sound, err := folder.Sound(ctx, p.OID)
		if err != nil && core.KindOf(err) != core.KindNotFound {
			return err
		}
		if err == nil && !sound {
			to := filepath.Dir(folder.DamagedPath(p.OID))
			l.problem(folder.Path(p.OID), "the disk has changed this LFS object",
				"mkdir -p "+core.ShellWord(to)+" && mv "+core.ShellWord(folder.Path(p.OID))+" "+core.ShellWord(to)+"/; then "+again)
		}
		return nil
	})
}

// adoptLFS records which LFS objects a repository without upstream has: those whose bytes
// are here and whose pointers its refs lead to. An upstream says so itself when it is asked.
func adoptLFS(ctx context.Context, dataDir string, g *git.Git, dir string, refs []git.Ref) (have []core.LFSObject, err error) {
	folder := lfs.FolderOf(filepath.Join(dataDir, lfs.FolderName))
	pool := catfile.NewPool(g, catfile.Options{MaxProcesses: 2})
	defer pool.Close()
	var tips []core.ObjectID
	for _, r := range refs {
		tips = append(tips, r.ID)
	}
	err = scan.New(g, pool).All(ctx, dir, tips, func(found []scan.Found) error {
		for _, f := range found {
			size, err := folder.Size(ctx, f.OID)
			switch {
			case core.KindOf(err) == core.KindNotFound, err == nil && size != f.Size:
			case err != nil:
				return err
			default:
				have = append(have, core.LFSObject{OID: string(f.OID), Size: f.Size})
			}
		}
		return nil
	})
	return have, err
}
