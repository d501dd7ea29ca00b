package push

import (
	"context"
	"slices"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/trace"
)

// The phases of a write session.
const (
	PhaseCheck    = "check"    // policy, identity of the upstream, conflicts of names
	PhaseLock     = "lock"     // waiting for other writers of the same refs
	PhaseJournal  = "journal"  // making the intent and the objects durable
	PhaseUpstream = "upstream" // the push to the upstream
	PhaseApply    = "apply"    // moving the refs here, and recording it
)

// Ending is what became of a write session as a whole.
type Ending string

// The endings of a write session.
const (
	EndedWell    Ending = "ok"      // every ref moved
	EndedPartly  Ending = "partial" // some refs moved
	EndedRefused Ending = "refused" // none did
	EndedUnknown Ending = "unknown" // the upstream's answer was lost for a ref at least
	EndedFailed  Ending = "failed"  // there is no result: nothing was tried
)

// Finished is a write session that is over.
type Finished struct {
	Org     string // of the repository
	Source  core.Source
	Ending  Ending
	Refs    int
	Refused int
	Took    time.Duration
	Phases  []core.Phase // each name once; without those it did not come to
}

// finished sums a session up; err is why it has no results.
func (b *results) finished(err error) Finished {
	f := Finished{Org: b.session.Repo.Org, Source: b.session.Source, Ending: EndedWell, Refs: len(b.list), Took: b.watch.took(), Phases: b.watch.phases}
	for _, r := range b.list {
		if !r.OK() {
			f.Refused++
		}
	}
	switch {
	case err != nil:
		f.Ending = EndedFailed
	case len(b.uncertain) > 0:
		f.Ending = EndedUnknown
	case f.Refused == f.Refs && f.Refs > 0:
		f.Ending = EndedRefused
	case f.Refused > 0:
		f.Ending = EndedPartly
	}
	return f
}

// stopwatch takes the times of phases that follow one another.
type stopwatch struct {
	ctx         context.Context //nolint:containedctx // its span is the parent of those of the phases
	now         func() time.Time
	began, last time.Time
	phases      []core.Phase
}

func newStopwatch(ctx context.Context, now func() time.Time) *stopwatch {
	t := now()
	return &stopwatch{ctx: ctx, now: now, began: t, last: t}
}

// lap ends a phase, which began with the end of the one before. A nil stopwatch
// takes no times.
func (w *stopwatch) lap(name string) {
	if w == nil {
		return
	}
	now := w.now()
	took := now.Sub(w.last)
	trace.Record(w.ctx, "push "+name, w.last, now, nil)
	w.last = now
	if i := slices.IndexFunc(w.phases, func(p core.Phase) bool { return p.Name == name }); i >= 0 {
		w.phases[i].Duration += took
		return
	}
	w.phases = append(w.phases, core.Phase{Name: name, Duration: took})
}

// took returns how long it has run.
func (w *stopwatch) took() time.Duration { return w.now().Sub(w.began) }
