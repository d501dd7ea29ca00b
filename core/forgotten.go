package core

import (
	"context"
	"time"
)

// EventForgottenReturned tells that refs lead again to objects that were forgotten on
// purpose, because the host does or somebody pushed them. Its body names the refs, how
// many objects there are, and some of their ids.
const EventForgottenReturned = "repo.forgotten_returned"

// ForgottenStore keeps the ids of objects that were forgotten on purpose: what a
// purge took out of a repository. Such an object is served, kept and fetched by its
// id only while a ref leads to it.
type ForgottenStore interface {
	// Forget adds ids to the forgotten ones of a repository. One that is there
	// already stays as it is. KindNotFound: no such repository.
	Forget(ctx context.Context, repoID string, ids []ObjectID, at time.Time) error
	// Forgotten returns which of the ids are forgotten in the repository.
	Forgotten(ctx context.Context, repoID string, ids []ObjectID) ([]ObjectID, error)
	// AnyForgotten reports whether the repository has forgotten anything.
	AnyForgotten(ctx context.Context, repoID string) (bool, error)
}
