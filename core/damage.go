package core

import (
	"context"
	"time"
)

// EventRepositoryRebuilt tells that a repository's damaged or missing folder was
// replaced by one that was fetched from its upstream, and what was lost.
const EventRepositoryRebuilt = "repo.rebuilt"

// EventRepositoryDamaged tells that the content of a repository is missing or
// damaged, and what is done about it.
const EventRepositoryDamaged = "repo.damaged"

// DamageState says what is done about a repository whose folder is missing or
// damaged.
type DamageState string

// The states of a damage.
const (
	DamageRebuilding DamageState = "rebuilding" // the content is fetched from the upstream again; nothing can be read
	DamageWaiting    DamageState = "waiting"    // many repositories are missing at once: a person says go on
	DamageLost       DamageState = "lost"       // gone, and there is no upstream to have it from
	DamagePartial    DamageState = "damaged"    // a part cannot be read, and there is no upstream to have it from
	DamageRebuilt    DamageState = "rebuilt"    // ended: the content is here again
	DamageGone       DamageState = "mended"     // ended: the folder was found whole, as after a mount
)

// Open reports whether the damage has not ended.
func (s DamageState) Open() bool { return s != DamageRebuilt && s != DamageGone }

// LostRef is a ref whose commits survived neither here nor at the upstream.
type LostRef struct {
	Ref string   `json:"ref"` // by its name on disk; a kept tip is refs/internal/kept/ID
	ID  ObjectID `json:"id"`
}

// Damage is what was found wrong with a repository's folder, and what became of it.
type Damage struct {
	// ID is when it was found and of which repository, as
	// "20261129T205000Z-repo_...". It is the name of the quarantined folder.
	ID       string
	RepoID   string
	State    DamageState
	Reason   string // one sentence for a person
	Missing  bool   // the folder, or one without which git takes it for none
	Released bool   // a person said that it is to be rebuilt
	FoundAt  time.Time
	EndedAt  time.Time // zero: it has not ended
	Carried  int       // refs that were taken over from the quarantined folder
	Lost     []LostRef
}

// DamageStore keeps what was found wrong with repositories.
type DamageStore interface {
	// SaveDamage inserts, or replaces the one with that id. KindNotFound: there is
	// no such repository.
	SaveDamage(ctx context.Context, d Damage) error
	// OpenDamages lists those that have not ended, of all repositories, by id.
	OpenDamages(ctx context.Context) ([]Damage, error)
	// Damage returns one. KindNotFound: there is none of that id.
	Damage(ctx context.Context, id string) (Damage, error)
	// LastDamage returns the newest one of a repository. KindNotFound: there is none.
	LastDamage(ctx context.Context, repoID string) (Damage, error)
}
