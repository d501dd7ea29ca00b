package core_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

func TestParseDuration(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"90s": 90 * time.Second, "24h": day, "1d": day, "7d": 7 * day, "1d12h": 36 * time.Hour, "0d1m": time.Minute,
		"": 0, "d": 0, "1.5d": 0, "-1d": 0, "1d1d": 0, "1d-1h": 0, "1d24h": 0, "999999999d": 0, "1 d": 0, "1day": 0,
	} {
		got, err := core.ParseDuration(text)
		require.Equal(t, want, got, text)
		require.Equal(t, want == 0, err != nil, text)
	}
}
