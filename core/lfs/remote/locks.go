package remote

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git/hosterror"
	"github.com/headwater-git/headwater/core/lfs"
	"github.com/headwater-git/headwater/providers"
)

type lockJSON struct {
	ID       string    `json:"id"`
	Path     string    `json:"path"`
	LockedAt time.Time `json:"locked_at"`
	Owner    *struct {
		Name string `json:"name"`
	} `json:"owner"`
}

func (j lockJSON) lock() lfs.Lock {
	l := lfs.Lock{ID: j.ID, Path: j.Path, LockedAt: j.LockedAt.UTC()}
	if j.Owner != nil {
		l.Owner = j.Owner.Name
	}
	return l
}

func (j *lockJSON) clean(text func(string) string) {
	if j.Owner != nil {
		j.Owner.Name = text(j.Owner.Name)
	}
}

// lockList is the answer to a request about many locks.
type lockList struct {
	Locks   []lockJSON `json:"locks"`
	Ours    []lockJSON `json:"ours"`   // of locks/verify, in place of Locks
	Theirs  []lockJSON `json:"theirs"` // of locks/verify
	Next    string     `json:"next_cursor"`
	Message string     `json:"message"`
}

func (l *lockList) clean(text func(string) string) {
	l.Message = text(l.Message)
	for _, locks := range [][]lockJSON{l.Locks, l.Ours, l.Theirs} {
		for i := range locks {
			locks[i].clean(text)
		}
	}
}

// oneLock is the answer to a request about one lock.
type oneLock struct {
	Lock    *lockJSON `json:"lock"`
	Message string    `json:"message"`
}

func (o *oneLock) clean(text func(string) string) {
	o.Message = text(o.Message)
	if o.Lock != nil {
		o.Lock.clean(text)
	}
}

// Locks implements [lfs.Upstream].
func (c *client) Locks(ctx context.Context, query lfs.LockQuery) (locks []lfs.Lock, next string, err error) {
	q := api{method: http.MethodGet, path: []string{"locks"}, query: url.Values{}}
	for name, value := range map[string]string{"path": query.Path, "id": query.ID, "refspec": query.Ref, "cursor": query.Cursor} {
		if value != "" {
			q.query.Set(name, value)
		}
	}
	if query.Limit > 0 {
		q.query.Set("limit", strconv.Itoa(query.Limit))
	}
	var found lockList
	err = c.call(ctx, providers.OpLFS, q, func(a said) error {
		if err := noLocks(a); err != nil {
			return err
		}
		if !a.ok() {
			return a.refuse("the locks of the upstream")
		}
		return a.decode(a.place, &found)
	})
	if err != nil {
		return nil, "", err
	}
	if found.Locks == nil && found.Message != "" {
		return nil, "", &hosterror.Error{Class: core.ClassRefused, HostText: "the locks of the upstream: " + found.Message}
	}
	locks = make([]lfs.Lock, len(found.Locks))
	for i, l := range found.Locks {
		locks[i] = l.lock()
	}
	return locks, found.Next, nil
}

// Lock implements [lfs.Upstream].
func (c *client) Lock(ctx context.Context, path, ref string) (lfs.Lock, error) {
	in := struct {
		Path string   `json:"path"`
		Ref  *refJSON `json:"ref,omitempty"`
	}{path, refOf(ref)}
	var made oneLock
	err := c.call(ctx, providers.OpLFSWrite, api{method: http.MethodPost, path: []string{"locks"}, in: in, once: true}, func(a said) error {
		if err := noLocks(a); err != nil {
			return err
		}
		made = oneLock{}
		if a.status == http.StatusConflict {
			_ = a.decode(a.place, &made) // a server need not name the lock
			if made.Lock == nil {
				made.Lock = &lockJSON{Path: path}
			}
			return &lfs.LockedError{Lock: made.Lock.lock()}
		}
		if !a.ok() {
			return a.refuse(fmt.Sprintf("the lock of %q", path))
		}
		return a.decode(a.place, &made)
	})
	if err != nil {
		return lfs.Lock{}, unconfirmed(err)
	}
	if made.Lock == nil && made.Message != "" {
		// Status and words say different things: the list of locks knows.
		locks, _, err := c.Locks(ctx, lfs.LockQuery{Path: path, Ref: ref})
		if err == nil && len(locks) > 0 && locks[0].Path == path {
			return lfs.Lock{}, &lfs.LockedError{Lock: locks[0]}
		}
	}
	l, err := made.take(fmt.Sprintf("the lock of %q", path))
	return l, unconfirmed(err)
}

// Unlock implements [lfs.Upstream].
func (c *client) Unlock(ctx context.Context, id, ref string, force bool) (lfs.Lock, error) {
	in := struct {
		Force bool     `json:"force"`
		Ref   *refJSON `json:"ref,omitempty"`
	}{force, refOf(ref)}
	var gone oneLock
	about := fmt.Sprintf("the lock with the id %q", id)
	err := c.call(ctx, providers.OpLFSWrite, api{method: http.MethodPost, path: []string{"locks", url.PathEscape(id), "unlock"}, in: in, once: true}, func(a said) error {
		if err := noLocks(a); err != nil {
			return err
		}
		if !a.ok() {
			return a.refuse(about)
		}
		gone = oneLock{}
		return a.decode(a.place, &gone)
	})
	if err != nil {
		return lfs.Lock{}, unconfirmed(err)
	}
	l, err := gone.take(about)
	return l, unconfirmed(err)
}

// maxOwnPages bounds the pages of locks that Ours looks through.
const maxOwnPages = 50

// Ours implements [lfs.Upstream].
func (c *client) Ours(ctx context.Context, id, ref string) (bool, error) {
	const about = "whose locks they are"
	in := struct {
		Ref    *refJSON `json:"ref,omitempty"`
		Cursor string   `json:"cursor,omitempty"`
	}{Ref: refOf(ref)}
	for range maxOwnPages {
		var found lockList
		err := c.call(ctx, providers.OpLFSWrite, api{method: http.MethodPost, path: []string{"locks", "verify"}, in: in}, func(a said) error {
			if err := noLocks(a); err != nil {
				return err
			}
			if !a.ok() {
				return a.refuse(about)
			}
			return a.decode(a.place, &found)
		})
		has := func(l lockJSON) bool { return l.ID == id }
		switch {
		case err != nil:
			return false, err
		case slices.ContainsFunc(found.Ours, has):
			return true, nil
		case slices.ContainsFunc(found.Theirs, has):
			return false, nil
		case found.Next == "":
			return false, nil
		}
		in.Cursor = found.Next
	}
	return false, &hosterror.Error{Class: core.ClassProtocol, HostText: about + ": the upstream lists more locks than are looked through"}
}

// take returns the lock of an answer of success. Some servers answer with that status and
// say in words that it was none.
func (o oneLock) take(about string) (lfs.Lock, error) {
	switch {
	case o.Lock != nil:
		return o.Lock.lock(), nil
	case o.Message != "":
		return lfs.Lock{}, &hosterror.Error{Class: core.ClassRefused, HostText: about + ": " + o.Message}
	}
	return lfs.Lock{}, &hosterror.Error{Class: core.ClassProtocol, HostText: about + ": the upstream's LFS answered nothing about it"}
}

// noLocks is [noServer] of the part of it that has locks.
func noLocks(a said) error {
	err := noServer(a)
	if e, ok := errors.AsType[*hosterror.Error](err); ok {
		e.HostText = "the upstream has no LFS locks at " + a.place
		if words := a.words(a.remote.Secrets()); words != "" && a.status == http.StatusNotImplemented {
			e.HostText += "; it says: " + words
		}
	}
	return err
}
