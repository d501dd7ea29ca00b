package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core/access"
)

// pagingClient is a client of a server whose listing has that many numbers,
// from 1 on. The limits of its calls are noted.
func pagingClient(t *testing.T, total int) (*client, *[]string) {
	t.Helper()
	limits := &[]string{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		*limits = append(*limits, query.Get("limit"))
		from, _ := strconv.Atoi(query.Get("cursor"))
		limit, _ := strconv.Atoi(query.Get("limit"))
		to := min(from+limit, total)
		fmt.Fprint(w, `{"numbers":[`)
		for i := from; i < to; i++ {
			if i > from {
				fmt.Fprint(w, ",")
			}
			fmt.Fprint(w, i+1)
		}
		fmt.Fprintf(w, `],"next_cursor":"%d","has_more":%t}`, to, to < total)
	}))
	t.Cleanup(server.Close)
	base, err := url.Parse(server.URL)
	require.NoError(t, err)
	dir, _ := newDataDir(t)
	sign, err := connectOptions{data: string(dir), org: localOrg}.signer()
	require.NoError(t, err)
	return &client{base: base, sign: sign, http: server.Client()}, limits
}

func TestPages_handsOutUpToTheLimit(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		total, limit, want int
		limits             []string
	}{
		"nothing there":        {0, noLimit, 0, []string{"100"}},
		"all of several pages": {250, noLimit, 250, []string{"100", "100", "100"}},
		"the last page full":   {200, noLimit, 200, []string{"100", "100"}},
		"less than there is":   {250, 120, 120, []string{"100", "20"}},
		"more than there is":   {30, 70, 30, []string{"70"}},
		"none wanted":          {30, 0, 0, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, limits := pagingClient(t, test.total)
			call := apiCall{method: http.MethodGet, path: []string{"numbers"}, repo: orgClaim, scopes: []access.Scope{access.OrgRead}}
			got := 0
			require.NoError(t, pages(t.Context(), c, call, "numbers", test.limit, func(n int) error {
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
	c, limits := pagingClient(t, 250)
	call := apiCall{method: http.MethodGet, path: []string{"numbers"}, repo: orgClaim, scopes: []access.Scope{access.OrgRead}}
	enough := fmt.Errorf("enough")
	require.ErrorIs(t, pages(t.Context(), c, call, "numbers", noLimit, func(int) error { return enough }), enough)
	require.Len(t, *limits, 1)
}
