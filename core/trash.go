package core

import (
	"context"
	"time"
)

// Deleted reports whether the repository is in the trash.
func (r Repository) Deleted() bool { return !r.DeletedAt.IsZero() }

// TrashStore keeps repositories that were deleted and can still be had back. They have
// everything that belonged to them but their inbound webhook, and no other method than
// these finds them: not by name, not by id, in no list.
type TrashStore interface {
	// TrashRepository moves a repository into the trash, where it stays until a time. Its
	// name is free at once. Nothing is due for it any more, and its journal takes no new
	// entries; those that are open can be closed. KindNotFound: there is none, or it is in
	// the trash already.
	TrashRepository(ctx context.Context, id string, at, until time.Time) error
	// DeletedRepository returns the repository of an organisation that was deleted last
	// of those with a name, or the one with an id. KindNotFound: none is in the trash.
	DeletedRepository(ctx context.Context, org, nameOrID string) (Repository, error)
	// DeletedRepositoryByID is DeletedRepository for an id of any organisation.
	DeletedRepositoryByID(ctx context.Context, id string) (Repository, error)
	// DeletedRepositories lists what is in the trash of an organisation, or with "" of
	// all, by id.
	DeletedRepositories(ctx context.Context, org string) ([]Repository, error)
	// UndeleteRepository takes a repository out of the trash, under a name.
	// KindConflict: the name is taken. KindNotFound: it is not in the trash.
	UndeleteRepository(ctx context.Context, id, name string) error
	// ExpiredRepositories lists repositories whose time in the trash is over, the
	// longest first. KindInvalid: the limit is not positive.
	ExpiredRepositories(ctx context.Context, now time.Time, limit int) ([]Repository, error)
	// FolderIDs lists the ids of all repositories that have a folder on the disk: those
	// of [RepositoryStore] and those in the trash, in order.
	FolderIDs(ctx context.Context) ([]string, error)
}
