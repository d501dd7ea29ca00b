package core

import (
	"time"

	"github.com/headwater-git/headwater/providers"
)

// Webhook is an outbound webhook: a subscription of an organisation to events.
type Webhook struct {
	ID        string // "wh_" and a ULID
	Org       string
	URL       string
	Events    []string // types, see [EventTypes]; never empty
	RepoID    string   // only events of this repository; "" is every one of the organisation
	Active    bool     // an inactive webhook collects nothing
	Secret    providers.Secret
	CreatedAt time.Time
	UpdatedAt time.Time
	// StartSeq is the position of the outbox at its creation: only later
	// events are delivered.
	StartSeq int64
	// FailingSince is the first of the attempts that have failed in a row; zero:
	// the last one succeeded, or there was none.
	FailingSince  time.Time
	LastSuccessAt time.Time
	LastAttemptAt time.Time
	LastError     string // of the last attempt; "" after a success
}

// DeliveryState is the state of an outbound delivery.
type DeliveryState string

// A delivery is pending until the receiver answered 2xx (delivered), its
// attempts are used up (failed), or its webhook was deleted or switched off
// (cancelled).
const (
	DeliveryPending   DeliveryState = "pending"
	DeliveryDelivered DeliveryState = "delivered"
	DeliveryFailed    DeliveryState = "failed"
	DeliveryCancelled DeliveryState = "cancelled"
)

// Delivery is one event on its way to one outbound webhook.
type Delivery struct {
	ID            string // "dlv_" and a ULID; ids order deliveries of one webhook and repository
	WebhookID     string
	EventID       string // "" for a test ping
	EventType     string
	RepoID        string // "" for a test ping
	Payload       []byte // the request body
	State         DeliveryState
	Attempts      int
	NextAttemptAt time.Time // of a pending delivery; zero: at once
	LastStatus    int       // HTTP status of the last answer; 0: none came
	LastError     string
	CreatedAt     time.Time
	FinishedAt    time.Time
}

// DeliveryAttempt is one try of a delivery, for the log.
type DeliveryAttempt struct {
	DeliveryID string
	Number     int // from 1
	At         time.Time
	Duration   time.Duration
	Status     int    // HTTP status; 0: no answer came
	Response   []byte // first bytes of the answer's body, at most 4 KiB
	Error      string // "" after a 2xx
}

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
