package mirror

import (
	"sync"

	"github.com/headwater-git/headwater/core"
)

// fetches counts the git fetches at work in each folder, so that what a failed one left
// is removed when none is left that it could belong to: a run, and requests for single
// objects, fetch side by side.
type fetches struct {
	mu   sync.Mutex
	dirs map[string]*folder
}

// folder is where fetches write to.
type folder struct {
	users int
	cut   bool       // a fetch failed, and nothing was cleaned since
	clean sync.Mutex // held while it is; a new fetch waits for that
}

// enter counts a fetch until leave is called, with whether it failed. If any did, the
// last to leave calls clean; if that returns false, whoever is last the next time calls
// it again. No fetch begins meanwhile.
func (f *fetches) enter(dir string, clean func() bool) (leave func(failed bool)) {
	f.mu.Lock()
	d := f.dirs[dir]
	if d == nil {
		d = &folder{}
		f.dirs[dir] = d
	}
	d.users++
	f.mu.Unlock()
	d.clean.Lock()
	d.clean.Unlock() //nolint:staticcheck // it only waits for whoever cleans
	return func(failed bool) {
		f.mu.Lock()
		defer f.mu.Unlock()
		d.cut = d.cut || failed
		if d.users--; d.users > 0 {
			return
		}
		if d.cut {
			// New ones count up under f.mu, and so find this locked.
			d.clean.Lock()
			f.mu.Unlock()
			done := clean()
			f.mu.Lock()
			d.clean.Unlock()
			d.cut = d.cut && !done
		}
		if d.users == 0 && !d.cut {
			delete(f.dirs, dir)
		}
	}
}

// cleanCutFetch removes what failed fetches left in a folder of a repository. It is not
// worth failing for: the next fetch tries again, and so does the next start.
func (m *Mirror) cleanCutFetch(r core.Repository, dir string) bool {
	done, err := m.repos.CleanCutFetch(r.ID, dir)
	if err != nil {
		m.log.Warn("what a cut fetch left could not be removed", "repo_id", r.ID, "error", err)
	}
	return done && err == nil
}
