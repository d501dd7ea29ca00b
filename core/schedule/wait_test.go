package schedule_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/schedule"
)

// failing is a worker whose runs fail as the upstream's listings do: nothing is
// served, and the next attempt is an hour away.
type failing struct {
	*bench
	err error
}

func (f failing) Run(ctx context.Context, item schedule.Item) schedule.Result {
	ctx = context.WithoutCancel(ctx)
	defer f.enter(item)()
	state, err := f.Store.TakeSync(ctx, item.RepoID)
	if err != nil {
		return schedule.Result{Err: err}
	}
	state.Tried, state.NextAttemptAt = state.Wanted, f.clock.Now().Add(schedule.Backoff(core.ClassAuth, 10, 0))
	return schedule.Result{Generation: state.Wanted, Err: errors.Join(f.err, f.Store.FinishSync(ctx, state))}
}

// A caller that comes to wait after its run has failed gets the failure: nothing would
// wake it before the next attempt, which may be hours away.
func TestService_Wait_runThatHasFailedAlready(t *testing.T) {
	t.Parallel()
	b := newBench(t, schedule.Options{})
	b.startWith(failing{b, errors.New("held back")})
	id := b.repos("h", 1)[0]
	for n := range 3 { // the second and third request follow a failure
		gen := b.request(id, schedule.TriggerAPI)
		b.eventually("the run has ended", func() bool { return b.state(id).Tried == gen && !b.s.Running(id) })
		ctx, cancel := context.WithTimeoutCause(t.Context(), patience, errors.New("the end was missed"))
		require.ErrorContains(t, b.s.Wait(ctx, id, gen), "held back", n)
		require.NoError(t, ctx.Err())
		cancel()
	}
	// The failure of an older request is none of the next one's.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, b.s.Wait(ctx, id, 1_000), context.Canceled)
}

// No run ends for a repository that was detached or deleted meanwhile.
func TestService_Wait_repositoryThatWasDetached(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(b *bench, id string) error{
		"detached": func(b *bench, id string) error { return b.Store.DetachUpstream(t.Context(), id) },
		"deleted":  func(b *bench, id string) error { return b.Store.DeleteRepository(t.Context(), id) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, schedule.Options{}) // nothing is admitted
			id := b.repos("h", 1)[0]
			gen := b.request(id, schedule.TriggerPush)
			ctx, cancel := context.WithTimeoutCause(t.Context(), patience, errors.New("nobody said that it is gone"))
			defer cancel()
			ended := make(chan error, 1)
			go func() { ended <- b.s.Wait(ctx, id, gen) }()
			require.NoError(t, leave(b, id))
			require.NoError(t, b.s.Cancel(t.Context(), id))
			require.Equal(t, core.KindNotFound, core.KindOf(<-ended))
		})
	}
}
