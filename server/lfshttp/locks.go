package lfshttp

import (
	"net/http"
	"strconv"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/lfs"
)

// lockBody is a lock in an answer.
type lockBody struct {
	ID       string    `json:"id"`
	Path     string    `json:"path"`
	LockedAt string    `json:"locked_at"`
	Owner    lockOwner `json:"owner"`
}

type lockOwner struct {
	Name string `json:"name"`
}

func viewLock(l lfs.Lock) lockBody {
	return lockBody{ID: l.ID, Path: l.Path, LockedAt: l.LockedAt.UTC().Format(time.RFC3339), Owner: lockOwner{l.Owner}}
}

// oneLock is the answer that is about one lock.
type oneLock struct {
	Lock lockBody `json:"lock"`
}

// listLocks lists locks.
func (h *Handler) listLocks(c *call) error {
	values := c.r.URL.Query()
	q := lfs.LockQuery{Path: values.Get("path"), ID: values.Get("id"), Ref: values.Get("refspec"), Cursor: values.Get("cursor")}
	if text := values.Get("limit"); text != "" {
		limit, err := strconv.Atoi(text)
		if err != nil || limit < 0 {
			return core.Errorf(core.KindInvalid, "limit must be a number")
		}
		q.Limit = limit
	}
	all, next, err := h.o.Objects.Locks(c.r.Context(), c.repo, c.owner(), q)
	if err != nil {
		return err
	}
	answer := struct {
		Locks []lockBody `json:"locks"`
		Next  string     `json:"next_cursor,omitempty"`
	}{Locks: []lockBody{}, Next: next}
	for _, l := range all {
		answer.Locks = append(answer.Locks, viewLock(l.Lock))
	}
	return c.answer(http.StatusOK, answer)
}

// verifyLocks lists locks by who holds them. git-lfs asks before a push, and does not
// push what somebody else has locked.
func (h *Handler) verifyLocks(c *call) error {
	var body struct {
		Ref    *refBody `json:"ref"`
		Cursor string   `json:"cursor"`
		Limit  int      `json:"limit"`
	}
	if err := h.read(c, &body); err != nil {
		return err
	}
	if err := c.allowRef(body.Ref.name()); err != nil {
		return err
	}
	all, next, err := h.o.Objects.Locks(c.r.Context(), c.repo, c.owner(), lfs.LockQuery{Ref: body.Ref.name(), Cursor: body.Cursor, Limit: body.Limit})
	if err != nil {
		return err
	}
	answer := struct {
		Ours   []lockBody `json:"ours"`
		Theirs []lockBody `json:"theirs"`
		Next   string     `json:"next_cursor,omitempty"`
	}{Ours: []lockBody{}, Theirs: []lockBody{}, Next: next}
	for _, l := range all {
		if l.Ours {
			answer.Ours = append(answer.Ours, viewLock(l.Lock))
		} else {
			answer.Theirs = append(answer.Theirs, viewLock(l.Lock))
		}
	}
	return c.answer(http.StatusOK, answer)
}

// lock locks a path.
func (h *Handler) lock(c *call) error {
	var body struct {
		Path string   `json:"path"`
		Ref  *refBody `json:"ref"`
	}
	if err := h.read(c, &body); err != nil {
		return err
	}
	if err := c.allowRef(body.Ref.name()); err != nil {
		return err
	}
	c.lockPath = body.Path
	l, err := h.o.Objects.Lock(c.r.Context(), c.repo, c.owner(), body.Path, body.Ref.name())
	if err != nil {
		return err
	}
	return c.answer(http.StatusCreated, oneLock{viewLock(l)})
}

// unlock removes a lock.
func (h *Handler) unlock(c *call) error {
	var body struct {
		Force bool     `json:"force"`
		Ref   *refBody `json:"ref"`
	}
	if err := h.read(c, &body); err != nil {
		return err
	}
	if err := c.allowRef(body.Ref.name()); err != nil {
		return err
	}
	l, err := h.o.Objects.Unlock(c.r.Context(), c.repo, c.owner(), c.target.id, body.Ref.name(), body.Force)
	c.lockPath = l.Path
	if err != nil {
		return err
	}
	if body.Force {
		c.lockNote = "by force; it was held by " + l.Owner
	}
	return c.answer(http.StatusOK, oneLock{viewLock(l)})
}
