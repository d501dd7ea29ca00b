package events

import (
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

// BenchmarkService_deliver measures events out, from the outbox to the recorded
// answer, by the number of repositories that they are spread over: those of one
// repository go one after the other.
func BenchmarkService_deliver(b *testing.B) {
	for _, repos := range []int{1, 8, 100} {
		for _, webhooks := range []int{1, 16} {
			b.Run(fmt.Sprintf("repos=%d/webhooks=%d", repos, webhooks), func(b *testing.B) {
				w := newBench(b, Options{Policy: open, Clock: core.SystemClock{}})
				var got atomic.Int64
				want := int64(b.N) * int64(webhooks)
				all := make(chan struct{})
				r := newReceiver(b, nil)
				r.Config.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
					if got.Add(1) == want {
						close(all)
					}
				})
				for range webhooks {
					w.webhook(r.URL)
				}
				events := make([]core.Event, b.N)
				for n := range events {
					now := w.clock.Now()
					repo := "repo_" + strconv.Itoa(n%repos)
					events[n] = core.Event{
						ID: core.NewID("evt", now), RepoID: repo, Org: "acme", Type: core.EventPush, CreatedAt: now,
						Payload: fmt.Appendf(nil, `{"repository":{"id":%q,"url":"team/app"},"ref":"refs/heads/main","before":%q,"after":%q,"customer_id":"acme","pushed_at":"2031-05-01T12:00:00Z"}`,
							repo, core.ZeroSHA1, core.ZeroSHA1),
					}
				}
				b.ResetTimer()
				require.NoError(b, w.db.AddEvents(b.Context(), events))
				<-all
				b.StopTimer()
				b.ReportMetric(float64(want)/b.Elapsed().Seconds(), "deliveries/s")
			})
		}
	}
}
