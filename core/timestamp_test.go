package core

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTimestamp_hasNoneOrSixDigits(t *testing.T) {
	t.Parallel()
	second := time.Date(2026, 3, 17, 14, 30, 5, 0, time.FixedZone("", 3600))
	for _, tt := range []struct {
		at   time.Time
		want string
	}{
		{second, `"2026-03-17T13:30:05Z"`},
		{second.Add(999), `"2026-03-17T13:30:05Z"`},
		{second.Add(123456789), `"2026-03-17T13:30:05.123456Z"`},
		{second.Add(100 * time.Millisecond), `"2026-03-17T13:30:05.100000Z"`},
	} {
		got, err := json.Marshal(Timestamp(tt.at))
		require.NoError(t, err)
		require.Equal(t, tt.want, string(got))
		var back Timestamp
		require.NoError(t, json.Unmarshal(got, &back))
		require.Equal(t, tt.at.UTC().Truncate(time.Microsecond), back.Time())
		got, err = json.Marshal(EventTime(tt.at))
		require.NoError(t, err)
		require.Equal(t, `"2026-03-17T13:30:05Z"`, string(got))
	}
}
