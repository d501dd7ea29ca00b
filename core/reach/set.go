package reach

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/durable"
	"github.com/headwater-git/headwater/core/git"
)

// fileName is the file in a repository's folder that holds its set.
const fileName = "headwater-reachable"

// format begins the file; another begin is no set.
const format = "headwater reachable objects 1"

func (s *Service) file(id string) string { return filepath.Join(s.o.Path(id), fileName) }

// tips are what the refs that readers are shown are at, and its type.
type tips map[core.ObjectID]string

// tips lists them. Hidden refs are left out: what only they lead to is not shown.
func (s *Service) tips(ctx context.Context, id string) (tips, error) {
	out, err := s.o.Git.Stream(ctx, git.Command{
		Name: "for-each-ref", Dir: s.o.Path(id), Flags: []string{"--format=%(objectname) %(objecttype) %(refname)"},
	})
	if err != nil {
		return nil, err
	}
	defer out.Close() //nolint:errcheck // read to its end, or of no use
	found := tips{}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		words := strings.SplitN(lines.Text(), " ", 3)
		if len(words) == 3 && !strings.HasPrefix(words[2], core.InternalPrefix) {
			found[core.ObjectID(words[0])] = words[1]
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	return found, out.Wait()
}

func (t tips) sorted() []core.ObjectID { return slices.Sorted(maps.Keys(t)) }

// digest tells tips from others.
func (t tips) digest() string {
	sum := sha256.New()
	for _, id := range t.sorted() {
		fmt.Fprintln(sum, id)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// without returns the ids that are no tips.
func (t tips) without(ids []core.ObjectID) (rest []core.ObjectID) {
	for _, id := range ids {
		if t[id] == "" {
			rest = append(rest, id)
		}
	}
	return rest
}

// set is what refs of one repository lead to: what is in the file, and what was added
// since it was written.
type set struct {
	id     string
	making sync.Mutex // who brings it forward

	mu      sync.RWMutex
	version int64 // of the repository
	digest  string
	extra   map[core.ObjectID]struct{}
}

func (x *set) current(version int64) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.version == version
}

func (x *set) is(digest string) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.digest == digest
}

func (x *set) adopt(version int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.version = version
}

func (x *set) replace(version int64, digest string, extra map[core.ObjectID]struct{}) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.version, x.digest, x.extra = version, digest, extra
}

// without returns the ids that are not in the set. They are looked up in the file as it
// is now, which may be newer than x: never in one of refs that have gone since, since
// its successor takes its place before x tells of it.
func (x *set) without(path string, ids []core.ObjectID) (rest []core.ObjectID, err error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	f, err := openFile(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for _, id := range ids {
		if _, ok := x.extra[id]; ok {
			continue
		}
		in, err := f.has(id)
		if err != nil {
			return nil, err
		}
		if !in {
			rest = append(rest, id)
		}
	}
	return rest, nil
}

// file is an open file of a set.
type file struct {
	*os.File
	digest string
	tips   tips
	width  int   // bytes of an id
	begin  int64 // of the ids
	count  int
}

// errFile says that a file is not a whole set; it is made anew then.
var errFile = errors.New("the set of reachable objects is not readable")

// openFile opens a set. Errors: those of the file; [errFile].
func openFile(path string) (_ *file, err error) {
	f := &file{tips: tips{}}
	if f.File, err = os.Open(path); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = f.Close() // only read
		}
	}()
	in := bufio.NewReader(f.File)
	line := func() string {
		text, e := in.ReadString('\n')
		f.begin += int64(len(text))
		err = errors.Join(err, e)
		return strings.TrimSuffix(text, "\n")
	}
	if line() != format {
		return nil, errors.Join(errFile, err)
	}
	var count int
	if _, e := fmt.Sscanf(line(), "%64s %d %d %d", &f.digest, &f.width, &f.count, &count); e != nil || f.width <= 0 {
		return nil, errors.Join(errFile, e)
	}
	for range count {
		id, kind, ok := strings.Cut(line(), " ")
		if !ok || err != nil {
			return nil, errors.Join(errFile, err)
		}
		f.tips[core.ObjectID(id)] = kind
	}
	info, err := f.Stat()
	if err == nil && info.Size() != f.begin+int64(f.count)*int64(f.width) {
		err = errFile
	}
	return f, err
}

// has looks an id up.
func (f *file) has(id core.ObjectID) (bool, error) {
	want, err := hex.DecodeString(string(id))
	if err != nil || len(want) != f.width {
		return false, nil //nolint:nilerr // no object has such an id
	}
	record := make([]byte, f.width)
	low, high := 0, f.count
	for low < high {
		middle := (low + high) / 2
		if _, err := f.ReadAt(record, f.begin+int64(middle)*int64(f.width)); err != nil {
			return false, err
		}
		switch c := bytes.Compare(record, want); {
		case c == 0:
			return true, nil
		case c < 0:
			low = middle + 1
		default:
			high = middle
		}
	}
	return false, nil
}

// records are ids one after another, to be sorted.
type records struct {
	raw   []byte
	width int
	spare []byte
}

func (r *records) at(i int) []byte    { return r.raw[i*r.width : (i+1)*r.width] }
func (r *records) Len() int           { return len(r.raw) / r.width }
func (r *records) Less(i, j int) bool { return bytes.Compare(r.at(i), r.at(j)) < 0 }
func (r *records) Swap(i, j int) {
	copy(r.spare, r.at(i))
	copy(r.at(i), r.at(j))
	copy(r.at(j), r.spare)
}

// compact drops the second of equal ones; they are sorted.
func (r *records) compact() {
	n := 0
	for i := range r.Len() {
		if i > 0 && bytes.Equal(r.at(i), r.at(n-1)) {
			continue
		}
		copy(r.at(n), r.at(i))
		n++
	}
	r.raw = r.raw[:n*r.width]
}

// maker makes a set for tips.
type maker struct {
	s          *Service
	dir, path  string
	tips       tips
	background bool
}

const (
	// minExtra and extraPart bound what is kept in memory beside the file: so many ids, or
	// this part of the file's if that is more. Each takes a hundred bytes or so.
	minExtra  = 4096
	extraPart = 16
)

// make returns what the tips lead to beside what is in the file, or writes the file anew.
func (m maker) make(ctx context.Context, digest string) (map[core.ObjectID]struct{}, error) {
	f, err := openFile(m.path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errFile):
		return nil, m.whole(ctx, digest)
	case err != nil:
		return nil, err
	}
	defer f.Close()
	if f.digest == digest {
		return nil, nil
	}
	if lost, err := m.lost(ctx, f.tips); err != nil || lost {
		if err != nil {
			return nil, err
		}
		return nil, m.whole(ctx, digest)
	}
	extra := map[core.ObjectID]struct{}{}
	full := false
	err = m.walk(ctx, nil, nil, f.tips, func(id core.ObjectID) {
		if full = full || len(extra) >= max(minExtra, f.count/extraPart); !full {
			extra[id] = struct{}{}
		}
	})
	if err != nil {
		return nil, err
	}
	if full {
		return nil, m.whole(ctx, digest)
	}
	return extra, nil
}

// lost reports whether some of what old tips lead to may have no way any more.
func (m maker) lost(ctx context.Context, old tips) (bool, error) {
	var gone []core.ObjectID
	for id, kind := range old {
		if m.tips[id] != "" {
			continue
		}
		if kind != "commit" {
			return true, nil
		}
		gone = append(gone, id)
	}
	if len(gone) == 0 {
		return false, nil
	}
	lost := false
	err := m.walk(ctx, []string{"--max-count=1"}, gone, m.tips, func(core.ObjectID) { lost = true })
	if exit, ok := errors.AsType[*git.ExitError](err); ok && exit.Code > 0 {
		return true, nil // it is not even here any more
	}
	return lost, err
}

// walk calls f with what some ids lead to and others do not: commits alone with flags,
// else all objects. It may name more than that, but nothing that none of them leads to.
func (m maker) walk(ctx context.Context, flags []string, from []core.ObjectID, not tips, f func(id core.ObjectID)) error {
	var in strings.Builder
	if from == nil {
		from = m.tips.sorted()
	}
	for _, id := range from {
		if not[id] == "" {
			in.WriteString(string(id) + "\n")
		}
	}
	if in.Len() == 0 {
		return nil
	}
	for id := range not {
		in.WriteString("^" + string(id) + "\n")
	}
	if flags == nil {
		flags = []string{"--objects", "--no-object-names"}
	}
	if len(not) == 0 {
		// The bitmap of maintenance has the answer without a walk.
		flags = append(flags, "--use-bitmap-index")
	}
	out, err := m.s.o.Git.Stream(ctx, git.Command{
		Name: "rev-list", Dir: m.dir, Flags: append(flags, "--stdin"), Stdin: strings.NewReader(in.String()), Background: m.background,
	})
	if err != nil {
		return err
	}
	defer out.Close() //nolint:errcheck // read to its end, or of no use
	lines := bufio.NewReaderSize(out, 64<<10)
	for {
		line, err := lines.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			return out.Wait()
		}
		if err != nil {
			return err
		}
		id, _, _ := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(" "))
		f(core.ObjectID(id))
	}
}

// whole writes the file anew. It holds all ids in memory meanwhile.
func (m maker) whole(ctx context.Context, digest string) error {
	r := &records{width: 20}
	for id := range m.tips {
		r.width = len(id) / 2
		break
	}
	r.spare = make([]byte, r.width)
	var bad error
	err := m.walk(ctx, nil, nil, nil, func(id core.ObjectID) {
		var err error
		if r.raw, err = hex.AppendDecode(r.raw, []byte(id)); err != nil {
			bad = fmt.Errorf("git rev-list names %q", id)
		}
	})
	if err = errors.Join(err, bad); err != nil {
		return err
	}
	sort.Sort(r)
	r.compact()
	var head bytes.Buffer
	fmt.Fprintf(&head, "%s\n%s %d %d %d\n", format, digest, r.width, r.Len(), len(m.tips))
	for _, id := range m.tips.sorted() {
		fmt.Fprintf(&head, "%s %s\n", id, m.tips[id])
	}
	return durable.ReplaceFile(m.path, append(head.Bytes(), r.raw...), 0o600)
}
