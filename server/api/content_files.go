package api

import (
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/content"
)

// Page sizes of file listings. A listing with neither limit nor cursor is
// whole.
const (
	defaultFiles, maxFiles       = 1000, 5000
	defaultMetadata, maxMetadata = 200, 1000
)

// maxRanges is how many ranges of a file one request may ask for; a request
// for more gets the whole file, as RFC 9110, 14.2 allows.
const maxRanges = 16

type entryView struct {
	Path string            `json:"path"`
	Type content.EntryType `json:"type"`
	Mode string            `json:"mode"`
}

type fileMetadataView struct {
	entryView
	Size          int64         `json:"size"`
	LastCommitSHA core.ObjectID `json:"last_commit_sha"`
}

type lastCommitView struct {
	Author  string `json:"author"`
	Date    string `json:"date"`
	Message string `json:"message"`
}

// openFiles reads the query of a listing.
func (s *server) openFiles(c *call, q params, recursive bool, absent, top int) (*content.Files, error) {
	ns, err := q.namespace("ephemeral")
	if err != nil {
		return nil, err
	}
	if q.Get("cursor") == "" && q.Get("limit") == "" {
		absent = 0
	}
	limit, err := q.limit(absent, top)
	if err != nil {
		return nil, err
	}
	return s.Content.Files(c.ctx(), c.repo, content.FilesRequest{
		At: content.At{Namespace: ns, Ref: q.Get("ref")}, Path: q.Get("path"), OneDeep: !recursive, Cursor: q.Get("cursor"), Limit: limit,
	})
}

// pageEnd writes the last fields of a page.
func pageEnd(j *jsonStream, next string) error {
	if next != "" {
		if err := j.field("next_cursor", next); err != nil {
			return err
		}
	}
	return j.field("has_more", next != "")
}

func (s *server) listFiles(c *call, q params) error {
	recursive := true
	if q.Get("recursive") != "" {
		var err error
		if recursive, err = q.flag("recursive"); err != nil {
			return err
		}
	}
	files, err := s.openFiles(c, q, recursive, defaultFiles, maxFiles)
	if err != nil {
		return err
	}
	if s.unchanged(c, string(files.Commit), files.Ref) {
		return nil
	}
	// The two arrays are the same walk twice: to keep the entries of a huge
	// repository for the second one would take more than to read them again.
	return s.streamed(c, func(j *jsonStream) error {
		if err := j.field("ref", files.Ref); err != nil {
			return err
		}
		err := j.array("paths", func(item func(any) error) error {
			_, err := files.Walk(c.ctx(), func(e content.Entry) error {
				if e.Type != content.TypeBlob && e.Type != content.TypeSymlink {
					return nil
				}
				return item(e.Path)
			})
			return err
		})
		if err != nil {
			return err
		}
		var next string
		err = j.array("entries", func(item func(any) error) (err error) {
			next, err = files.Walk(c.ctx(), func(e content.Entry) error { return item(entryView{e.Path, e.Type, e.Mode}) })
			return err
		})
		if err != nil {
			return err
		}
		return pageEnd(j, next)
	})
}

func (s *server) listMetadata(c *call, q params) error {
	files, err := s.openFiles(c, q, true, defaultMetadata, maxMetadata)
	if err != nil {
		return err
	}
	if s.unchanged(c, string(files.Commit), files.Ref) {
		return nil
	}
	return s.streamed(c, func(j *jsonStream) error {
		if err := j.field("ref", files.Ref); err != nil {
			return err
		}
		var commits map[core.ObjectID]content.Commit
		var next string
		err := j.array("files", func(item func(any) error) (err error) {
			commits, next, err = files.Metadata(c.ctx(), func(m content.FileMetadata) error {
				return item(fileMetadataView{entryView{m.Path, m.Type, m.Mode}, m.Size, m.LastCommit})
			})
			return err
		})
		if err != nil {
			return err
		}
		views := make(map[core.ObjectID]lastCommitView, len(commits))
		for id, commit := range commits {
			views[id] = lastCommitView{commit.Author.Name, timestamp(commit.Committer.When), commit.Message}
		}
		if err := j.field("commits", views); err != nil {
			return err
		}
		return pageEnd(j, next)
	})
}

// getFile serves the bytes of a file, with ranges and conditions. HEAD comes
// here, too.
func (s *server) getFile(c *call, q params) error {
	ns, err := q.namespace("ephemeral")
	if err != nil {
		return err
	}
	base, err := q.flag("ephemeral_base")
	if err != nil {
		return err
	}
	if base && q.Get("ephemeral") == "" {
		ns = core.Ephemeral
	}
	if q.Get("path") == "" {
		return core.Errorf(core.KindInvalid, `the parameter "path" is required`)
	}
	file, err := s.Content.File(c.ctx(), c.repo, content.At{Namespace: ns, Ref: q.Get("ref")}, q.Get("path"))
	if err != nil {
		return err
	}
	header := c.w.Header()
	header.Set("ETag", `"`+string(file.Blob)+`"`)
	header.Set("Content-Type", "application/octet-stream")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "private, no-cache")
	header.Set("X-Blob-Sha", string(file.Blob))
	header.Set("X-Last-Commit-Sha", string(file.LastCommit))
	if strings.Count(c.r.Header.Get("Range"), ",") >= maxRanges {
		c.r.Header.Del("Range")
	}
	body := &contentBody{ReadSeekCloser: file.Open(c.ctx())}
	defer body.Close()
	w := &fileWriter{ResponseWriter: c.w}
	http.ServeContent(w, c.r, "", file.ModTime, body)
	switch {
	case w.failed != 0:
		return w.fail()
	case body.err != nil && w.status != 0:
		w.clear()
		return body.err
	}
	w.begin() // an answer without a body
	return nil
}

// contentBody keeps the error that ended it.
type contentBody struct {
	io.ReadSeekCloser
	err error
}

func (b *contentBody) Read(p []byte) (int, error) {
	n, err := b.ReadSeekCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		b.err = err
	}
	return n, err
}

// fileWriter keeps the plain text errors of [http.ServeContent] back: errors
// are JSON here. The head waits for the first byte, since git may fail before.
type fileWriter struct {
	http.ResponseWriter
	failed int
	status int // that was not sent yet
}

// begin sends the head.
func (w *fileWriter) begin() {
	if w.status != 0 {
		w.ResponseWriter.WriteHeader(w.status)
		w.status = 0
	}
}

// clear takes the head back.
func (w *fileWriter) clear() {
	for _, name := range []string{"Content-Length", "Content-Range", "Content-Type", "Accept-Ranges", "Last-Modified", "ETag", "X-Blob-Sha", "X-Last-Commit-Sha"} {
		w.Header().Del(name)
	}
}

// Unwrap is for [http.ResponseController].
func (w *fileWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *fileWriter) WriteHeader(status int) {
	if status >= http.StatusBadRequest {
		w.failed = status
		return
	}
	w.status = status
}

func (w *fileWriter) Write(p []byte) (int, error) {
	if w.failed != 0 {
		return len(p), nil
	}
	w.begin()
	return w.ResponseWriter.Write(p)
}

// fail answers with the error that was kept back.
func (w *fileWriter) fail() error {
	w.Header().Del("Content-Length")
	switch w.failed {
	case http.StatusPreconditionFailed:
		return core.Errorf(core.KindPrecondition, "a condition of the request does not hold")
	case http.StatusRequestedRangeNotSatisfiable:
		writeStatusError(w.ResponseWriter, w.failed, core.KindInvalid, "the file has no such range")
		return nil
	}
	return core.Errorf(core.KindInternal, "serve file: status %d", w.failed)
}

// archiveBody is the body of archive, in both vocabularies.
type archiveBody struct {
	Ref          string   `json:"ref"`
	Rev          string   `json:"rev"`
	Ephemeral    bool     `json:"ephemeral"`
	IncludeGlobs []string `json:"include_globs"`
	ExcludeGlobs []string `json:"exclude_globs"`
	MaxBlobSize  int64    `json:"max_blob_size"`
	Archive      struct {
		Prefix string `json:"prefix"`
	} `json:"archive"`
}

func (s *server) archive(c *call, _ params) error {
	var body archiveBody
	if err := c.body(&body); err != nil {
		return err
	}
	if body.Ref == "" {
		body.Ref = body.Rev
	}
	archive, err := s.Content.OpenArchive(c.ctx(), c.repo, content.ArchiveRequest{
		At:           content.At{Namespace: namespaceOf(body.Ephemeral), Ref: body.Ref},
		IncludeGlobs: body.IncludeGlobs, ExcludeGlobs: body.ExcludeGlobs, MaxBlobSize: body.MaxBlobSize, Prefix: body.Archive.Prefix,
	})
	if err != nil {
		return err
	}
	defer archive.Close()
	header := c.w.Header()
	header.Set("Content-Type", "application/gzip")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Commit-Sha", string(archive.Commit))
	c.w.WriteHeader(http.StatusOK)
	if _, err := archive.WriteTo(c.w); err != nil {
		s.cutOff(c, err)
	}
	return nil
}
