package treeobject

import (
	"context"
	"encoding/hex"
	"math"
	"strings"
	"sync"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git/catfile"
)

// Limits are how much of a tree git may be asked to unfold. A tree names
// each folder by its id, so twelve trees with ten equal entries each are a
// thousand million files in a kilobyte.
type Limits struct {
	Entries int64 // files and folders; 0 is DefaultEntries
	Depth   int   // of folders in each other; 0 is DefaultDepth
}

// The default limits. The trees of Linux have 90 thousand entries, those of
// the largest repositories of single companies a few million. A thousand
// folders in each other are more than most systems can open, and as deep as
// the recursion of every git that is supported goes on its stack.
const (
	DefaultEntries = 1_000_000
	DefaultDepth   = 1000
)

// MaxSize is the size limit of one tree object that is read, in bytes: about
// 400 thousand entries.
const MaxSize = 16 << 20

const (
	// pathBytes is how long the paths of a tree may be on average: git keeps
	// each of them whole while it lists or compares.
	pathBytes = 256
	// treesAtOnce is how many trees are read in one exchange with git.
	treesAtOnce = 32
	// treeMemory is how many trees a generation of the memory holds, about 60
	// bytes each; there are two.
	treeMemory = 1 << 16
)

// Reader reads tree objects; [*catfile.Pool] does.
type Reader interface {
	Info(ctx context.Context, dir string, names ...string) ([]catfile.Object, error)
	Contents(ctx context.Context, dir string, limit int64, names ...string) ([]catfile.Object, error)
}

// Sizes finds out how much git would unfold, before a git is started that
// has to. It reads each distinct tree once, however often it stands in the
// others, and remembers what it found by id, which says everything: a new
// commit of a large repository costs the few trees that it changed. It is safe
// for concurrent use.
type Sizes struct {
	read   Reader
	limits Limits

	mu         sync.Mutex
	young, old map[treeKey]treeSize // a new generation begins when young is full
}

// treeKey is an id, cut to the length of the shorter ones.
type treeKey [20]byte

// treeSize is what a tree is when it is unfolded. Sums stay at the top of their
// range.
type treeSize struct {
	entries int64
	paths   int64 // bytes of all paths
	depth   int32
}

// NewSizes returns what measures trees with the reader.
func NewSizes(read Reader, l Limits) *Sizes {
	if l.Entries <= 0 {
		l.Entries = DefaultEntries
	}
	if l.Depth <= 0 {
		l.Depth = DefaultDepth
	}
	return &Sizes{read: read, limits: l, young: map[treeKey]treeSize{}}
}

// Check returns a KindTooLarge [*core.Error] if one of the named trees, or the
// trees of the named commits, is over the limits. Names are ids, or an id with a
// colon and a path; names of other objects, and of none, are ignored.
// narrow ends the error: how to ask for less.
func (t *Sizes) Check(ctx context.Context, dir, narrow string, names ...string) error {
	ids, err := t.roots(ctx, dir, names)
	if err != nil {
		return err
	}
	w := t.walk(dir)
	for _, id := range ids {
		if id == "" {
			continue
		}
		size, err := w.whole(ctx, id, 0)
		if err == nil {
			err = w.over(size)
		}
		if err != nil {
			return narrowed(err, narrow)
		}
	}
	return nil
}

// CheckDiff is Check for comparisons of two names each: what is equal on both
// sides costs nothing, here as in git. The comparisons count together.
func (t *Sizes) CheckDiff(ctx context.Context, dir, narrow string, pairs ...[2]string) error {
	names := make([]string, 0, 2*len(pairs))
	for _, p := range pairs {
		names = append(names, p[:]...)
	}
	ids, err := t.roots(ctx, dir, names)
	if err != nil {
		return err
	}
	w := t.walk(dir)
	var sum treeSize
	for i := 0; i < len(ids); i += 2 {
		size, err := w.pair(ctx, ids[i], ids[i+1], 0)
		sum.entries, sum.paths, sum.depth = clamp(sum.entries+size.entries), clamp(sum.paths+size.paths), max(sum.depth, size.depth)
		if err == nil {
			err = w.over(sum)
		}
		if err != nil {
			return narrowed(err, narrow)
		}
	}
	return nil
}

// roots returns the trees of names; "" where there is none.
func (t *Sizes) roots(ctx context.Context, dir string, names []string) ([]core.ObjectID, error) {
	trees := make([]string, len(names))
	for i, name := range names {
		if trees[i] = name; !strings.Contains(name, ":") {
			trees[i] += "^{tree}" // a commit's, or its own
		}
	}
	objects, err := t.read.Info(ctx, dir, trees...)
	if err != nil {
		return nil, err
	}
	ids := make([]core.ObjectID, len(objects))
	for i, o := range objects {
		if o.Type == "tree" {
			ids[i] = o.ID
		}
	}
	return ids, nil
}

// overError says what is over a limit.
type overError struct{ text string }

func (e *overError) Error() string { return e.text }

// narrowed puts what to do instead behind what is over a limit.
func narrowed(err error, narrow string) error {
	if over, ok := err.(*overError); ok { //nolint:errorlint // this file's own, never wrapped
		return core.Errorf(core.KindTooLarge, "%s; %s", over.text, narrow)
	}
	return err
}

func (t *Sizes) known(k treeKey) (treeSize, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s, ok := t.young[k]; ok {
		return s, true
	}
	s, ok := t.old[k]
	if ok {
		t.keep(k, s)
	}
	return s, ok
}

func (t *Sizes) remember(k treeKey, s treeSize) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.keep(k, s)
}

// Forget drops what is remembered: it is found again, and says nothing of a
// repository beside how large a tree is.
func (t *Sizes) Forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.old, t.young = nil, map[treeKey]treeSize{}
}

// keep puts a size into the young generation; mu is held.
func (t *Sizes) keep(k treeKey, s treeSize) {
	if len(t.young) >= treeMemory {
		t.old, t.young = t.young, make(map[treeKey]treeSize, treeMemory)
	}
	t.young[k] = s
}

// add puts a folder with a name of n bytes, itself an entry, onto a size.
func (s *treeSize) add(n int, inner treeSize) {
	s.entries = clamp(s.entries + 1 + inner.entries)
	s.paths = clamp(s.paths + int64(n) + inner.paths + clampedProduct(inner.entries, int64(n+1)))
	s.depth = max(s.depth, inner.depth+1)
}

// leaf puts a file with a name of n bytes onto a size.
func (s *treeSize) leaf(n int) {
	s.entries = clamp(s.entries + 1)
	s.paths = clamp(s.paths + int64(n))
}

// topSize is where sums stay: two of them can be added.
const topSize = math.MaxInt64 / 4

func clamp(n int64) int64 { return min(n, topSize) }

func clampedProduct(a, b int64) int64 {
	if a > 0 && b > topSize/a {
		return topSize
	}
	return a * b
}

func keyOf(raw []byte) (k treeKey) {
	copy(k[:], raw)
	return k
}

func keyOfID(id core.ObjectID) treeKey {
	raw, _ := hex.DecodeString(string(id)) // ids come from git
	return keyOf(raw)
}
