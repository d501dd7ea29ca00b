package api

import (
	"net/http"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/content"
)

type commitView struct {
	SHA            core.ObjectID   `json:"sha"`
	ParentSHAs     []core.ObjectID `json:"parent_shas"`
	Message        string          `json:"message"`
	AuthorName     string          `json:"author_name"`
	AuthorEmail    string          `json:"author_email"`
	CommitterName  string          `json:"committer_name"`
	CommitterEmail string          `json:"committer_email"`
	Date           string          `json:"date"`
	Signature      string          `json:"signature,omitempty"`
	Payload        string          `json:"payload,omitempty"`
}

func viewCommit(c content.Commit) commitView {
	return commitView{
		SHA: c.ID, ParentSHAs: orEmpty(c.Parents), Message: c.Message,
		AuthorName: c.Author.Name, AuthorEmail: c.Author.Email,
		CommitterName: c.Committer.Name, CommitterEmail: c.Committer.Email, Date: timestamp(c.Committer.When),
	}
}

func (s *server) listCommits(c *call, q params) error {
	ns, err := q.namespace("ephemeral")
	if err != nil {
		return err
	}
	limit, err := q.limit(defaultLimit, maxLimit)
	if err != nil {
		return err
	}
	page, err := s.Content.Commits(c.ctx(), c.repo, content.CommitsRequest{
		At: content.At{Namespace: ns, Ref: q.any("ref", "branch")}, Path: q.Get("path"), Cursor: q.Get("cursor"), Limit: limit,
	})
	if err != nil {
		return err
	}
	return s.streamed(c, func(j *jsonStream) error {
		err := j.array("commits", func(item func(any) error) error {
			for _, commit := range page.Commits {
				if err := item(viewCommit(commit)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		return pageEnd(j, page.Next)
	})
}

func (s *server) getCommit(c *call, q params) error {
	ns, err := q.namespace("ephemeral", "ref_is_ephemeral")
	if err != nil {
		return err
	}
	commit, err := s.Content.Commit(c.ctx(), c.repo, content.At{Namespace: ns, Ref: q.any("ref", "sha")})
	if err != nil {
		return err
	}
	view := viewCommit(commit)
	view.Signature, view.Payload = commit.Signature, commit.Payload
	return c.answer(http.StatusOK, map[string]commitView{"commit": view})
}

type statsView struct {
	Files     int `json:"files"`
	Additions int `json:"additions"`
	Deletions int `json:"deletions"`
	Changes   int `json:"changes"`
}

type filteredFileView struct {
	Path    string `json:"path"`
	State   string `json:"state"`
	OldPath string `json:"old_path,omitempty"`
	Bytes   int64  `json:"bytes"`
	IsEOF   bool   `json:"is_eof"`
}

type diffFileView struct {
	filteredFileView
	Raw       string `json:"raw"`
	Additions int    `json:"additions"`
	Deletions int    `json:"deletions"`
}

// writeDiff writes what both diffs have in common, file by file.
func writeDiff(j *jsonStream, d *content.Diff) error {
	stats := statsView{d.Stats.Files, d.Stats.Additions, d.Stats.Deletions, d.Stats.Additions + d.Stats.Deletions}
	if err := j.field("stats", stats); err != nil {
		return err
	}
	filtered := []filteredFileView{}
	err := j.array("files", func(item func(any) error) error {
		for {
			f, ok, err := d.Next()
			if !ok {
				return err
			}
			view := filteredFileView{f.Path, f.State, f.OldPath, f.Bytes, f.Whole}
			if f.Filtered {
				filtered = append(filtered, view)
				continue
			}
			if err := item(diffFileView{view, string(f.Raw), f.Additions, f.Deletions}); err != nil {
				return err
			}
		}
	})
	if err != nil {
		return err
	}
	return j.field("filtered_files", filtered)
}

// fields writes pairs of names and values.
func fields(j *jsonStream, pairs ...[2]string) error {
	for _, pair := range pairs {
		if err := j.field(pair[0], pair[1]); err != nil {
			return err
		}
	}
	return nil
}

func (s *server) commitDiff(c *call, q params) error {
	head, err := q.namespace("ref_is_ephemeral", "ephemeral")
	if err != nil {
		return err
	}
	base, err := q.namespace("base_is_ephemeral", "ephemeral_base")
	if err != nil {
		return err
	}
	exact, err := q.flag("git_apply_compatible", "gitApplyCompatible")
	if err != nil {
		return err
	}
	d, err := s.Content.CommitDiff(c.ctx(), c.repo, content.CommitDiffRequest{
		Head:  content.At{Namespace: head, Ref: q.any("ref", "sha")},
		Base:  content.At{Namespace: base, Ref: q.any("base_ref", "baseSha", "base_sha")},
		Paths: q.Values["path"], Exact: exact,
	})
	if err != nil {
		return err
	}
	defer d.Close()
	if s.unchanged(c, string(d.Head), string(d.Base)) {
		return nil
	}
	return s.streamed(c, func(j *jsonStream) error {
		if err := fields(j, [2]string{"sha", string(d.Head)}, [2]string{"base_sha", string(d.Base)}); err != nil {
			return err
		}
		return writeDiff(j, d)
	})
}

func (s *server) branchDiff(c *call, q params) error {
	head, err := q.namespace("ephemeral")
	if err != nil {
		return err
	}
	base, err := q.namespace("ephemeral_base")
	if err != nil {
		return err
	}
	d, err := s.Content.BranchDiff(c.ctx(), c.repo, content.BranchDiffRequest{
		Branch: content.At{Namespace: head, Ref: q.Get("branch")}, Base: content.At{Namespace: base, Ref: q.Get("base")}, Paths: q.Values["path"],
	})
	if err != nil {
		return err
	}
	defer d.Close()
	if s.unchanged(c, d.HeadName, d.BaseName, string(d.Head), string(d.Base), string(d.MergeBase)) {
		return nil
	}
	return s.streamed(c, func(j *jsonStream) error {
		err := fields(j, [2]string{"branch", d.HeadName}, [2]string{"base", d.BaseName},
			[2]string{"head_sha", string(d.Head)}, [2]string{"base_sha", string(d.Base)})
		if err == nil && d.MergeBase != "" {
			err = j.field("merge_base_sha", d.MergeBase)
		}
		if err != nil {
			return err
		}
		return writeDiff(j, d)
	})
}
