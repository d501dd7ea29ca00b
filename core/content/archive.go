package content

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/glob"
)

// ArchiveRequest asks for a tar.gz of a commit's files.
type ArchiveRequest struct {
	At
	IncludeGlobs []string // if any, a file must fit one
	ExcludeGlobs []string
	MaxBlobSize  int64  // bytes; larger files are left out; 0 is no limit
	Prefix       string // folder that everything is put in
}

// Archive is an archive that is made while it is written.
type Archive struct {
	Commit  core.ObjectID
	out     *git.Stream // nil: it has no files
	cancel  context.CancelFunc
	in      *tar.Reader
	first   *tar.Header
	prefix  string
	include glob.List
	exclude glob.List
	max     int64
}

// OpenArchive starts an archive. The caller must Close it. Symbolic links are
// kept, submodules are left out, and files that .gitattributes marks as
// export-ignore are, too. Errors: KindInvalid, KindNotFound.
func (s *Service) OpenArchive(ctx context.Context, repo core.Repository, r ArchiveRequest) (_ *Archive, err error) {
	a := &Archive{max: r.MaxBlobSize, cancel: func() {}}
	if r.MaxBlobSize < 0 {
		return nil, core.Errorf(core.KindInvalid, "max_blob_size must not be negative")
	}
	if a.include, err = glob.Parse(r.IncludeGlobs); err != nil {
		return nil, err
	}
	if a.exclude, err = glob.Parse(r.ExcludeGlobs); err != nil {
		return nil, err
	}
	if a.prefix, err = folderPath(r.Prefix); err != nil {
		return nil, err
	}
	if a.prefix != "" {
		a.prefix += "/"
	}
	dir, rev, err := s.open(ctx, repo, r.At)
	if err != nil {
		return nil, err
	}
	a.Commit = rev.Commit
	folders, all, err := s.archived(ctx, dir, rev.Commit, r.IncludeGlobs)
	if err != nil || !all && len(folders) == 0 {
		return a, err
	}
	// All of it, whatever is wanted: git archive makes an index of the whole tree
	// for the attributes.
	if err := s.unfold.Check(ctx, dir, "list the files of a folder and read them one by one, or clone", string(rev.Commit)); err != nil {
		return nil, err
	}
	ctx, a.cancel = limited(ctx, archiveTimeout, "the archive")
	a.out, err = s.git.Stream(ctx, git.Command{
		Name: "archive", Dir: dir, Flags: []string{"--format=tar"}, Args: []string{string(rev.Commit)}, Paths: folders, Env: literal(),
		// Without it the modes of files would depend on the server's umask.
		Config: []git.Config{git.Set("tar.umask", "0022")},
	})
	if err != nil {
		a.cancel()
		return nil, err
	}
	a.in = tar.NewReader(a.out)
	// git refuses before its first byte: wait for that, so that the caller can
	// still answer with an error.
	if a.first, err = a.in.Next(); err != nil && !errors.Is(err, io.EOF) {
		if gitErr := drain(a.out); gitErr != nil {
			err = gitErr
		}
		_ = a.Close()
		return nil, err
	}
	return a, nil
}

// archived returns the folders and files that git has to read for the globs,
// or all. Folders that do not exist are left out, because git would refuse.
func (s *Service) archived(ctx context.Context, dir string, commit core.ObjectID, patterns []string) (folders []string, all bool, err error) {
	if len(patterns) == 0 {
		return nil, true, nil
	}
	var names []string
	for _, pattern := range patterns {
		fixed := pattern
		if i := strings.IndexAny(pattern, `*?[{\`); i >= 0 {
			fixed = pattern[:i]
		}
		i := strings.LastIndexByte(strings.TrimPrefix(fixed, "/"), '/')
		if i < 0 {
			return nil, true, nil
		}
		folder := strings.TrimPrefix(fixed, "/")[:i]
		if ValidatePath(folder) != nil {
			continue // no repository has that
		}
		folders = append(folders, folder)
		names = append(names, string(commit)+":"+folder)
	}
	objects, err := s.cat.Info(ctx, dir, names...)
	if err != nil {
		return nil, false, err
	}
	var there []string
	for i, o := range objects {
		if o.Type == "tree" {
			there = append(there, folders[i])
		}
	}
	return there, false, nil
}

// WriteTo writes the archive as tar.gz. After an error what was written is no
// complete archive.
func (a *Archive) WriteTo(w io.Writer) (int64, error) {
	count := &countingWriter{w: w}
	// The fastest level: the network is seldom slower than this server's
	// processors are to all of its clients.
	packed, err := gzip.NewWriterLevel(count, gzip.BestSpeed)
	if err != nil {
		return 0, err
	}
	out := tar.NewWriter(packed)
	if a.first != nil {
		if err := a.copy(out); err != nil {
			return count.n, err
		}
	}
	return count.n, errors.Join(out.Close(), packed.Close())
}

// copy copies the wanted entries of git's archive.
func (a *Archive) copy(out *tar.Writer) error {
	var folders []*tar.Header // seen, but with no file so far
	for h := a.first; ; {
		keep := a.wanted(h)
		if h.Typeflag == tar.TypeDir {
			// Folders come before their files; one without wanted files is
			// left out, and so are submodules, which look like empty folders.
			for len(folders) > 0 && !strings.HasPrefix(h.Name, folders[len(folders)-1].Name) {
				folders = folders[:len(folders)-1]
			}
			folders, keep = append(folders, h), false
		}
		if keep {
			for _, folder := range folders {
				if folder.Name != "" && strings.HasPrefix(h.Name, folder.Name) {
					if err := a.write(out, folder); err != nil {
						return err
					}
				}
			}
			folders = folders[:0]
			if err := a.write(out, h); err != nil {
				return err
			}
		}
		var err error
		if h, err = a.in.Next(); errors.Is(err, io.EOF) {
			return drain(a.out)
		} else if err != nil {
			return errors.Join(err, a.out.Wait())
		}
	}
}

func (a *Archive) wanted(h *tar.Header) bool {
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeSymlink:
	case tar.TypeXGlobalHeader:
		return true // the commit's id
	default:
		return false
	}
	if a.max > 0 && h.Size > a.max {
		return false
	}
	return !a.exclude.Match(h.Name) && (len(a.include) == 0 || a.include.Match(h.Name))
}

// write copies one entry.
func (a *Archive) write(out *tar.Writer, h *tar.Header) error {
	if h.Typeflag != tar.TypeXGlobalHeader {
		copied := *h
		copied.Name = a.prefix + h.Name
		// Let the writer choose: the prefix may make a name too long for the
		// format that git chose.
		copied.Format, copied.PAXRecords = tar.FormatUnknown, nil
		h = &copied
	}
	if err := out.WriteHeader(h); err != nil {
		return err
	}
	if h.Typeflag != tar.TypeReg {
		return nil
	}
	_, err := io.Copy(out, a.in)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		if gitErr := a.out.Wait(); gitErr != nil {
			return gitErr // why it broke off
		}
	}
	return err
}

// Close ends git.
func (a *Archive) Close() error {
	defer a.cancel()
	if a.out == nil {
		return nil
	}
	return a.out.Close()
}

type countingWriter struct {
	w io.Writer
	n int64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
