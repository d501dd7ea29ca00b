package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"

	"github.com/headwater-git/headwater/core"
)

// op says what a method does, and what it means if the row it names is missing
// or the value it adds is there already.
type op struct {
	name    string // e.g. "create repository"
	subject string // e.g. its name
	missing string // message of KindNotFound
	taken   string // message of KindConflict
}

// fail returns nil for nil, and otherwise err as a [*core.Error]. An error
// that has a kind already, from within, keeps it.
func (o op) fail(err error) error {
	if err == nil {
		return nil
	}
	failure := &core.Error{Kind: core.KindInternal, Op: o.name, Subject: o.subject, Err: err}
	f := faultOf(err)
	inner, classified := errors.AsType[*core.Error](err)
	switch {
	case classified:
		failure.Kind, failure.Message, failure.Err = inner.Kind, inner.Message, inner.Err
	case errors.Is(err, sql.ErrNoRows), f.orphan:
		failure.Kind, failure.Message = core.KindNotFound, o.missing
	case f.unique:
		failure.Kind, failure.Message = core.KindConflict, o.taken
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		failure.Message = "it was given up before it was done"
	default:
		failure.Message = cmp.Or(f.shortage, f.advice, "the database failed")
		if f.shortage != "" || f.away {
			failure.Kind = core.KindResource
		}
	}
	return failure
}
