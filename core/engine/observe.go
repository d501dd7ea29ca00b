package engine

import (
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/events"
	"github.com/headwater-git/headwater/core/limit"
	"github.com/headwater-git/headwater/core/maintain"
	"github.com/headwater-git/headwater/core/push"
)

// Observer is notified of what the core has done, for whoever counts. It is called from the
// work itself, from many goroutines, and must not block.
type Observer interface {
	Queued(w limit.Wait)
	Pushed(f push.Finished)
	Synced(r core.Repository, run core.Run)
	Delivered(t events.Try)
	Maintained(task maintain.Task, took time.Duration, err error)
	// Cached is called for each look into a cache: whether it had what was wanted.
	Cached(c Cache, found bool)
}

// Cache names one of the caches of a server.
type Cache string

// The caches whose use is counted.
const (
	// CacheReaders are the idle git processes that read objects.
	CacheReaders Cache = "object_readers"
	// CacheLastCommits are the commits that touched a file last.
	CacheLastCommits Cache = "last_commits"
	// CacheKeys are the public keys of organisations.
	CacheKeys Cache = "keys"
	// CacheCredentials are the credentials that plugins gave.
	CacheCredentials Cache = "credentials"
)

// nobody observes nothing.
type nobody struct{}

func (nobody) Queued(limit.Wait)                {}
func (nobody) Pushed(push.Finished)             {}
func (nobody) Synced(core.Repository, core.Run) {}
func (nobody) Delivered(events.Try)             {}
func (nobody) Cached(Cache, bool)               {}

func (nobody) Maintained(maintain.Task, time.Duration, error) {}
