package providertest

import "github.com/headwater-git/headwater/providers/providertest/fixture"

// The description of a host is in package fixture, which says what each part means.
type (
	// Forge describes the host of a provider.
	Forge = fixture.Forge
	// Refusals are how a host refuses requests of git.
	Refusals = fixture.Refusals
	// Answer is an HTTP status and the text that goes with it.
	Answer = fixture.Answer
	// Webhooks describe how a host delivers webhooks.
	Webhooks = fixture.Webhooks
	// Repository is a repository of the host.
	Repository = fixture.Repository
	// EventKind says what happened at a host.
	EventKind = fixture.EventKind
	// Event is something that happened at a host.
	Event = fixture.Event
	// RefUpdate is a ref that moved.
	RefUpdate = fixture.RefUpdate
	// Delivery is one request that the host makes to a receiver of webhooks.
	Delivery = fixture.Delivery
	// Server is the running host, as its API sees it.
	Server = fixture.Server
	// Access is what a request may do with a repository.
	Access = fixture.Access
	// Webhook is a webhook of a repository.
	Webhook = fixture.Webhook
)

// The kinds of events.
const (
	EventPush          = fixture.EventPush
	EventRenamed       = fixture.EventRenamed
	EventTransferred   = fixture.EventTransferred
	EventDeleted       = fixture.EventDeleted
	EventVisibility    = fixture.EventVisibility
	EventArchived      = fixture.EventArchived
	EventDefaultBranch = fixture.EventDefaultBranch
	EventPing          = fixture.EventPing
	EventOther         = fixture.EventOther
)
