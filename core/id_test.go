package core

import (
	"math"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	oklog "github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
)

func TestNewID_hasPrefixAndLowerCaseULID(t *testing.T) {
	t.Parallel()
	id := NewID("repo", time.Now())
	require.Regexp(t, regexp.MustCompile(`^repo_[0-9a-hjkmnp-tv-z]{26}$`), id)
}

func TestUlid_String_agreesWithReference(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		id   ulid
	}{
		{"zero", ulid{}},
		{"lowest bit", ulid{0, 1}},
		{"border of the halves", ulid{1, 1 << 63}},
		{"mixed", ulid{0x0123456789abcdef, 0xfedcba9876543210}},
		{"highest", ulid{math.MaxUint64, math.MaxUint64}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var want oklog.ULID
			for i := range 8 {
				want[i] = byte(tt.id.hi >> (56 - 8*i))
				want[8+i] = byte(tt.id.lo >> (56 - 8*i))
			}
			require.Equal(t, strings.ToLower(want.String()), tt.id.String())
		})
	}
}

func TestIDSource_next_carriesTheTime(t *testing.T) {
	t.Parallel()
	now := time.Date(2031, 2, 3, 4, 5, 6, 7e6, time.UTC)
	var s idSource
	got, err := oklog.ParseStrict(strings.ToUpper(s.next(now).String()))
	require.NoError(t, err)
	require.Equal(t, now, got.Timestamp().UTC())
}

func TestIDSource_next_increases(t *testing.T) {
	t.Parallel()
	now := time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC)
	for _, tt := range []struct {
		name string
		last ulid
		now  time.Time
	}{
		{"first", ulid{}, now},
		{"same millisecond", ulid{uint64(now.UnixMilli()) << 16, 5}, now},
		{"clock set back", ulid{uint64(now.Add(time.Hour).UnixMilli()) << 16, 5}, now},
		{"carry into the upper half", ulid{uint64(now.UnixMilli()) << 16, math.MaxUint64}, now},
		{"carry into the time", ulid{uint64(now.UnixMilli())<<16 | 0xffff, math.MaxUint64}, now},
		{"before 1970", ulid{0, 5}, time.Unix(-1, 0)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := idSource{last: tt.last}
			last := tt.last.String()
			for range 100 {
				id := s.next(tt.now).String()
				require.Greater(t, id, last)
				last = id
			}
		})
	}
}

func TestNewID_isUniqueAndOrderedAcrossGoroutines(t *testing.T) {
	t.Parallel()
	const goroutines, each = 8, 500
	made := make([][]string, goroutines)
	now := time.Now()
	var wg sync.WaitGroup
	for i := range made {
		wg.Go(func() {
			for range each {
				made[i] = append(made[i], NewID("x", now))
			}
		})
	}
	wg.Wait()
	for _, ids := range made {
		require.True(t, slices.IsSorted(ids))
	}
	all := slices.Concat(made...)
	slices.Sort(all)
	require.Len(t, slices.Compact(all), goroutines*each)
}

func TestFirstID_isBelowAllOfItsTimeAndAboveThoseBefore(t *testing.T) {
	t.Parallel()
	var source idSource
	at := time.Date(2031, 1, 2, 3, 4, 5, 6_000_000, time.UTC)
	before := "jrn_" + source.next(at.Add(-time.Millisecond)).String()
	first := FirstID("jrn", at.Add(999*time.Microsecond))
	require.Less(t, before, first)
	require.Less(t, first, "jrn_"+source.next(at).String())
	require.Equal(t, "jrn_"+strings.Repeat("0", ulidLength), FirstID("jrn", time.Time{}))
}
