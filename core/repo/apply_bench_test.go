package repo_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/internal/coretest"
)

// One fast-forward, as most pushes and API commits are.
func BenchmarkRepos_Transact(b *testing.B) {
	for _, synced := range []bool{false, true} {
		name := "local"
		if synced {
			name = "synced"
		}
		b.Run(name, func(b *testing.B) {
			w := coretest.NewWorld(b, coretest.Options{})
			r := w.Local("local")
			if synced {
				r = w.Synced("synced")
			}
			tip := coretest.Commit(b, w.Path(r), "0")
			move := func(old, to core.ObjectID) {
				require.NoError(b, apply(w, r, core.RefUpdate{Name: "refs/heads/main", Old: old, New: to}))
			}
			move("", tip)
			tips := []core.ObjectID{tip}
			for range b.N {
				tips = append(tips, coretest.Commit(b, w.Path(r), "next", tips[len(tips)-1]))
			}
			b.ResetTimer()
			for i := range b.N {
				move(tips[i], tips[i+1])
			}
		})
	}
}
