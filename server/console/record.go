package console

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/push"
)

const (
	// keepMinutes is how long minutes and lags are kept.
	keepMinutes = 7 * 24 * time.Hour
	lagSlot     = 15 * time.Minute
)

// RecorderOptions configures [NewRecorder].
type RecorderOptions struct {
	Store  core.ConsoleStore
	Clock  core.Clock
	Logger hclog.Logger
}

// Recorder writes down, minute by minute, how the mirrors are and what was done. Its
// methods are safe for concurrent use.
type Recorder struct {
	o RecorderOptions

	mu     sync.Mutex
	counts map[string]*core.ConsoleMinute // by organisation, since the last minute
	lags   map[string]core.ConsoleLag     // by repository, of the quarter of an hour
}

// NewRecorder returns a recorder that has recorded nothing.
func NewRecorder(o RecorderOptions) *Recorder {
	return &Recorder{o: o, counts: map[string]*core.ConsoleMinute{}, lags: map[string]core.ConsoleLag{}}
}

// count changes the minute of an organisation and that of all.
func (r *Recorder) count(org string, change func(m *core.ConsoleMinute)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range []string{org, ""} {
		if r.counts[name] == nil {
			r.counts[name] = &core.ConsoleMinute{}
		}
		change(r.counts[name])
	}
}

// Pushed counts a write.
func (r *Recorder) Pushed(f push.Finished) {
	r.count(f.Org, func(m *core.ConsoleMinute) {
		if f.Ending == push.EndedWell {
			m.PushesOK++
		} else {
			m.PushesFailed++
		}
		m.PushTime += f.Took
		m.PushSlowest = max(m.PushSlowest, f.Took)
	})
}

// Synced counts a sync.
func (r *Recorder) Synced(repo core.Repository, run core.Run) {
	r.count(repo.Org, func(m *core.ConsoleMinute) {
		switch run.Outcome {
		case "succeeded":
			m.Succeeded++
		case "unchanged":
			m.Unchanged++
		case "held":
			m.SyncsHeld++
		default:
			m.SyncsFailed++
		}
	})
}

// Run records until ctx ends. A minute that cannot be written is logged and lost.
func (r *Recorder) Run(ctx context.Context) error {
	for {
		if err := r.Record(ctx); err != nil && ctx.Err() == nil {
			r.o.Logger.Warn("a minute of the console's pictures could not be written", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-r.o.Clock.After(time.Minute):
		}
	}
}

// Record writes one minute.
func (r *Recorder) Record(ctx context.Context) error {
	now := r.o.Clock.Now()
	at := now.Truncate(time.Minute)
	minutes := map[string]*core.ConsoleMinute{"": {}}
	lags := map[string][]time.Duration{}
	var slots []core.ConsoleLag
	r.mu.Lock()
	for org, m := range r.counts {
		minutes[org] = m
	}
	r.counts = map[string]*core.ConsoleMinute{}
	r.mu.Unlock()
	err := r.o.Store.Health(ctx, "", func(h core.RepositoryHealth) error {
		for _, org := range []string{"", h.Org} {
			if minutes[org] == nil {
				minutes[org] = &core.ConsoleMinute{}
			}
			addState(minutes[org], h)
			if h.Synced && !h.Paused && !h.ObservedAt.IsZero() {
				lags[org] = append(lags[org], now.Sub(h.ObservedAt))
			}
		}
		if h.Synced && !h.Paused && !h.ObservedAt.IsZero() {
			slots = append(slots, core.ConsoleLag{RepoID: h.RepoID, At: now.Truncate(lagSlot), Lag: now.Sub(h.ObservedAt)})
		}
		return nil
	})
	if err != nil {
		return err
	}
	all := make([]core.ConsoleMinute, 0, len(minutes))
	for org, m := range minutes {
		m.Org, m.At = org, at
		if l := lags[org]; len(l) > 0 {
			slices.Sort(l)
			m.LagMedian, m.LagMost, m.LagMax = l[(len(l)-1)/2], l[(len(l)-1)*19/20], l[len(l)-1]
		}
		all = append(all, *m)
	}
	if err := r.o.Store.AddConsoleMinutes(ctx, all, r.worse(slots)); err != nil {
		return err
	}
	return r.o.Store.DeleteConsoleRows(ctx, now.Add(-keepMinutes), now)
}

// addState counts a repository by its state. One that is paused waits, too.
func addState(m *core.ConsoleMinute, h core.RepositoryHealth) {
	switch h.State() {
	case core.RepositoryLocal:
	case core.RepositoryReady:
		m.Fresh++
	case core.RepositorySyncing:
		m.Syncing++
	case core.RepositoryHeld:
		m.Held++
	case core.RepositoryPending, core.RepositoryPaused, core.RepositoryUnconfirmed, core.RepositoryRebuilding:
		m.Waiting++
	default:
		m.Failing++
	}
}

// worse returns those lags that are longer than what was written in the same quarter of
// an hour by a good part: a lag that grows by the second would be written every minute.
func (r *Recorder) worse(now []core.ConsoleLag) []core.ConsoleLag {
	r.mu.Lock()
	defer r.mu.Unlock()
	written := make(map[string]core.ConsoleLag, len(now))
	var out []core.ConsoleLag
	for _, l := range now {
		last, ok := r.lags[l.RepoID]
		if ok && last.At.Equal(l.At) && l.Lag <= last.Lag+last.Lag/4 {
			written[l.RepoID] = last
			continue
		}
		written[l.RepoID] = l
		out = append(out, l)
	}
	r.lags = written
	return out
}
