package api

import (
	"net/http"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/content"
)

type branchView struct {
	Cursor    string        `json:"cursor,omitempty"` // in lists
	Name      string        `json:"name"`
	HeadSHA   core.ObjectID `json:"head_sha"`
	CreatedAt string        `json:"created_at"`
}

type tagView struct {
	Cursor string        `json:"cursor,omitempty"` // in lists
	Name   string        `json:"name"`
	SHA    core.ObjectID `json:"sha"`
}

type notesRefView struct {
	Cursor string        `json:"cursor"`
	Ref    string        `json:"ref"`
	SHA    core.ObjectID `json:"sha"`
}

// refsAnswer is a page of refs.
func refsAnswer(name string, items any, next string, more map[string]any) map[string]any {
	answer := map[string]any{name: items, "has_more": next != ""}
	if next != "" {
		answer["next_cursor"] = next
	}
	for key, value := range more {
		answer[key] = value
	}
	return answer
}

func (s *server) listBranches(c *call, q params) error {
	ns, err := q.namespace("ephemeral")
	if err != nil {
		return err
	}
	page, err := q.refsPage()
	if err != nil {
		return err
	}
	branches, next, err := s.Content.Branches(c.ctx(), c.repo, ns, page)
	if err != nil {
		return err
	}
	views := make([]branchView, len(branches))
	for i, b := range branches {
		views[i] = branchView{b.Cursor, b.Name, b.Head, timestamp(b.CreatedAt)}
	}
	return c.answer(http.StatusOK, refsAnswer("branches", views, next, nil))
}

func (s *server) getBranch(c *call, q params) error {
	ns, err := q.namespace("ephemeral")
	if err != nil {
		return err
	}
	b, err := s.Content.Branch(c.ctx(), c.repo, ns, q.Get("name"))
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, map[string]branchView{"branch": {Name: b.Name, HeadSHA: b.Head, CreatedAt: timestamp(b.CreatedAt)}})
}

func (s *server) listTags(c *call, q params) error {
	page, err := q.refsPage()
	if err != nil {
		return err
	}
	tags, next, err := s.Content.Tags(c.ctx(), c.repo, page)
	if err != nil {
		return err
	}
	views := make([]tagView, len(tags))
	for i, t := range tags {
		views[i] = tagView{t.Cursor, t.Name, t.Target}
	}
	return c.answer(http.StatusOK, refsAnswer("tags", views, next, nil))
}

func (s *server) getTag(c *call, q params) error {
	t, err := s.Content.Tag(c.ctx(), c.repo, q.Get("name"))
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, map[string]tagView{"tag": {Name: t.Name, SHA: t.Target}})
}

func (s *server) getNote(c *call, q params) error {
	note, err := s.Content.Note(c.ctx(), c.repo, q.any("object_ref", "sha"), q.any("notes_ref", "ref"))
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, map[string]any{"sha": note.Object, "note": note.Text, "ref_sha": note.Tip})
}

func (s *server) listNotesRefs(c *call, q params) error {
	page, err := q.refsPage()
	if err != nil {
		return err
	}
	refs, next, prefix, err := s.Content.NotesRefs(c.ctx(), c.repo, q.Get("prefix"), page)
	if err != nil {
		return err
	}
	views := make([]notesRefView, len(refs))
	for i, ref := range refs {
		views[i] = notesRefView{ref.Cursor, ref.Name, ref.Tip}
	}
	return c.answer(http.StatusOK, refsAnswer("refs", views, next, map[string]any{"prefix": prefix}))
}

// conflictVersionView is there also for a version that does not exist.
type conflictVersionView struct {
	OID       core.ObjectID `json:"oid,omitempty"`
	Content   *string       `json:"content,omitempty"`
	Truncated bool          `json:"truncated"`
	Binary    bool          `json:"binary"`
}

type conflictView struct {
	Path   string              `json:"path"`
	Result conflictVersionView `json:"result"`
	Base   conflictVersionView `json:"base"`
	Ours   conflictVersionView `json:"ours"`
	Theirs conflictVersionView `json:"theirs"`
}

type filteredConflictView struct {
	Path   string `json:"path"`
	Reason string `json:"reason"`
}

func viewConflictVersion(v content.ConflictVersion) conflictVersionView {
	view := conflictVersionView{OID: v.ID, Truncated: v.Truncated, Binary: v.Binary}
	if v.ID != "" && !v.Binary {
		view.Content = &v.Content
	}
	return view
}

func (s *server) previewMerge(c *call, q params) error {
	source, err := q.namespace("source_is_ephemeral")
	if err != nil {
		return err
	}
	target, err := q.namespace("target_is_ephemeral")
	if err != nil {
		return err
	}
	contents, err := q.flag("include_content")
	if err != nil {
		return err
	}
	unrelated, err := q.flag("allow_unrelated_histories")
	if err != nil {
		return err
	}
	p, err := s.Content.PreviewMerge(c.ctx(), c.repo, content.MergePreviewRequest{
		Source:   content.At{Namespace: source, Ref: q.any("source_ref", "source_branch")},
		Target:   content.At{Namespace: target, Ref: q.Get("target_branch")},
		Contents: contents, AllowUnrelated: unrelated,
	})
	if err != nil {
		return err
	}
	conflicts := make([]conflictView, len(p.Contents))
	for i, conflict := range p.Contents {
		conflicts[i] = conflictView{
			conflict.Path, viewConflictVersion(conflict.Result), viewConflictVersion(conflict.Base),
			viewConflictVersion(conflict.Ours), viewConflictVersion(conflict.Theirs),
		}
	}
	filtered := make([]filteredConflictView, len(p.Filtered))
	for i, f := range p.Filtered {
		filtered[i] = filteredConflictView{f.Path, f.Reason}
	}
	answer := map[string]any{
		"status": "clean", "result": p.Result,
		"source_branch": p.SourceName, "source_ref": p.SourceName, "target_branch": p.TargetBranch,
		"source_tip_sha": p.SourceTip, "target_tip_sha": p.TargetTip,
		"conflict_paths": orEmpty(p.Conflicts), "conflicts": conflicts, "filtered_conflicts": filtered,
	}
	if len(p.Conflicts) > 0 {
		answer["status"] = "conflicted"
	}
	if p.MergeBase != "" {
		answer["merge_base_sha"] = p.MergeBase
	}
	return c.answer(http.StatusOK, answer)
}
