package middleware

import (
	"context"
	"time"

	"github.com/headwater-git/headwater/core"
)

// retryReadOnly is when to come again to a server that an operator has change nothing.
const retryReadOnly = time.Minute

// ReadOnly returns the mode in which an operator has the server change nothing; nil:
// there is none.
type ReadOnly func(ctx context.Context) (core.ReadOnlyMode, error)

// Check returns KindReadOnly while the mode is on.
func (o ReadOnly) Check(ctx context.Context) error {
	if o == nil {
		return nil
	}
	mode, err := o(ctx)
	if err == nil && mode.On() {
		err = &core.Error{Kind: core.KindReadOnly, Message: mode.Sentence(), RetryAfter: retryReadOnly}
	}
	return err
}
