package git

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/durable"
)

// RefChange is one line of a ref transaction: a ref by its name on disk. With
// Force, Old is not checked.
type RefChange struct {
	core.RefUpdate
	Force bool
}

// RefError says which ref stopped a ref transaction, and why.
type RefError struct {
	Ref  string
	Kind UpdateRefErrorKind
	Err  error
}

// Error names ref and reason.
func (e *RefError) Error() string { return fmt.Sprintf("update %s: %s: %v", e.Ref, e.Kind, e.Err) }

// Unwrap returns git's own error.
func (e *RefError) Unwrap() error { return e.Err }

// UpdateRefs applies the transactions in order, each one whole or not at all,
// in one process. Several are needed where one transaction cannot do it: git
// cannot delete "foo" and create "foo/bar" in one. It returns how many were
// committed; a failure is a [*RefError] where git named its reason.
func (g *Git) UpdateRefs(ctx context.Context, dir string, transactions ...[]RefChange) (int, error) {
	return g.updateRefs(ctx, dir, "commit", transactions)
}

// NoRefFlush takes refs out of what is flushed to the disk, for refs that can
// be had again: tracking refs.
func NoRefFlush() Config { return Config{"core.fsync", "committed,loose-object,-reference"} }

// CheckRefs runs each transaction up to the point of committing and takes it
// back: it finds directory/file conflicts, missing objects, bad names, stale
// old ids and held locks, and changes nothing.
func (g *Git) CheckRefs(ctx context.Context, dir string, transactions ...[]RefChange) error {
	_, err := g.updateRefs(ctx, dir, "abort", transactions)
	return err
}

func (g *Git) updateRefs(ctx context.Context, dir, end string, transactions [][]RefChange) (int, error) {
	var in bytes.Buffer
	for _, tx := range transactions {
		if len(tx) == 0 {
			continue
		}
		in.WriteString("start\x00")
		for _, c := range tx {
			writeRefChange(&in, c)
		}
		in.WriteString("prepare\x00" + end + "\x00")
	}
	if in.Len() == 0 {
		return 0, nil
	}
	var out bytes.Buffer
	var config []Config
	if onlyTracking(transactions) {
		config = append(config, NoRefFlush())
	}
	err := g.Run(ctx, Command{
		Name:   "update-ref",
		Dir:    dir,
		Config: config,
		// --no-deref: a symbolic ref in the way is replaced, not followed.
		// -z: names and ids need no quoting.
		Flags:  []string{"--no-deref", "--stdin", "-z"},
		Stdin:  &in,
		Stdout: &out,
	})
	done := strings.Count(out.String(), end+": ok\n")
	if err != nil {
		if e, ok := err.(*ExitError); ok { //nolint:errorlint // Run returns it unwrapped
			ref, kind := ParseUpdateRefError(e.Stderr)
			return done, &RefError{Ref: ref, Kind: kind, Err: err}
		}
		return done, err
	}
	return done, nil
}

// onlyTracking reports whether the transactions are about tracking refs alone, which
// can be had again from the upstream.
func onlyTracking(transactions [][]RefChange) bool {
	for _, tx := range transactions {
		for _, c := range tx {
			if !strings.HasPrefix(c.Name, core.TrackingPrefix) {
				return false
			}
		}
	}
	return true
}

// writeRefChange writes one command of "git update-ref --stdin -z": an empty
// old value is not checked, all zeros means the ref must not exist.
func writeRefChange(in *bytes.Buffer, c RefChange) {
	old := string(c.Old)
	if c.Force {
		old = ""
	} else if c.Old.IsZero() {
		old = zeros(string(c.New))
	}
	if c.IsDelete() {
		fmt.Fprintf(in, "delete %s\x00%s\x00", c.Name, old)
		return
	}
	fmt.Fprintf(in, "update %s\x00%s\x00%s\x00", c.Name, c.New, old)
}

// zeros returns the zero id of the same length as id, at least sha1's.
func zeros(id string) string { return strings.Repeat("0", max(len(id), len(core.ZeroSHA1))) }

// Ref is one ref as it stands.
type Ref struct {
	Name string
	ID   core.ObjectID
}

// Refs lists the refs under the prefixes in byte order of their names. A
// prefix that ends in "/" means everything below; another is an exact name.
//
// Where refs are files as git writes them it starts no process, see [readRefs].
func (g *Git) Refs(ctx context.Context, dir string, prefixes ...string) ([]Ref, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	if read, ok := readRefs(dir, prefixes); ok {
		refs := make([]Ref, 0, len(read.refs))
		for name, r := range read.refs {
			refs = append(refs, Ref{Name: name, ID: r.id})
		}
		slices.SortFunc(refs, func(a, b Ref) int { return strings.Compare(a.Name, b.Name) })
		return refs, nil
	}
	return g.askForRefs(ctx, dir, prefixes)
}

// askForRefs is Refs by git.
func (g *Git) askForRefs(ctx context.Context, dir string, prefixes []string) ([]Ref, error) {
	var refs []Ref
	err := g.eachRef(ctx, dir, "%(objectname) %(refname)", prefixes, func(line string) {
		if id, name, ok := strings.Cut(line, " "); ok {
			refs = append(refs, Ref{Name: name, ID: core.ObjectID(id)})
		}
	})
	if err != nil {
		return nil, err
	}
	return refs, nil
}

// eachRef calls f with a line of the format for every ref under the prefixes.
func (g *Git) eachRef(ctx context.Context, dir, format string, prefixes []string, f func(line string)) error {
	r, w := io.Pipe()
	p, err := g.Start(ctx, Command{
		Name:   "for-each-ref",
		Dir:    dir,
		Flags:  []string{"--format=" + format},
		Args:   prefixes,
		Stdout: w,
	})
	if err != nil {
		return err
	}
	wait := make(chan error, 1)
	go func() {
		err := p.Wait()
		w.CloseWithError(err)
		wait <- err
	}()
	sc := bufio.NewScanner(r)
	for sc.Scan() {
		f(sc.Text())
	}
	_ = r.Close()
	if err := <-wait; err != nil {
		return err
	}
	return sc.Err()
}

// RefMap is Refs as a map by name.
func (g *Git) RefMap(ctx context.Context, dir string, prefixes ...string) (map[string]core.ObjectID, error) {
	refs, err := g.Refs(ctx, dir, prefixes...)
	if err != nil {
		return nil, err
	}
	m := make(map[string]core.ObjectID, len(refs))
	for _, r := range refs {
		m[r.Name] = r.ID
	}
	return m, nil
}

// maxRefArgs is how many names are asked for by name: every ref is compared with
// every one of them.
const maxRefArgs = 50

// RefsNamed returns those of the named refs that exist. There may be any
// number of names.
func (g *Git) RefsNamed(ctx context.Context, dir string, names []string) (map[string]core.ObjectID, error) {
	if len(names) == 0 {
		return map[string]core.ObjectID{}, nil
	}
	prefixes := names
	if len(names) > maxRefArgs {
		prefixes = []string{"refs/"}
	}
	all, err := g.RefMap(ctx, dir, prefixes...)
	if err != nil {
		return nil, err
	}
	m := make(map[string]core.ObjectID, len(names))
	for _, name := range names {
		if id, ok := all[name]; ok {
			m[name] = id
		}
	}
	return m, nil
}

// HasRefs reports whether there is any ref under the prefixes.
func (g *Git) HasRefs(ctx context.Context, dir string, prefixes ...string) (bool, error) {
	refs, err := g.Refs(ctx, dir, prefixes...)
	return len(refs) > 0, err
}

// IsAncestor reports whether a is reachable from b. A missing object is an error.
func (g *Git) IsAncestor(ctx context.Context, dir string, a, b core.ObjectID) (bool, error) {
	err := g.Run(ctx, Command{Name: "merge-base", Dir: dir, Flags: []string{"--is-ancestor"}, Args: []string{string(a), string(b)}})
	if err == nil {
		return true, nil
	}
	if e, ok := err.(*ExitError); ok && e.Code == 1 { //nolint:errorlint // Run returns it unwrapped
		return false, nil
	}
	return false, err
}

// SetHead points HEAD at a branch by its full name. It is flushed: git flushes refs,
// but no symbolic ones.
func (g *Git) SetHead(ctx context.Context, dir, ref string) error {
	if err := g.Run(ctx, Command{Name: "symbolic-ref", Dir: dir, Args: []string{"HEAD", ref}}); err != nil {
		return err
	}
	return errors.Join(durable.SyncFile(filepath.Join(dir, "HEAD")), durable.SyncDir(dir))
}

// Init makes an empty bare repository at dir.
func (g *Git) Init(ctx context.Context, dir, branch, objectFormat string) error {
	// --template=: an empty template; no sample hooks and no info/exclude.
	flags := []string{"--bare", "--quiet", "--template=", "--initial-branch=" + branch, "--object-format=" + objectFormat}
	if g.version.choosesRefFormat() {
		// What git takes by itself is reftable from 3.0 on, and in some builds
		// before; WriteRefs writes the other one.
		flags = append(flags, "--ref-format=files")
	}
	// From the folder above: what runs out there is said of that one, not of wherever
	// the server was started.
	return g.Run(ctx, Command{Name: "init", In: filepath.Dir(dir), Flags: flags, Args: []string{filepath.Base(dir)}})
}
