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
}

// nobody observes nothing.
type nobody struct{}

func (nobody) Queued(limit.Wait)                {}
func (nobody) Pushed(push.Finished)             {}
func (nobody) Synced(core.Repository, core.Run) {}
func (nobody) Delivered(events.Try)             {}

func (nobody) Maintained(maintain.Task, time.Duration, error) {}
