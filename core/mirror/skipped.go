package mirror

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git/discovery"
)

// skip takes refs out of a listing whose names cannot be stored here, and then until
// no name in it is a folder of another one, and returns them. Not every host stores refs as files, and "a" and "a/b"
// cannot both be here. What is here stays, else the upstream's default branch,
// else the shorter name.
func (m *Mirror) skip(ctx context.Context, r core.Repository, adv discovery.Advertisement) ([]core.SkippedRef, error) {
	var skipped []core.SkippedRef
	involved := map[string]bool{}
	for name := range adv.Refs {
		if core.RefNameTooLong(name) {
			delete(adv.Refs, name)
			skipped = append(skipped, core.SkippedRef{Ref: name})
			continue
		}
		for folder := range folders(name) {
			if _, ok := adv.Refs[folder]; ok {
				involved[name], involved[folder] = true, true
			}
		}
	}
	if len(involved) == 0 {
		return inOrder(skipped), nil
	}
	names := make([]string, 0, len(involved))
	for name := range involved {
		names = append(names, name)
	}
	here := map[string]core.ObjectID{}
	if !m.rebuilding(r) {
		var err error
		if here, err = m.git.RefsNamed(ctx, m.repos.Path(r.ID), names); err != nil {
			return nil, err
		}
	}
	rank := func(name string) int {
		if _, ok := here[name]; ok {
			return 0
		}
		if name == adv.HeadTarget {
			return 1
		}
		return 2
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(len(a), len(b)), strings.Compare(a, b))
	})
	kept, below := map[string]bool{}, map[string]string{} // below: by folder, a kept ref in it
	for _, name := range names {
		against := below[name]
		for folder := range folders(name) {
			if kept[folder] {
				against = folder
			}
		}
		if against != "" {
			delete(adv.Refs, name)
			skipped = append(skipped, core.SkippedRef{Ref: name, ConflictsWith: against})
			continue
		}
		kept[name] = true
		for folder := range folders(name) {
			below[folder] = name
		}
	}
	return inOrder(skipped), nil
}

func inOrder(skipped []core.SkippedRef) []core.SkippedRef {
	slices.SortFunc(skipped, func(a, b core.SkippedRef) int { return strings.Compare(a.Ref, b.Ref) })
	return skipped
}

// folders yields the folders that a ref's name is in.
func folders(name string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for i, c := range name {
			if c == '/' && !yield(name[:i]) {
				return
			}
		}
	}
}

// without leaves skipped refs out of what refspecs with patterns fetch.
func without(specs []string, skipped []core.SkippedRef) []string {
	if len(specs) == 0 {
		return nil
	}
	for _, ref := range skipped {
		specs = append(specs, "^"+ref.Ref)
	}
	return specs
}
