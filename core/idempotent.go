package core

import (
	"context"
	"time"

	"github.com/headwater-git/headwater/providers"
)

const (
	// IdempotentCallAge is how long a call is remembered by its Idempotency-Key.
	IdempotentCallAge = 24 * time.Hour
	// IdempotentCallsKept is how many calls of an organisation are remembered at most;
	// the oldest go first.
	IdempotentCallsKept = 10000
)

// IdempotentCall is a call of the API that was sent with an Idempotency-Key.
type IdempotentCall struct {
	ID          string // hash of who calls, what, and the key
	Org         string
	At          time.Time        // when it began
	Fingerprint string           // of the request; "" while Status is 0
	Status      int              // of the answer; 0: the work has not ended, or nobody knows how
	Answer      providers.Secret // body of the answer
}

// IdempotencyStore remembers calls that were sent with an Idempotency-Key.
type IdempotencyStore interface {
	// BeginIdempotentCall adds a call whose outcome is not known yet, and forgets the
	// organisation's oldest above [IdempotentCallsKept]. One of the same id that began
	// more than [IdempotentCallAge] before it is replaced. KindConflict: there is one.
	BeginIdempotentCall(ctx context.Context, c IdempotentCall) error
	// IdempotentCall returns a call. KindNotFound: none of this id is remembered.
	IdempotentCall(ctx context.Context, id string) (IdempotentCall, error)
	// FinishIdempotentCall records the answer of a call, sealed. KindNotFound: it is
	// not remembered any more.
	FinishIdempotentCall(ctx context.Context, c IdempotentCall) error
	// ForgetIdempotentCall deletes a call, if it is there.
	ForgetIdempotentCall(ctx context.Context, id string) error
	// DeleteIdempotentCalls deletes calls that began before a time.
	DeleteIdempotentCalls(ctx context.Context, before time.Time, limit int) (int, error)
}
