// Package forget is the one way in which copies of objects are forgotten on
// purpose. Whatever holds objects of a repository, or what it read in them, beside
// the repository's own folder adds itself to the [Registry]: a cache, a fork, a
// bundle, a bucket. A purge asks all of them.
package forget

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/headwater-git/headwater/core"
)

// Forgetter holds copies of objects, or of what is in them.
type Forgetter interface {
	// Forget drops what it holds of the objects of a repository, and returns when
	// nobody can get at it any more. It may drop more. It must be possible to call it
	// again after an error, and for objects that it never had. The error says what to
	// do by hand.
	Forget(ctx context.Context, repo core.Repository, ids []core.ObjectID) error
}

// Func is a function that is a [Forgetter].
type Func func(ctx context.Context, repo core.Repository, ids []core.ObjectID) error

// Forget calls f.
func (f Func) Forget(ctx context.Context, repo core.Repository, ids []core.ObjectID) error {
	return f(ctx, repo, ids)
}

// Registry is every [Forgetter] of a server, and is one itself. The zero value has
// none. It is safe for concurrent use.
type Registry struct {
	mu  sync.Mutex
	all []named
}

type named struct {
	what string
	Forgetter
}

var _ Forgetter = (*Registry)(nil)

// Add adds one; what says in errors what it holds.
func (r *Registry) Add(what string, f Forgetter) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, named{what, f})
}

// Forget asks all of them, also after an error of one. Errors: theirs, joined.
func (r *Registry) Forget(ctx context.Context, repo core.Repository, ids []core.ObjectID) error {
	r.mu.Lock()
	all := r.all[:len(r.all):len(r.all)]
	r.mu.Unlock()
	var failed []error
	for _, f := range all {
		if err := f.Forget(ctx, repo, ids); err != nil {
			failed = append(failed, fmt.Errorf("forget in the %s: %w", f.what, err))
		}
	}
	return errors.Join(failed...)
}
