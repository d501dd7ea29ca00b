package scripts_test

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMetrics_dashboardAndAlertsUseWhatThereIs compares the names and labels of the
// alert rules and the dashboard with those that the server has.
func TestMetrics_dashboardAndAlertsUseWhatThereIs(t *testing.T) {
	t.Parallel()
	list, err := os.ReadFile("../server/metrics/testdata/names.txt")
	require.NoError(t, err)
	labels := map[string][]string{}
	for line := range strings.Lines(string(list)) {
		f := strings.Fields(line)
		labels[f[0]] = strings.Split(strings.Trim(f[2], "{}"), ",")
		if f[1] == "histogram" {
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				labels[f[0]+suffix] = append([]string{"le"}, labels[f[0]]...)
			}
			delete(labels, f[0]) // alone it has no value
		}
	}
	for _, path := range []string{"release/prometheus-alerts.yml", "release/grafana-dashboard.json"} {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		src := strings.ReplaceAll(string(text), `\"`, `"`)
		used := regexp.MustCompile(`(headwater_[a-z_]+)(\{[^}]*\})?`).FindAllStringSubmatch(src, -1)
		require.Greater(t, len(used), 10, path)
		for _, m := range used {
			require.Contains(t, labels, m[1], "%s uses a metric that there is not", path)
			for _, matcher := range regexp.MustCompile(`([a-z_]+)=`).FindAllStringSubmatch(m[2], -1) {
				// Prometheus adds instance itself.
				require.Contains(t, append(labels[m[1]], "instance"), matcher[1], "%s: %s has no such label", path, m[1])
			}
		}
	}
	dashboard, err := os.ReadFile("release/grafana-dashboard.json")
	require.NoError(t, err)
	require.True(t, json.Valid(dashboard))
}
