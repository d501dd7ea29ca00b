package api

import (
	"net/http"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/content"
)

type blameLineView struct {
	LineNumber         int           `json:"line_number"`
	CommitSHA          core.ObjectID `json:"commit_sha"`
	OriginalLineNumber int           `json:"original_line_number"`
	OriginalPath       string        `json:"original_path"`
	PreviousCommitSHA  core.ObjectID `json:"previous_commit_sha,omitempty"`
	AuthorName         string        `json:"author_name"`
	AuthorEmail        string        `json:"author_email"`
	AuthorTime         string        `json:"author_time"`
	CommitterName      string        `json:"committer_name"`
	CommitterEmail     string        `json:"committer_email"`
	CommitterTime      string        `json:"committer_time"`
	Summary            string        `json:"summary"`
}

func (s *server) blame(c *call, q params) error {
	ns, err := q.namespace("ephemeral")
	if err != nil {
		return err
	}
	moves, err := q.flag("detect_moves")
	if err != nil {
		return err
	}
	if q.Get("path") == "" {
		return core.Errorf(core.KindInvalid, `the parameter "path" is required`)
	}
	b, err := s.Content.Blame(c.ctx(), c.repo, content.BlameRequest{
		At: content.At{Namespace: ns, Ref: q.Get("ref")}, Path: q.Get("path"), Ranges: q.Values["range"], DetectMoves: moves,
	})
	if err != nil {
		return err
	}
	defer b.Close()
	if s.unchanged(c, b.Ref, string(b.Commit)) {
		return nil
	}
	return s.streamed(c, func(j *jsonStream) error {
		err := fields(j, [2]string{"ref", b.Ref}, [2]string{"path", q.Get("path")}, [2]string{"commit_sha", string(b.Commit)})
		if err != nil {
			return err
		}
		return j.array("lines", func(item func(any) error) error {
			for {
				l, ok, err := b.Next()
				if !ok {
					return err
				}
				err = item(blameLineView{
					LineNumber: l.Number, CommitSHA: l.Commit, OriginalLineNumber: l.OriginalNumber, OriginalPath: l.OriginalPath,
					PreviousCommitSHA: l.Previous, AuthorName: l.Author.Name, AuthorEmail: l.Author.Email, AuthorTime: timestamp(l.Author.When),
					CommitterName: l.Committer.Name, CommitterEmail: l.Committer.Email, CommitterTime: timestamp(l.Committer.When), Summary: l.Summary,
				})
				if err != nil {
					return err
				}
			}
		})
	})
}

// maxGrepFiles is how many files a page of a search has.
const maxGrepFiles = 100

// grepBody is the body of a search.
type grepBody struct {
	Query struct {
		Pattern       string `json:"pattern"`
		CaseSensitive *bool  `json:"case_sensitive"`
	} `json:"query"`
	Ref         string   `json:"ref"`
	Rev         string   `json:"rev"` // what older clients call ref
	Ephemeral   bool     `json:"ephemeral"`
	Paths       []string `json:"paths"`
	FileFilters struct {
		IncludeGlobs     []string `json:"include_globs"`
		ExcludeGlobs     []string `json:"exclude_globs"`
		ExtensionFilters []string `json:"extension_filters"`
	} `json:"file_filters"`
	Context struct {
		Before int `json:"before"`
		After  int `json:"after"`
	} `json:"context"`
	Limits struct {
		MaxLines          int `json:"max_lines"`
		MaxMatchesPerFile int `json:"max_matches_per_file"`
	} `json:"limits"`
	Pagination struct {
		Cursor string `json:"cursor"`
		Limit  int    `json:"limit"`
	} `json:"pagination"`
}

type grepLineView struct {
	LineNumber int    `json:"line_number"`
	Text       string `json:"text"`
	Type       string `json:"type"`
}

type grepFileView struct {
	Path  string         `json:"path"`
	Lines []grepLineView `json:"lines"`
}

func (s *server) grep(c *call, _ params) error {
	var body grepBody
	if err := c.body(&body); err != nil {
		return err
	}
	if body.Query.Pattern == "" {
		return core.Errorf(core.KindInvalid, "query.pattern is required")
	}
	if body.Ref == "" {
		body.Ref = body.Rev
	}
	sensitive := body.Query.CaseSensitive == nil || *body.Query.CaseSensitive
	files := body.Pagination.Limit
	if files <= 0 {
		files = maxGrepFiles
	}
	page, err := s.Content.Grep(c.ctx(), c.repo, content.GrepRequest{
		At:      content.At{Namespace: namespaceOf(body.Ephemeral), Ref: body.Ref},
		Pattern: body.Query.Pattern, IgnoreCase: !sensitive, Paths: body.Paths,
		IncludeGlobs: body.FileFilters.IncludeGlobs, ExcludeGlobs: body.FileFilters.ExcludeGlobs, Extensions: body.FileFilters.ExtensionFilters,
		Before: body.Context.Before, After: body.Context.After, MaxLines: body.Limits.MaxLines, MaxPerFile: body.Limits.MaxMatchesPerFile,
		MaxFiles: min(files, maxGrepFiles), Cursor: body.Pagination.Cursor,
	})
	if err != nil {
		return err
	}
	matches := make([]grepFileView, len(page.Files))
	for i, file := range page.Files {
		matches[i] = grepFileView{Path: file.Path, Lines: make([]grepLineView, len(file.Lines))}
		for k, line := range file.Lines {
			kind := "context"
			if line.Match {
				kind = "match"
			}
			matches[i].Lines[k] = grepLineView{line.Number, line.Text, kind}
		}
	}
	answer := map[string]any{
		"query":    map[string]any{"pattern": body.Query.Pattern, "case_sensitive": sensitive},
		"repo":     map[string]any{"ref": page.Ref, "commit": page.Commit},
		"matches":  matches,
		"has_more": page.Next != "",
	}
	if page.Next != "" {
		answer["next_cursor"] = page.Next
	}
	return c.answer(http.StatusOK, answer)
}
