package storetest

import (
	"context"
	"errors"
	"sync"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

var txTests = []namedTest{
	{"commit keeps all, and reads inside see own writes", func(f *fixture) {
		r := synced("acme", "tool")
		e := core.JournalEntry{ID: id("jrn"), RepoID: r.ID, State: core.JournalSent}
		require.NoError(f, f.store.Tx(f.ctx, func(q core.Queries) error {
			require.NoError(f, q.CreateOrg(f.ctx, core.Org{Name: "acme", CreatedAt: day(0)}))
			require.NoError(f, q.CreateRepository(f.ctx, r))
			require.NoError(f, q.OpenJournal(f.ctx, e))
			got, err := q.Repository(f.ctx, "acme", "tool")
			require.NoError(f, err)
			same(f, r, got)
			open, err := q.OpenJournals(f.ctx)
			require.NoError(f, err)
			require.Len(f, open, 1)
			wanted, err := q.RequestSync(f.ctx, r.ID, "create", "")
			require.NoError(f, err)
			require.Equal(f, int64(1), wanted)

			_, err = f.open(f.T).Repository(f.ctx, "acme", "tool")
			f.kind(core.KindNotFound, err)
			return nil
		}))
		require.Equal(f, int64(1), f.sync(r.ID).Wanted)
	}},
	{"an error leaves nothing and comes back as it is", func(f *fixture) {
		r := f.synced()
		boom := errors.New("boom")
		err := f.store.Tx(f.ctx, func(q core.Queries) error {
			_, err := q.BumpVersion(f.ctx, r.ID)
			require.NoError(f, err)
			require.NoError(f, q.AddEvents(f.ctx, []core.Event{event(r, "jrn_1", "a")}))
			require.NoError(f, q.DetachUpstream(f.ctx, r.ID))
			return boom
		})
		require.Same(f, boom, err)
		got, err := f.store.RepositoryByID(f.ctx, r.ID)
		require.NoError(f, err)
		same(f, r, got)
		events, err := f.store.Events(f.ctx, 0, 10)
		require.NoError(f, err)
		require.Empty(f, events)
	}},
	{"a panic leaves nothing and frees the writer", func(f *fixture) {
		r := f.synced()
		require.Panics(f, func() {
			_ = f.store.Tx(f.ctx, func(q core.Queries) error {
				_, _ = q.BumpVersion(f.ctx, r.ID)
				panic("boom")
			})
		})
		version, err := f.store.BumpVersion(f.ctx, r.ID)
		require.NoError(f, err)
		require.Equal(f, int64(1), version)
	}},
	{"a method that fails leaves the rest as it was", func(f *fixture) {
		r := f.synced()
		first := event(r, "", "")
		require.NoError(f, f.store.AddEvents(f.ctx, []core.Event{first}))
		require.NoError(f, f.store.Tx(f.ctx, func(q core.Queries) error {
			_, err := q.BumpVersion(f.ctx, r.ID)
			require.NoError(f, err)
			f.kind(core.KindConflict, q.AddEvents(f.ctx, []core.Event{event(r, "jrn_1", "a"), first}))
			f.kind(core.KindConflict, q.CreateRepository(f.ctx, synced("acme", r.Name)))
			f.kind(core.KindNotFound, q.DetachUpstream(f.ctx, "repo_none"))
			return q.SetDefaultBranch(f.ctx, r.ID, "trunk")
		}))
		got, err := f.store.RepositoryByID(f.ctx, r.ID)
		require.NoError(f, err)
		require.Equal(f, int64(1), got.Version)
		require.Equal(f, "trunk", got.DefaultBranch)
		events, err := f.store.Events(f.ctx, 0, 10)
		require.NoError(f, err)
		require.Len(f, events, 1)
	}},
	{"a cancelled context leaves nothing", func(f *fixture) {
		r := f.synced()
		ctx, cancel := context.WithCancel(f.ctx)
		err := f.store.Tx(ctx, func(q core.Queries) error {
			_, err := q.BumpVersion(ctx, r.ID)
			require.NoError(f, err)
			cancel()
			return nil
		})
		f.kind(core.KindInternal, err)
		require.ErrorIs(f, err, context.Canceled)
		_, err = f.store.RepositoryByID(ctx, r.ID)
		require.ErrorIs(f, err, context.Canceled)
		version, err := f.store.BumpVersion(f.ctx, r.ID)
		require.NoError(f, err)
		require.Equal(f, int64(1), version)
	}},
	{"readers go on during a write transaction and see what was", func(f *fixture) {
		r := f.synced()
		require.NoError(f, f.store.Tx(f.ctx, func(q core.Queries) error {
			_, err := q.BumpVersion(f.ctx, r.ID)
			require.NoError(f, err)
			errs := make([]error, 16)
			versions := make([]int64, len(errs))
			var wg sync.WaitGroup
			for i := range errs {
				wg.Go(func() {
					got, err := f.store.RepositoryByID(f.ctx, r.ID)
					versions[i], errs[i] = got.Version, err
				})
			}
			wg.Wait()
			for i := range errs {
				require.NoError(f, errs[i])
				require.Zero(f, versions[i])
			}
			return nil
		}))
		got, err := f.store.RepositoryByID(f.ctx, r.ID)
		require.NoError(f, err)
		require.Equal(f, int64(1), got.Version)
	}},
}

var concurrencyTests = []namedTest{
	{"no request is lost, over two handles", func(f *fixture) {
		r := f.synced()
		stores := []core.Store{f.store, f.open(f.T)}
		const goroutines, each = 8, 15
		generations := make([][]int64, goroutines)
		errs := make([]error, goroutines)
		var wg sync.WaitGroup
		for i := range goroutines {
			wg.Go(func() {
				for range each {
					wanted, err := stores[i%2].RequestSync(f.ctx, r.ID, "api", "")
					errs[i] = errors.Join(errs[i], err)
					generations[i] = append(generations[i], wanted)
				}
			})
		}
		wg.Wait()
		seen := map[int64]bool{}
		for i := range goroutines {
			require.NoError(f, errs[i])
			for _, wanted := range generations[i] {
				require.False(f, seen[wanted], "generation %d was given twice", wanted)
				seen[wanted] = true
			}
		}
		require.Len(f, seen, goroutines*each)
		require.Equal(f, int64(goroutines*each), f.sync(r.ID).Wanted)
	}},
	{"requests and runs together end with everything served", func(f *fixture) {
		r := f.synced()
		const goroutines, each = 4, 20
		errs := make([]error, goroutines)
		var wg sync.WaitGroup
		for i := range goroutines {
			wg.Go(func() {
				for range each {
					_, err := f.store.RequestSync(f.ctx, r.ID, "api", "")
					errs[i] = errors.Join(errs[i], err)
				}
			})
		}
		requested := make(chan struct{})
		go func() { wg.Wait(); close(requested) }()
		// serve is one run.
		serve := func() {
			s := f.take(r.ID)
			s.Served = s.Wanted
			f.save(s)
		}
		for running := true; running; {
			select {
			case <-requested:
				running = false
			default:
			}
			serve()
		}
		require.NoError(f, errors.Join(errs...))
		state := f.sync(r.ID)
		require.Equal(f, int64(goroutines*each), state.Wanted)
		require.Equal(f, state.Wanted, state.Served)
	}},
	{"one of many gets the name", func(f *fixture) {
		f.org("acme")
		errs := make([]error, 16)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() { errs[i] = f.store.CreateRepository(f.ctx, synced("acme", "tool")) })
		}
		wg.Wait()
		created := 0
		for _, err := range errs {
			if err == nil {
				created++
				continue
			}
			f.kind(core.KindConflict, err)
		}
		require.Equal(f, 1, created)
	}},
	{"transactions of two handles take turns", func(f *fixture) {
		r := f.synced()
		stores := []core.Store{f.store, f.open(f.T)}
		const goroutines, each = 4, 10
		errs := make([]error, goroutines)
		var wg sync.WaitGroup
		for i := range goroutines {
			wg.Go(func() {
				for range each {
					// Reads, then writes what it read: only whole transactions
					// one after the other keep every step.
					errs[i] = errors.Join(errs[i], stores[i%2].Tx(f.ctx, func(q core.Queries) error {
						s, err := q.SyncState(f.ctx, r.ID)
						if err != nil {
							return err
						}
						s.Runs++
						return q.FinishSync(f.ctx, s)
					}))
				}
			})
		}
		wg.Wait()
		require.NoError(f, errors.Join(errs...))
		require.Equal(f, int64(goroutines*each), f.sync(r.ID).Runs)
	}},
}

var reopenTests = []namedTest{
	{"what was committed is there for another handle and after closing", func(f *fixture) {
		r := f.synced()
		c := core.Credential{ID: id("ggc"), RepoID: r.ID, Username: "robot", Secret: "s3cret", CreatedAt: day(0), UpdatedAt: day(0)}
		require.NoError(f, f.store.CreateCredential(f.ctx, c))
		check := func(s core.Store) {
			got, err := s.Repository(f.ctx, "acme", r.Name)
			require.NoError(f, err)
			same(f, r, got)
			cred, err := s.CredentialByRepo(f.ctx, r.ID)
			require.NoError(f, err)
			require.Equal(f, c, cred)
		}
		check(f.open(f.T))
		require.NoError(f, f.store.Close())
		check(f.open(f.T))
	}},
}
