package console_test

import (
	"html/template"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/server/console"
)

// TestPlot_extremes draws what is rare: copies of years ago, and millions a day.
func TestPlot_extremes(t *testing.T) {
	const year = 365 * 86400
	for name, picture := range map[string]template.HTML{
		"nothing": console.DrawLags(), "zero": console.DrawLags(0), "one": console.DrawLags(5), "all alike": console.DrawLags(7, 7, 7),
		"years": console.DrawLags(3*year, 3*year), "seconds and years": console.DrawLags(1, 3*year), "counts": console.DrawCounts(7_200_000, 1),
	} {
		for _, bad := range []string{"NaN", "Inf", "e+", `y="-`, " -"} {
			require.NotContains(t, string(picture), bad, name)
		}
	}
	require.Contains(t, string(console.DrawLags(1, 3*year)), ">365 d<")
	require.Contains(t, string(console.DrawCounts(7_200_000, 1)), "7200001 in all")
}
