package commit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/catfile"
	"github.com/headwater-git/headwater/core/lfs"
	"github.com/headwater-git/headwater/core/limit"
)

const (
	// attributesFile says in each folder what git is to do with the files below it, see
	// gitattributes(5).
	attributesFile = ".gitattributes"
	// filterLFS is the value of the attribute "filter" that gives a file to Git LFS.
	filterLFS = "lfs"
)

// LargeFiles keeps the objects of files that attributes give to Git LFS; [*lfs.Service]
// does.
type LargeFiles interface {
	// Store has the objects here, and at the upstream, if there is one.
	Store(ctx context.Context, repo core.Repository, ref string, sources []lfs.Source) error
}

var _ LargeFiles = (*lfs.Service)(nil)

// pointers stores the contents of files that the attributes give to Git LFS, and returns
// the blobs of their pointers by the index of the file. The attributes are those of the
// branch as it is now, with what the commit itself does to them, as they would be in the
// folder of somebody who makes it with git. As git-lfs does it, a content that is a
// pointer already, and an empty one, stay what they are.
func (s *Service) pointers(ctx context.Context, c Commit, p *pack, cs *contents, files []File) (map[int]core.ObjectID, error) {
	st, err := s.standing(ctx, c)
	if err != nil {
		return nil, &TipError{Tip: st.tip, Err: err}
	}
	large, err := s.filtered(ctx, c.Repo, s.repos.Path(c.Repo.ID), st.parent.tree, cs, files)
	if err != nil || len(large) == 0 {
		return nil, err
	}
	var sources []lfs.Source
	known := map[string]lfs.Pointer{} // by content
	for _, i := range large {
		id := files[i].Content
		if _, ok := known[id]; ok {
			continue
		}
		pointer, is, err := pointerOf(cs.kept[id])
		if err != nil {
			return nil, err
		}
		if is {
			sources = append(sources, lfs.Source{Pointer: pointer, Open: cs.kept[id].open})
		}
		known[id] = pointer
	}
	if len(sources) > 0 {
		if s.large == nil {
			return nil, core.Errorf(core.KindUnsupported, "this server keeps no LFS objects; send the request without lfs")
		}
		limit.Free(ctx) // no git runs meanwhile, whose time is the upstream's
		if err := s.large.Store(ctx, lfs.In(c.namespace(), c.Repo), c.ref(), sources); err != nil {
			return nil, err
		}
	}
	blobs := make(map[int]core.ObjectID, len(large))
	for _, i := range large {
		pointer := known[files[i].Content]
		if pointer.OID == "" {
			continue // stays what it is
		}
		if blobs[i], err = p.add(typeBlob, pointer.Encode()); err != nil {
			return nil, err
		}
	}
	return blobs, nil
}

// pointerOf returns the pointer of a content, and false if the content stays what it is.
func pointerOf(c section) (lfs.Pointer, bool, error) {
	if c.size < lfs.MaxPointer {
		blob, err := io.ReadAll(c.open())
		if err != nil {
			return lfs.Pointer{}, false, err
		}
		if _, err := lfs.ParsePointer(blob); err == nil || len(blob) == 0 {
			return lfs.Pointer{}, false, nil //nolint:nilerr // it is one
		}
	}
	h := sha256.New()
	if _, err := io.Copy(h, c.open()); err != nil {
		return lfs.Pointer{}, false, err
	}
	return lfs.Pointer{OID: lfs.OIDOf([32]byte(h.Sum(nil))), Size: c.size}, true, nil
}

// filtered returns the indexes of the files that are to be kept by Git LFS. git itself
// matches the attributes: in an index of its own that holds the .gitattributes files on the
// way to the files, and nothing else. Where there is none no process is started.
func (s *Service) filtered(ctx context.Context, r core.Repository, dir string, base core.ObjectID, cs *contents, files []File) ([]int, error) {
	var candidates []int
	for i, f := range files {
		if !f.Delete && (f.Mode == modeFile || f.Mode == modeExecutable) {
			candidates = append(candidates, i)
		}
	}
	attributes, err := s.attributes(ctx, dir, base, files, candidates)
	if err != nil || len(attributes) == 0 {
		return nil, err
	}
	own := s.newPack(r)
	defer own.close()
	var index bytes.Buffer
	for _, a := range attributes {
		if a.content != "" {
			if a.id, err = own.addFrom(typeBlob, cs.kept[a.content].size, cs.kept[a.content].open); err != nil {
				return nil, err
			}
		}
		fmt.Fprintf(&index, "100644 %s\t%s\x00", a.id, a.path)
	}
	q, err := s.newQuarantine(dir)
	if err != nil {
		return nil, err
	}
	defer q.close() //nolint:errcheck // the next start removes what is left
	if own.objects > 0 {
		if _, err := s.outputIn(ctx, q, git.Command{Name: "unpack-objects", Flags: []string{"-q"}, Stdin: own.reader()}); err != nil {
			return nil, fmt.Errorf("store attributes: %w", err)
		}
	}
	if _, err := s.outputIn(ctx, q, git.Command{Name: "update-index", Flags: []string{"-z", "--index-info"}, Stdin: &index}); err != nil {
		return nil, fmt.Errorf("list attributes: %w", err)
	}
	var paths bytes.Buffer
	for _, i := range candidates {
		paths.WriteString(files[i].Path + "\x00")
	}
	// --cached takes the attributes from the index alone.
	out, err := s.outputIn(ctx, q, git.Command{Name: "check-attr", Flags: []string{"--cached", "-z", "--stdin"}, Args: []string{"filter"}, Stdin: &paths})
	if err != nil {
		return nil, fmt.Errorf("match attributes: %w", err)
	}
	// Path, attribute and value of each, in the order of the paths.
	fields := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	if len(fields) != 3*len(candidates) {
		return nil, fmt.Errorf("match attributes: git answers %s for %s", core.Count(len(fields), "field"), core.Count(len(candidates), "file"))
	}
	var large []int
	for n, i := range candidates {
		if fields[3*n+2] == filterLFS {
			large = append(large, i)
		}
	}
	return large, nil
}

// attribute is a .gitattributes file: of the repository, or a content of the commit.
type attribute struct {
	path    string
	id      core.ObjectID
	content string
}

// attributes returns the .gitattributes files that count for the candidates, as they are
// after the edits.
func (s *Service) attributes(ctx context.Context, dir string, base core.ObjectID, files []File, candidates []int) ([]attribute, error) {
	folders := map[string]bool{}
	var names, order []string
	for _, i := range candidates {
		for folder := path.Dir(files[i].Path); !folders[folder]; folder = path.Dir(folder) {
			folders[folder] = true
			name := path.Join(folder, attributesFile)
			order = append(order, name)
			names = append(names, string(base)+":"+name)
		}
	}
	var objects []catfile.Object
	if base != "" {
		var err error
		if objects, err = s.objects.Info(ctx, dir, names...); err != nil {
			return nil, err
		}
	}
	// A file is deleted or replaced with all that is below it, and what the commit puts
	// there comes after that, see checkTogether.
	gone, own := map[string]bool{}, map[string]string{}
	for _, f := range files {
		gone[f.Path] = true
		if !f.Delete && (f.Mode == modeFile || f.Mode == modeExecutable) {
			own[f.Path] = f.Content
		}
	}
	var all []attribute
	for i, name := range order {
		content, ok := own[name]
		switch {
		case ok:
			all = append(all, attribute{path: name, content: content})
		case objects != nil && objects[i].Type == "blob" && !anyAbove(gone, name):
			all = append(all, attribute{path: name, id: objects[i].ID})
		}
	}
	return all, nil
}

// anyAbove reports whether a path, or a folder that it is in, is one of the set.
func anyAbove(set map[string]bool, name string) bool {
	for ; name != "."; name = path.Dir(name) {
		if set[name] {
			return true
		}
	}
	return false
}
