package maintain

import (
	"math"
	"time"
)

// State is what a plan is made from.
type State struct {
	Packs        int
	PackBytes    int64
	LooseObjects int  // estimated
	Bitmap       bool // a reachability bitmap exists
	CommitGraph  bool
	// SinceFull is the time since the last full repack began; zero if there
	// was none.
	SinceFull  time.Duration
	LooseRefs  int
	PackedRefs int64 // bytes of packed-refs
}

// Task is one piece of maintenance.
type Task string

// The tasks, in the order in which they run.
const (
	// TaskFullRepack makes one pack with a bitmap: right after a first mirror,
	// where it decides what a clone costs (a factor of 17 in CPU). Later it
	// takes the place of a geometric one once in a while: only it sees which
	// objects nothing points to, and lets those of two weeks' age go.
	TaskFullRepack Task = "full-repack"
	// TaskGeometricRepack joins small packs and loose objects, and keeps a
	// bitmap over all packs.
	TaskGeometricRepack Task = "geometric-repack"
	TaskCommitGraph     Task = "commit-graph"
	TaskPackRefs        Task = "pack-refs"
)

// Thresholds. Growth bases as in Gitaly's heuristics: the larger a repository,
// the more small packs and loose refs it may carry before the work pays.
const (
	looseObjects = 1024
	minPackBytes = 1 << 20 // under this a bitmap saves nothing
	minPacks     = 2
	fullEvery    = 5 * 24 * time.Hour
	minLooseRefs = 16
	packsBase    = 1.8
	refsBase     = 1.15
)

// Plan returns what should be done, in order. It returns nothing for a
// repository that is in good shape.
func Plan(s State) []Task {
	var tasks []Task
	switch {
	case s.PackBytes >= minPackBytes && !s.Bitmap:
		tasks = append(tasks, TaskFullRepack, TaskCommitGraph)
	case s.SinceFull > fullEvery && (s.Packs > packLimit(s.PackBytes) || s.LooseObjects > looseObjects):
		tasks = append(tasks, TaskFullRepack, TaskCommitGraph)
	case s.Packs > packLimit(s.PackBytes), s.LooseObjects > looseObjects:
		tasks = append(tasks, TaskGeometricRepack, TaskCommitGraph)
	}
	if s.LooseRefs > refLimit(s.PackedRefs) {
		tasks = append(tasks, TaskPackRefs)
	}
	return tasks
}

func packLimit(bytes int64) int {
	mib := float64(bytes) / (1 << 20)
	if mib <= 1 {
		return minPacks * 4
	}
	return max(minPacks*4, int(math.Log(mib)/math.Log(packsBase)))
}

func refLimit(packed int64) int {
	if packed <= 100 {
		return minLooseRefs
	}
	return max(minLooseRefs, int(math.Log(float64(packed)/100)/math.Log(refsBase)))
}
