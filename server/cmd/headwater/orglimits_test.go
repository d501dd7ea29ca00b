package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseSize(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{"0": 0, "1500": 1500, "10kB": 10_000, "1.5 GB": 1_500_000_000, "2TiB": 2 << 40, "3mib": 3 << 20, "7 B": 7} {
		got, err := parseSize(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "much", "-1", "5XB", "1e30", "GB", "NaN", "Inf"} {
		_, err := parseSize(text)
		require.Error(t, err, text)
	}
}

func TestBelow(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		path, owner, want string
		ok                bool
	}{
		{"team/app", "team", "app", true},
		{"team/sub/app", "Team", "sub/app", true},
		{"team/app", "", "team/app", true},
		{"teams/app", "team", "", false},
		{"team", "team", "", false},
		{"team/app", "team/app", "", false},
	} {
		got, ok := below(c.path, c.owner)
		require.Equal(t, c.ok, ok, c)
		require.Equal(t, c.want, got, c)
	}
}
