package core_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

func TestCount(t *testing.T) {
	t.Parallel()
	for want, got := range map[string]string{
		"0 repositories": core.Count(0, "repository"),
		"1 repository":   core.Count(1, "repository"),
		"2 repositories": core.Count(2, "repository"),
		"1 kept tip":     core.Count(int64(1), "kept tip"),
		"3 kept tips":    core.Count(int64(3), "kept tip"),
		"4 keys":         core.Count(4, "key"),
		"5 branches":     core.Count(5, "branch"),
		"6 crashes":      core.Count(6, "crash"),
		"-1 days":        core.Count(-1, "day"),
	} {
		require.Equal(t, want, got)
	}
}
