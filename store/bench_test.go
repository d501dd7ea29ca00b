package store_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// One push: a commit for the journal entry, and one for all that follows.
func BenchmarkStore_push(b *testing.B) {
	s := openAt(b, b.TempDir())
	r := newRepository(b, s)
	for b.Loop() {
		_, err := push(b.Context(), s, r.ID)
		require.NoError(b, err)
	}
}

func BenchmarkStore_RequestSync(b *testing.B) {
	s := openAt(b, b.TempDir())
	r := newRepository(b, s)
	for b.Loop() {
		_, err := s.RequestSync(b.Context(), r.ID, "api", "")
		require.NoError(b, err)
	}
}

func BenchmarkStore_Repository(b *testing.B) {
	s := openAt(b, b.TempDir())
	r := newRepository(b, s)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := s.Repository(b.Context(), r.Org, r.Name); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
