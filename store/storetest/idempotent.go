package storetest

import (
	"strconv"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

var idempotencyTests = []namedTest{
	{"a call is begun once, finished, read and forgotten", func(f *fixture) {
		c := core.IdempotentCall{ID: "a", Org: "acme", At: day(time.Hour)}
		require.NoError(f, f.store.BeginIdempotentCall(f.ctx, c))
		f.kind(core.KindConflict, f.store.BeginIdempotentCall(f.ctx, c))
		got, err := f.store.IdempotentCall(f.ctx, "a")
		require.NoError(f, err)
		same(f, c, got)
		c.Fingerprint, c.Status, c.Answer = "print", 201, `{"secret":"s"}`
		require.NoError(f, f.store.FinishIdempotentCall(f.ctx, c))
		got, err = f.store.IdempotentCall(f.ctx, "a")
		require.NoError(f, err)
		same(f, c, got)
		n, err := f.store.ResealCredentials(f.ctx)
		require.NoError(f, err)
		require.Equal(f, 1, n)
		got, err = f.store.IdempotentCall(f.ctx, "a")
		require.NoError(f, err)
		same(f, c, got)

		require.NoError(f, f.store.ForgetIdempotentCall(f.ctx, "a"))
		require.NoError(f, f.store.ForgetIdempotentCall(f.ctx, "a"))
		_, err = f.store.IdempotentCall(f.ctx, "a")
		f.kind(core.KindNotFound, err)
		f.kind(core.KindNotFound, f.store.FinishIdempotentCall(f.ctx, c))
	}},
	{"calls are remembered for a day, and so many of an organisation", func(f *fixture) {
		begin := func(id, org string, at time.Duration) {
			f.Helper()
			require.NoError(f, f.store.BeginIdempotentCall(f.ctx, core.IdempotentCall{ID: id, Org: org, At: day(at)}))
		}
		begin("a", "acme", 0)
		f.kind(core.KindConflict, f.store.BeginIdempotentCall(f.ctx, core.IdempotentCall{ID: "a", Org: "acme", At: day(core.IdempotentCallAge)}))
		begin("a", "acme", core.IdempotentCallAge+time.Second)
		begin("theirs", "other", 0)
		n, err := f.store.DeleteIdempotentCalls(f.ctx, day(time.Minute), 10)
		require.NoError(f, err)
		require.Equal(f, 1, n)
		_, err = f.store.IdempotentCall(f.ctx, "theirs")
		f.kind(core.KindNotFound, err)
		_, err = f.store.DeleteIdempotentCalls(f.ctx, day(0), 0)
		f.kind(core.KindInvalid, err)

		begin("theirs", "other", 0)
		require.NoError(f, f.store.Tx(f.ctx, func(q core.Queries) error {
			for i := range core.IdempotentCallsKept {
				at := day(core.IdempotentCallAge + time.Minute + time.Duration(i)*time.Millisecond)
				if err := q.BeginIdempotentCall(f.ctx, core.IdempotentCall{ID: strconv.Itoa(i), Org: "acme", At: at}); err != nil {
					return err
				}
			}
			return nil
		}))
		_, err = f.store.IdempotentCall(f.ctx, "a")
		f.kind(core.KindNotFound, err)
		for _, id := range []string{"0", strconv.Itoa(core.IdempotentCallsKept - 1), "theirs"} {
			_, err = f.store.IdempotentCall(f.ctx, id)
			require.NoError(f, err)
		}
	}},
}
