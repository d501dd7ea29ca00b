package content

import (
	"context"

	"github.com/headwater-git/headwater/core"
)

// FileMetadata is a file of a listing with what is known of it.
type FileMetadata struct {
	Entry
	Size       int64 // of the blob, in bytes; 0 of a submodule
	LastCommit core.ObjectID
}

// metadataBatch is how many files are worked on at once. A listing without a
// limit takes one walk over history for each batch.
const metadataBatch = 100_000

// Metadata calls visit for each file of the page, as [Files.Walk] does, with
// its size and the last commit that touched it. It returns those commits, and
// the cursor of the next page.
func (f *Files) Metadata(ctx context.Context, visit func(FileMetadata) error) (commits map[core.ObjectID]Commit, next string, err error) {
	ctx, cancel := limited(ctx, historyTimeout, "the walk over history")
	defer cancel()
	folder := f.root.Path
	commits = map[core.ObjectID]Commit{}
	var batch []Entry
	flush := func() error {
		err := f.metadata(ctx, folder, batch, commits, visit)
		batch = batch[:0]
		return err
	}
	next, err = f.Walk(ctx, func(e Entry) error {
		batch = append(batch, e)
		if len(batch) == metadataBatch {
			return flush()
		}
		return nil
	})
	if err == nil {
		err = flush()
	}
	return commits, next, err
}

func (f *Files) metadata(ctx context.Context, folder string, files []Entry, commits map[core.ObjectID]Commit, visit func(FileMetadata) error) error {
	if len(files) == 0 {
		return nil
	}
	var names []string
	for _, e := range files {
		if e.Type != TypeSubmodule {
			names = append(names, string(e.ID))
		}
	}
	objects, err := f.s.cat.Info(ctx, f.dir, names...)
	if err != nil {
		return err
	}
	last, err := f.s.lastTouches(ctx, f.dir, f.Commit, folder, files)
	if err != nil {
		return err
	}
	var fresh []core.ObjectID
	for _, id := range last {
		if _, ok := commits[id]; !ok {
			commits[id] = Commit{}
			fresh = append(fresh, id)
		}
	}
	for len(fresh) > 0 {
		some := fresh[:min(len(fresh), 256)]
		fresh = fresh[len(some):]
		read, err := f.s.commits(ctx, f.dir, some...)
		if err != nil {
			return err
		}
		for _, c := range read {
			c.Payload, c.Signature = "", ""
			commits[c.ID] = c
		}
	}
	for i, e := range files {
		m := FileMetadata{Entry: e, LastCommit: last[i]}
		if e.Type != TypeSubmodule {
			m.Size, objects = objects[0].Size, objects[1:]
		}
		if err := visit(m); err != nil {
			return err
		}
	}
	return nil
}
