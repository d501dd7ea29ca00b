package content

import (
	"bufio"
	"context"
	"io"
	"strconv"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/limit"
)

// CommitsRequest asks for a page of history.
type CommitsRequest struct {
	At
	Path   string // only commits that touch it
	Cursor string
	Limit  int // commits of the page; at least 1
}

// CommitsPage is a page of history, in the order of git log.
type CommitsPage struct {
	Commits []Commit
	Next    string // cursor; "" on the last page
}

// Commits returns a page of history. Errors: KindInvalid, KindNotFound.
func (s *Service) Commits(ctx context.Context, repo core.Repository, r CommitsRequest) (CommitsPage, error) {
	path, err := folderPath(r.Path)
	if err != nil {
		return CommitsPage{}, err
	}
	from, skip, err := parseOffset("commits", r.Cursor)
	if err != nil {
		return CommitsPage{}, err
	}
	dir, rev, err := s.open(ctx, repo, r.At)
	if err != nil {
		return CommitsPage{}, err
	}
	if from == "" {
		from = rev.Commit
	} else if err := s.cursorCommit(ctx, repo, from, rev.Commit, "the history that the cursor belongs to is gone"); err != nil {
		return CommitsPage{}, err
	} else if _, object, err := s.first(ctx, dir, []string{string(from)}, "^{commit}"); err != nil || !object.Found() {
		if err == nil {
			err = core.Errorf(core.KindNotFound, "the history that the cursor belongs to is gone")
		}
		return CommitsPage{}, err
	}
	ctx, cancel := limited(ctx, historyTimeout, "the walk over history")
	defer cancel()
	list := git.Command{
		Name:  "rev-list",
		Dir:   dir,
		Flags: []string{"--skip=" + strconv.Itoa(skip), "--max-count=" + strconv.Itoa(r.Limit+1)},
		Args:  []string{string(from)},
		Env:   literal(),
	}
	if path != "" {
		list.Paths = []string{path}
	}
	ids, err := s.ids(ctx, list)
	if err != nil {
		return CommitsPage{}, err
	}
	page := CommitsPage{}
	if len(ids) > r.Limit {
		ids = ids[:r.Limit]
		page.Next = offsetCursor("commits", from, skip+r.Limit)
	}
	page.Commits, err = s.commits(ctx, dir, ids...)
	return page, err
}

// ids runs a command that prints one id per line.
func (s *Service) ids(ctx context.Context, c git.Command) ([]core.ObjectID, error) {
	done, err := limit.Work(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	out, err := s.git.Stream(ctx, c)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	var ids []core.ObjectID
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		ids = append(ids, core.ObjectID(lines.Text()))
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	return ids, out.Wait()
}

// drain discards the rest of git's output and returns git's exit error, if any.
func drain(out *git.Stream) error {
	if _, err := io.Copy(io.Discard, out); err != nil {
		return err
	}
	return out.Wait()
}
