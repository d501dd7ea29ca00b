package limit_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/internal/coretest"
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

// Uploads have places of their own, four for each slot, with the ceilings of the slots, which
// a request keeps until its end; who waits for one is answered before its client gives up.
func TestUpload_ceilings(t *testing.T) {
	t.Parallel()
	clock := coretest.NewClock()
	l := limit.New(limit.Options{Ceilings: limit.Ceilings{Caller: 1, Repository: 2, Organisation: 2, Server: 3}, Clock: clock})
	upload := func(organisation, subject, repository string) (end func(), err error) {
		ctx, end := l.Request(t.Context(), limit.Caller{Organisation: organisation, Key: "k", Subject: subject})
		t.Cleanup(end)
		err = limit.Upload(ctx, repository)
		limit.Free(ctx)
		return end, err
	}
	refused := func(organisation, subject, repository, whose string) {
		t.Helper()
		done := make(chan error, 1)
		ctx, end := l.Request(t.Context(), limit.Caller{Organisation: organisation, Key: "k", Subject: subject})
		defer end()
		go func() { done <- limit.Upload(ctx, repository) }()
		clock.Await(20 * time.Second)
		clock.Advance(20 * time.Second)
		err := <-done
		require.Equal(t, core.KindRateLimited, core.KindOf(err), "%v", err)
		require.ErrorContains(t, err, whose)
		own, _ := errors.AsType[*core.Error](err)
		require.Positive(t, own.RetryAfter)
	}
	require.NoError(t, limit.Upload(t.Context(), "r"), "no request")
	first, err := upload("a", "one", "r")
	require.NoError(t, err)
	for range 2 {
		_, err = upload("a", "one", "r")
		require.NoError(t, err)
	}
	require.Zero(t, l.Load(), "no place of an upload is a slot")
	ctx, end := l.Request(t.Context(), limit.Caller{Organisation: "a", Key: "k", Subject: "one"})
	defer end()
	require.NoError(t, limit.Hold(ctx, "r"), "or one of a body")
	refused("a", "one", "r", "subject for this repository")
	_, err = upload("a", "one", "r2")
	require.NoError(t, err)
	refused("a", "one", "r2", "of this token's key and subject")
	for range 3 {
		_, err = upload("a", "two", "r")
		require.NoError(t, err)
	}
	_, err = upload("a", "three", "r")
	require.NoError(t, err)
	refused("a", "four", "r3", "of this organisation")
	_, err = upload("b", "one", "r4")
	require.NoError(t, err, "another organisation")
	first()
	_, err = upload("a", "four", "r3")
	require.NoError(t, err, "the place of a request that is over")
}
