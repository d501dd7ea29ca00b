package core

import (
	"context"
	"time"
)

// RetentionStore deletes what nobody needs any more. Each method deletes at
// most limit rows and returns how many it did.
type RetentionStore interface {
	// DeleteJournal deletes closed entries from before a time.
	DeleteJournal(ctx context.Context, before time.Time, limit int) (int, error)
	// DeleteRuns deletes finished runs from before a time, but keeps the last
	// keep of every repository.
	DeleteRuns(ctx context.Context, before time.Time, keep, limit int) (int, error)
}
