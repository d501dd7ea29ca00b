package main

import (
	"errors"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// numbers is a listing of that many numbers, from 1 on. The limits of its calls
// are noted.
func numbers(total int) (read func(limit int, cursor *string) (page[int], error), limits *[]int) {
	limits = &[]int{}
	return func(limit int, cursor *string) (page[int], error) {
		*limits = append(*limits, limit)
		from := 0
		if cursor != nil {
			from, _ = strconv.Atoi(*cursor)
		}
		to := min(from+limit, total)
		p := page[int]{more: to < total, next: strconv.Itoa(to)}
		for n := from; n < to; n++ {
			p.items = append(p.items, n+1)
		}
		return p, nil
	}, limits
}

func TestPages_handsOutUpToTheLimit(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		total, limit, want int
		limits             []int
	}{
		"nothing there":        {0, noLimit, 0, []int{100}},
		"all of several pages": {250, noLimit, 250, []int{100, 100, 100}},
		"the last page full":   {200, noLimit, 200, []int{100, 100}},
		"less than there is":   {250, 120, 120, []int{100, 20}},
		"more than there is":   {30, 70, 30, []int{70}},
		"none wanted":          {30, 0, 0, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			read, limits := numbers(test.total)
			got := 0
			require.NoError(t, pages(test.limit, read, func(n int) error {
				got++
				require.Equal(t, got, n)
				return nil
			}))
			require.Equal(t, test.want, got)
			require.ElementsMatch(t, test.limits, *limits)
		})
	}
}

func TestPages_endsWithTheErrorOfItsCaller(t *testing.T) {
	t.Parallel()
	read, limits := numbers(250)
	enough := errors.New("enough")
	require.ErrorIs(t, pages(noLimit, read, func(int) error { return enough }), enough)
	require.Len(t, *limits, 1)
}
