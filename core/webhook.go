package core

import (
	"context"
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
	Trace         string // that of the event
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

// WebhookStore keeps outbound webhooks and their deliveries.
type WebhookStore interface {
	CreateWebhook(ctx context.Context, w Webhook) error
	// UpdateWebhook replaces all but id, organisation, times of attempts and
	// StartSeq. An empty Secret keeps the old one.
	UpdateWebhook(ctx context.Context, w Webhook) error
	// DeleteWebhook deletes it with its deliveries.
	DeleteWebhook(ctx context.Context, org, id string) error
	Webhook(ctx context.Context, org, id string) (Webhook, error)
	WebhookByID(ctx context.Context, id string) (Webhook, error)
	// Webhooks lists those of an organisation, newest first; "" lists all.
	Webhooks(ctx context.Context, org string) ([]Webhook, error)
	// NoteAttempt updates the fields that tell how a webhook is doing.
	NoteAttempt(ctx context.Context, id string, at time.Time, failure string) error

	// OutboxPosition returns the Seq up to which deliveries have been made of
	// events; SetOutboxPosition moves it, in the transaction that makes them.
	OutboxPosition(ctx context.Context) (int64, error)
	SetOutboxPosition(ctx context.Context, seq int64) error

	AddDeliveries(ctx context.Context, ds []Delivery) error
	Delivery(ctx context.Context, webhookID, id string) (Delivery, error)
	// Deliveries lists those of a webhook, newest first, ids below before.
	Deliveries(ctx context.Context, webhookID, before string, limit int) ([]Delivery, error)
	// DueDeliveries lists, of every webhook and repository, the oldest pending
	// delivery if its NextAttemptAt is not after now; oldest due first.
	// Deliveries of the webhooks in skip are left out. None is due while deliveries
	// are held after a restore.
	DueDeliveries(ctx context.Context, now time.Time, skip []string, limit int) ([]Delivery, error)
	// NextDeliveryAt returns the earliest NextAttemptAt after now of a
	// delivery that is first of its webhook and repository; zero: none. While
	// deliveries are held it is soon: whoever lets them go is another process.
	NextDeliveryAt(ctx context.Context, now time.Time) (time.Time, error)
	// SaveDelivery writes state, attempts, next attempt and last answer.
	SaveDelivery(ctx context.Context, d Delivery) error
	// CancelDeliveries ends the pending deliveries of a webhook.
	CancelDeliveries(ctx context.Context, webhookID string, at time.Time) error
	// DropDeliveries deletes the newest deliveries of a webhook of the
	// organisation, whatever their state, at most limit, and returns how many.
	DropDeliveries(ctx context.Context, org, webhookID string, limit int) (int, error)
	AddAttempt(ctx context.Context, a DeliveryAttempt) error
	Attempts(ctx context.Context, deliveryID string) ([]DeliveryAttempt, error) // in order
	// DeleteDeliveries deletes finished deliveries and their attempts from
	// before a time, at most limit; it returns how many.
	DeleteDeliveries(ctx context.Context, before time.Time, limit int) (int, error)
}
