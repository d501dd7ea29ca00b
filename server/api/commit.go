package api

import (
	"context"
	"net/http"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/commit"
)

// Commits writes to repositories. [*commit.Service] implements it; see there
// for the errors.
type Commits interface {
	CommitFiles(ctx context.Context, c commit.Commit, files []commit.File, chunks commit.Chunks) (commit.Result, error)
	CommitDiff(ctx context.Context, c commit.Commit, chunks commit.Chunks) (commit.Result, error)
	Restore(ctx context.Context, c commit.Commit, revision string) (commit.Result, error)
	CreateBranch(ctx context.Context, b commit.NewBranch) (id core.ObjectID, created bool, err error)
	DeleteBranch(ctx context.Context, c commit.Caller, branch string, ephemeral bool) error
	CreateTag(ctx context.Context, c commit.Caller, name, revision string) (core.ObjectID, error)
	DeleteTag(ctx context.Context, c commit.Caller, name string) error
	Merge(ctx context.Context, m commit.Merge) (commit.Merged, error)
	AddNote(ctx context.Context, n commit.Note) (commit.NoteResult, error)
	AppendNote(ctx context.Context, n commit.Note) (commit.NoteResult, error)
	DeleteNote(ctx context.Context, n commit.Note) (commit.NoteResult, error)
}

var _ Commits = (*commit.Service)(nil)

// writer makes an operation of a function that writes content: it looks first
// whether the repository is ready for that.
func writer(write func(s *server, c *call) error) func(s *server, c *call) error {
	return func(s *server, c *call) error {
		if s.Commits == nil {
			return core.Errorf(core.KindUnsupported, "this server takes no content")
		}
		if err := s.Repositories.CheckReady(c.ctx(), c.repo); err != nil {
			return err
		}
		if s.Quotas != nil && c.r.Method != http.MethodDelete { // what is deleted makes room
			if err := s.Quotas.CheckRoom(c.ctx(), c.repo.Org); err != nil {
				return err
			}
		}
		return write(s, c)
	}
}

// caller is who calls, in the core's words.
func (c *call) caller() commit.Caller {
	return commit.Caller{
		Repo: c.repo, Actor: c.actor(), Action: c.action.word, Policy: c.identity.Policy,
		Audited: func() { c.audited.Store(true) },
	}
}

// either returns the value of the newer of two fields that mean the same, if
// the caller sent it, else that of the older one.
func either[T any](newer, older *T) T {
	switch {
	case newer != nil:
		return *newer
	case older != nil:
		return *older
	}
	var zero T
	return zero
}

// personBody is an author or committer in requests.
type personBody struct {
	Name  string `json:"name"`
	Email string `json:"email"`
}

func (p *personBody) person() *commit.Person {
	if p == nil {
		return nil
	}
	return &commit.Person{Name: p.Name, Email: p.Email}
}
