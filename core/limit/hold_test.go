package limit_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/limit"
)

// Bodies in memory have places of their own, with the ceilings of the slots, which a
// request keeps until its end.
func TestHold_ceilings(t *testing.T) {
	t.Parallel()
	l := limit.New(limit.Options{Ceilings: limit.Ceilings{Caller: 4, Repository: 9, Organisation: 9, Server: 9}, Waiting: -1})
	request := func(organisation string) (context.Context, func()) {
		return l.Request(t.Context(), limit.Caller{Organisation: organisation, Key: "k", Subject: "s"})
	}
	require.NoError(t, limit.Hold(t.Context(), "r"), "no request")
	var ends []func()
	for range 3 {
		ctx, end := request("a")
		require.NoError(t, limit.Hold(ctx, "r"))
		require.NoError(t, limit.Hold(ctx, "r"), "it has one")
		require.NoError(t, limit.Take(ctx, "r"), "a slot on top")
		limit.Free(ctx)
		ends = append(ends, end)
	}
	require.Zero(t, l.Load(), "no place of a body is a slot")
	ctx, end := request("a")
	defer end()
	err := limit.Hold(ctx, "r")
	require.Equal(t, core.KindRateLimited, core.KindOf(err), "three quarters of the caller's for one repository, and Free gave none back")
	require.ErrorContains(t, err, "for this repository")
	require.NoError(t, limit.Take(ctx, "r"), "what needs no memory goes on")
	other, endOther := request("b")
	defer endOther()
	require.NoError(t, limit.Hold(other, "r"), "another caller")
	ends[0]()
	require.NoError(t, limit.Hold(ctx, "r"))
	gone, endGone := request("a")
	endGone()
	require.NoError(t, limit.Hold(gone, "r2"))
	again, endAgain := request("a")
	defer endAgain()
	require.NoError(t, limit.Hold(again, "r2"), "a request that is over takes nothing")
}
