package lfs

import (
	"context"
	"errors"
	"io"

	"github.com/headwater-git/headwater/core"
)

// failing is an [Upstream] whose errors have kinds, for whoever waits for them.
type failing struct {
	Upstream
	failure func(op string, err error) error
}

// fail returns an error with its kind. That a path is locked stays as it is.
func (f failing) fail(op string, err error) error {
	if err == nil {
		return nil
	}
	if locked, ok := errors.AsType[*LockedError](err); ok {
		return locked
	}
	if errors.Is(err, ErrUnsupported) {
		return &core.Error{Kind: core.KindNotFound, Op: op, Message: core.MessageOf(f.failure(op, err)), Err: err}
	}
	return f.failure(op, err)
}

// Batch implements [Upstream].
func (f failing) Batch(ctx context.Context, operation Operation, ref string, objects []Pointer) ([]Transfer, error) {
	const op = "ask the upstream about LFS objects"
	transfers, err := f.Upstream.Batch(ctx, operation, ref, objects)
	if err == nil && len(transfers) != len(objects) {
		err = core.Errorf(core.KindUpstreamRejected, "the upstream answered of %d LFS objects when it was asked about %d", len(transfers), len(objects))
	}
	for i, t := range transfers {
		transfers[i].Err = f.fail(op, t.Err)
	}
	return transfers, f.fail(op, err)
}

// Get implements [Upstream].
func (f failing) Get(ctx context.Context, t Transfer, offset int64) (io.ReadCloser, error) {
	body, err := f.Upstream.Get(ctx, t, offset)
	return body, f.fail("fetch an LFS object", err)
}

// Put implements [Upstream].
func (f failing) Put(ctx context.Context, t Transfer, body io.Reader) error {
	return f.fail("send an LFS object to the upstream", f.Upstream.Put(ctx, t, body))
}

// Locks implements [Upstream].
func (f failing) Locks(ctx context.Context, q LockQuery) ([]Lock, string, error) {
	locks, next, err := f.Upstream.Locks(ctx, q)
	return locks, next, f.fail("list the upstream's locks", err)
}

// Lock implements [Upstream].
func (f failing) Lock(ctx context.Context, path, ref string) (Lock, error) {
	l, err := f.Upstream.Lock(ctx, path, ref)
	return l, f.fail("lock at the upstream", err)
}

// Unlock implements [Upstream].
func (f failing) Unlock(ctx context.Context, id, ref string, force bool) (Lock, error) {
	l, err := f.Upstream.Unlock(ctx, id, ref, force)
	return l, f.fail("unlock at the upstream", err)
}

// Ours implements [Upstream].
func (f failing) Ours(ctx context.Context, id, ref string) (bool, error) {
	ours, err := f.Upstream.Ours(ctx, id, ref)
	return ours, f.fail("list the upstream's locks", err)
}
