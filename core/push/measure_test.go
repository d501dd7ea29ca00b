package push

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

func TestResults_finished(t *testing.T) {
	t.Parallel()
	two := Session{Source: core.SourcePush, Updates: []core.RefUpdate{{Name: "refs/heads/a"}, {Name: "refs/heads/b"}}}
	for name, tt := range map[string]struct {
		change  func(b *results)
		err     error
		want    Ending
		refused int
	}{
		"all moved":       {change: func(*results) {}, want: EndedWell},
		"one refused":     {change: func(b *results) { b.set(0, core.KindConflict, "no") }, want: EndedPartly, refused: 1},
		"both refused":    {change: func(b *results) { b.refuseAll(core.KindConflict, "no") }, want: EndedRefused, refused: 2},
		"an answer lost":  {change: func(b *results) { b.setUnknown(1, "lost") }, want: EndedUnknown, refused: 1},
		"nothing decided": {change: func(*results) {}, err: errors.New("store"), want: EndedFailed},
	} {
		b := newResults(two)
		b.watch = newStopwatch(t.Context(), time.Now)
		tt.change(b)
		f := b.finished(tt.err)
		require.Equal(t, tt.want, f.Ending, name)
		require.Equal(t, tt.refused, f.Refused, name)
		require.Equal(t, 2, f.Refs, name)
	}
}

func TestStopwatch(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	w := newStopwatch(t.Context(), func() time.Time { return now })
	for _, lap := range []struct {
		name string
		took time.Duration
	}{{PhaseCheck, time.Second}, {PhaseLock, 2 * time.Second}, {PhaseCheck, 4 * time.Second}} {
		now = now.Add(lap.took)
		w.lap(lap.name)
	}
	now = now.Add(time.Second)
	require.Equal(t, []core.Phase{{Name: PhaseCheck, Duration: 5 * time.Second}, {Name: PhaseLock, Duration: 2 * time.Second}}, w.phases)
	require.Equal(t, 8*time.Second, w.took())
	(*stopwatch)(nil).lap(PhaseApply) // nobody times it
}
