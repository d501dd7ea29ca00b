package core

import (
	"context"
	"time"

	"github.com/headwater-git/headwater/providers"
)

// InboundWebhook is how a repository's host tells us of changes: the address
// and secret that we gave it, and what came of it.
type InboundWebhook struct {
	RepoID    string
	Token     string             // part of the address, unguessable; sealed at rest, found by its digest
	Secrets   []providers.Secret // newest first; two during rotation
	RotatedAt time.Time          // the newest secret was made; the older one is dropped a day later
	HookID    string             // id at the host of the webhook that we registered; "" if we did not
	State     InboundState
	Message   string    // why it is not active, one sentence with what to do
	CheckedAt time.Time // registration was last ensured
	NextCheck time.Time // when to ensure it next; zero: never by itself
	// LastDeliveryAt is the last verified delivery, LastMissedAt the last time
	// that a poll found a change which no delivery had announced.
	LastDeliveryAt time.Time
	LastMissedAt   time.Time
	CreatedAt      time.Time
}

// InboundState is the state of an inbound webhook's registration at the host.
type InboundState string

// The states of a registration.
const (
	InboundNone    InboundState = "none"    // nobody registers it: the operator may, or polling does the work
	InboundActive  InboundState = "active"  // registered by us and found correct
	InboundFailing InboundState = "failing" // the host refused or cannot be asked; tried again
)

// InboundDelivery is one inbound webhook request that verified.
type InboundDelivery struct {
	Instance   string // provider instance
	DeliveryID string // the host's id, or a digest of the body where it gives none; unique per instance
	RepoID     string // "" if it concerns none, or several
	Kind       providers.WebhookKind
	ReceivedAt time.Time
}

// Expectation is a ref update that an inbound webhook announced and that a
// listing has not shown yet.
type Expectation struct {
	RepoID    string
	Ref       string // full name
	Old       ObjectID
	New       ObjectID // zero: a deletion
	Since     time.Time
	ExpiresAt time.Time
}

// InboundStore keeps what hosts tell us.
type InboundStore interface {
	// SaveInboundWebhook inserts or replaces the one of the repository.
	SaveInboundWebhook(ctx context.Context, w InboundWebhook) error
	InboundWebhook(ctx context.Context, repoID string) (InboundWebhook, error)
	InboundWebhookByToken(ctx context.Context, token string) (InboundWebhook, error)
	// DueInboundWebhooks lists repositories whose NextCheck is set and not
	// after now, at most limit.
	DueInboundWebhooks(ctx context.Context, now time.Time, limit int) ([]string, error)
	// NoteInbound records that a delivery came, or that one was missed. A
	// repository without inbound webhook gets none by this. If one was missed,
	// an active webhook is due to be checked then, unless it was a moment ago and
	// one was missed a moment ago, too.
	NoteInbound(ctx context.Context, repoID string, delivered, missed time.Time) error
	DeleteInboundWebhook(ctx context.Context, repoID string) error

	// AddInboundDelivery records a delivery; KindConflict: it came before.
	AddInboundDelivery(ctx context.Context, d InboundDelivery) error
	// LastInboundDelivery returns when the instance last got one; zero: never.
	LastInboundDelivery(ctx context.Context, instance string) (time.Time, error)
	DeleteInboundDeliveries(ctx context.Context, before time.Time, limit int) (int, error)

	// Expect inserts expectations, or replaces those of the same ref.
	Expect(ctx context.Context, es []Expectation) error
	Expectations(ctx context.Context, repoID string) ([]Expectation, error)
	// Unexpect deletes the expectation of a ref if it is still for that id.
	Unexpect(ctx context.Context, repoID, ref string, id ObjectID) error

	// RepositoriesOf finds the repositories of every organisation that follow
	// an upstream: by its stable id if id is not empty, else by its path at
	// the host (case-insensitive). An empty host is any host of the instance.
	RepositoriesOf(ctx context.Context, instance, host, id, path string) ([]Repository, error)
	// RepositoriesUnder finds those below an owner at the host.
	RepositoriesUnder(ctx context.Context, instance, host, owner string) ([]Repository, error)
}
