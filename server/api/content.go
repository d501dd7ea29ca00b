package api

import (
	"context"
	"net/url"
	"strconv"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/content"
)

// Content reads repositories. [*content.Service] implements it; see there for
// the errors.
type Content interface {
	Files(ctx context.Context, repo core.Repository, r content.FilesRequest) (*content.Files, error)
	File(ctx context.Context, repo core.Repository, at content.At, path string) (content.File, error)
	OpenArchive(ctx context.Context, repo core.Repository, r content.ArchiveRequest) (*content.Archive, error)
	Commits(ctx context.Context, repo core.Repository, r content.CommitsRequest) (content.CommitsPage, error)
	Commit(ctx context.Context, repo core.Repository, at content.At) (content.Commit, error)
	CommitDiff(ctx context.Context, repo core.Repository, r content.CommitDiffRequest) (*content.Diff, error)
	BranchDiff(ctx context.Context, repo core.Repository, r content.BranchDiffRequest) (*content.Diff, error)
	Blame(ctx context.Context, repo core.Repository, r content.BlameRequest) (*content.Blame, error)
	Grep(ctx context.Context, repo core.Repository, r content.GrepRequest) (content.GrepPage, error)
	Branches(ctx context.Context, repo core.Repository, ns core.Namespace, p content.RefsPage) ([]content.Branch, string, error)
	Branch(ctx context.Context, repo core.Repository, ns core.Namespace, name string) (content.Branch, error)
	Tags(ctx context.Context, repo core.Repository, p content.RefsPage) ([]content.Tag, string, error)
	Tag(ctx context.Context, repo core.Repository, name string) (content.Tag, error)
	Note(ctx context.Context, repo core.Repository, object, notesRef string) (content.Note, error)
	NotesRefs(ctx context.Context, repo core.Repository, prefix string, p content.RefsPage) (refs []content.NotesRef, next, full string, err error)
	PreviewMerge(ctx context.Context, repo core.Repository, r content.MergePreviewRequest) (content.MergePreview, error)
}

var _ Content = (*content.Service)(nil)

// reader makes an operation of a function that reads content: it looks first
// whether there is any to read yet.
func reader(read func(s *server, c *call, q params) error) func(s *server, c *call) error {
	return func(s *server, c *call) error {
		if s.Content == nil {
			return core.Errorf(core.KindUnsupported, "this server serves no content")
		}
		if err := s.Repositories.CheckReady(c.ctx(), c.repo); err != nil {
			return err
		}
		values, err := url.ParseQuery(c.r.URL.RawQuery)
		if err != nil {
			return core.Errorf(core.KindInvalid, "the query is not percent-encoded as it should be")
		}
		if err := s.confirm(c); err != nil {
			return err
		}
		return read(s, c, params{values})
	}
}

// params is the query of a request.
type params struct{ url.Values }

// any returns the first parameter of the names that has a value: newer names
// go before older ones.
func (q params) any(names ...string) string {
	for _, name := range names {
		if value := q.Get(name); value != "" {
			return value
		}
	}
	return ""
}

// flag reads a boolean, false if it is absent.
func (q params) flag(names ...string) (bool, error) {
	text := q.any(names...)
	if text == "" {
		return false, nil
	}
	value, err := strconv.ParseBool(text)
	if err != nil {
		return false, core.Errorf(core.KindInvalid, "the parameter %q must be true or false", names[0])
	}
	return value, nil
}

// namespace reads a flag that says "ephemeral".
func (q params) namespace(names ...string) (core.Namespace, error) {
	ephemeral, err := q.flag(names...)
	return namespaceOf(ephemeral), err
}

func namespaceOf(ephemeral bool) core.Namespace {
	if ephemeral {
		return core.Ephemeral
	}
	return core.Default
}

// refsPage reads cursor and limit of a listing of refs.
func (q params) refsPage() (content.RefsPage, error) {
	limit, err := q.limit(defaultLimit, maxLimit)
	return content.RefsPage{Cursor: q.Get("cursor"), Limit: limit}, err
}

// timestamp writes a time with the offset that it was recorded with.
func timestamp(t time.Time) string { return t.Format(time.RFC3339) }

// orEmpty keeps a list from becoming null.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
