package core

import (
	"context"
	"time"
)

// AliasStore keeps the names that repositories had before they were renamed.
type AliasStore interface {
	// RepositoriesOfAnyOrg returns the repositories of all organisations that have a name
	// or had it before, in no order; at most limit, which must be positive. Those in the
	// trash are not among them.
	RepositoriesOfAnyOrg(ctx context.Context, name string, limit int) ([]Repository, error)
	// RenameRepository gives a repository another name. The former one is an alias of it
	// until another repository has that name. KindConflict: the name is taken, or is an
	// alias of another repository. KindNotFound: there is no such repository.
	RenameRepository(ctx context.Context, id, name string, at time.Time) error
	// RepositoryByAlias returns the repository of an organisation that had a name.
	// KindNotFound: none had it, or one has it.
	RepositoryByAlias(ctx context.Context, org, name string) (Repository, error)
	// Aliases returns the former names that lead to a repository, oldest first.
	Aliases(ctx context.Context, id string) ([]string, error)
}
