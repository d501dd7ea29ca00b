package mirror

import (
	"sync"

	"github.com/headwater-git/headwater/core"
)

// firstPhase is what a run is at before git says something.
const firstPhase = "Contacting the upstream"

// running has the progress of the runs under way. It is safe for concurrent use.
type running struct {
	clock core.Clock
	mu    sync.Mutex
	runs  map[string]*core.Progress // by repository id
}

// start shows the repository's run until the returned function is called.
func (r *running) start(repoID string) (end func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.runs[repoID] = &core.Progress{Phase: firstPhase, StartedAt: core.Timestamp(r.clock.Now())}
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.runs, repoID)
	}
}

// change changes the progress of the repository's run, if it is shown.
func (r *running) change(repoID string, f func(p *core.Progress)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.runs[repoID]; p != nil {
		f(p)
	}
}

// Progress returns the progress of the repository's run, if one is under way.
func (s *Service) Progress(repoID string) (core.Progress, bool) {
	s.running.mu.Lock()
	defer s.running.mu.Unlock()
	p := s.running.runs[repoID]
	if p == nil {
		return core.Progress{}, false
	}
	return *p, true
}

// Running returns the progress of every run that is under way, by repository id.
func (s *Service) Running() map[string]core.Progress {
	s.running.mu.Lock()
	defer s.running.mu.Unlock()
	all := make(map[string]core.Progress, len(s.running.runs))
	for id, p := range s.running.runs {
		all[id] = *p
	}
	return all
}
