package mirror

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/discovery"
	"github.com/headwater-git/headwater/core/repo"
)

// readScope is what of an upstream a repository mirrors: the branches and tags that
// its filter lets through and, if it wants them, the heads of pull requests.
type scope struct {
	rules repo.Rules
	pulls []string // prefixes of the host's own refs for pull requests
}

// pullHeads are how hosts call what a pull request proposes, below its prefix
// and its number. Other refs there (merges with the target) are the host's own.
var pullHeads = []string{"/head", "/from"}

// readScope returns what the repository mirrors as its settings are now.
func (m *Mirror) readScope(ctx context.Context, r core.Repository) (scope, error) {
	rules, err := m.repos.Rules(ctx, r)
	if err != nil {
		return scope{}, err
	}
	return m.scopeOf(ctx, r, rules)
}

// scopeOf is scope for rules that may be other than the repository'm.
func (m *Mirror) scopeOf(ctx context.Context, r core.Repository, rules repo.Rules) (scope, error) {
	sc := scope{rules: rules}
	if !rules.Settings().PullRequests {
		return sc, nil
	}
	manifest, err := m.up.Manifest(ctx, *r.Upstream)
	if err != nil {
		return scope{}, err
	}
	for _, prefix := range manifest.ExcludedRefPrefixes {
		// The rest of them (keep-around, for) is nobody's pull request.
		if strings.HasPrefix(prefix, "refs/") && (strings.Contains(prefix, "pull") || strings.Contains(prefix, "merge-requests")) {
			sc.pulls = append(sc.pulls, prefix)
		}
	}
	return sc, nil
}

// list asks the upstream for what the scope mirrors, and tells what of that cannot
// be here.
func (m *Mirror) list(ctx context.Context, r core.Repository, sc scope) (discovery.Advertisement, []core.SkippedRef, error) {
	adv, err := list(ctx, m.up, r, sc)
	if err != nil {
		return discovery.Advertisement{}, nil, err
	}
	skipped, err := m.skip(ctx, r, adv)
	return adv, skipped, err
}

// Lister lists upstreams. [*upstream.Service] is one.
type Lister interface {
	Refs(ctx context.Context, repo core.Repository, prefixes []string) (discovery.Advertisement, error)
}

func list(ctx context.Context, from Lister, r core.Repository, sc scope) (discovery.Advertisement, error) {
	adv, err := from.Refs(ctx, r, slices.Concat([]string{"HEAD"}, sc.bases(), sc.pulls))
	if err != nil {
		return discovery.Advertisement{}, fmt.Errorf("list upstream refs: %w", err)
	}
	return sc.cut(adv), nil
}

// cut leaves out of a listing what the scope does not mirror.
func (sc scope) cut(adv discovery.Advertisement) discovery.Advertisement {
	maps.DeleteFunc(adv.Refs, func(name string, _ core.ObjectID) bool { return name != "HEAD" && !sc.mirrors(name) })
	return adv
}

// mirrors reports whether the scope mirrors the ref.
func (sc scope) mirrors(name string) bool {
	if sc.rules.Owns(name) {
		return sc.rules.Mirrors(name)
	}
	return sc.isPull(name)
}

func (sc scope) isPull(name string) bool {
	return slices.ContainsFunc(sc.pulls, func(prefix string) bool { return strings.HasPrefix(name, prefix) }) &&
		slices.ContainsFunc(pullHeads, func(suffix string) bool { return strings.HasSuffix(name, suffix) })
}

// digest tells listings apart that need something done. It covers the rules as
// well: other ones may make something else of the same listing.
func (sc scope) digest(adv discovery.Advertisement) string {
	fingerprint := sc.rules.Fingerprint()
	if fingerprint == "" {
		return adv.Digest()
	}
	h := sha256.New()
	_, _ = io.WriteString(h, adv.Digest()+" "+fingerprint+"\n") // a hash takes everything
	for _, name := range slices.Sorted(maps.Keys(adv.Refs)) {
		if !core.UpstreamOwned(core.Default, name) && sc.mirrors(name) {
			_, _ = io.WriteString(h, string(adv.Refs[name])+" "+name+"\n")
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// bases returns the refs and folders of refs (these end in "/") that the filter
// may let something of through: as few as its patterns alone can say.
func (sc scope) bases() []string {
	var names []string
	include := sc.rules.Settings().Include
	for _, pattern := range include {
		if repo.NamesOthers(pattern) {
			names = append(names, fixedPart(pattern))
		}
	}
	for _, root := range []string{"refs/heads/", "refs/tags/"} {
		if len(include) == 0 {
			names = append(names, root)
		}
		for _, pattern := range include {
			fixed := fixedPart(pattern)
			switch {
			case strings.HasPrefix(fixed, root):
				names = append(names, fixed)
			case strings.HasPrefix(root, fixed):
				names = append(names, root)
			}
		}
	}
	slices.Sort(names)
	var bases []string
	for _, name := range slices.Compact(names) {
		// Sorted, so a folder comes before what is in it.
		if n := len(bases); n > 0 && strings.HasSuffix(bases[n-1], "/") && strings.HasPrefix(name, bases[n-1]) {
			continue
		}
		bases = append(bases, name)
	}
	return bases
}

// fixedPart returns the folder of a pattern that its first wildcard is in, or all
// of a pattern without one.
func fixedPart(pattern string) string {
	if i := strings.IndexAny(pattern, `*?[{\`); i >= 0 {
		return pattern[:strings.LastIndexByte(pattern[:i], '/')+1]
	}
	return pattern
}

// refspecs are those of everything that the scope mirrors. Nothing else of the
// upstream (pull requests, keep-around refs) is ever listed or fetched: protocol
// v2 turns the refspecs into ref prefixes. Git's patterns know less than ours,
// so that some refs may come which the plan then leaves out. It returns none if
// the filter lets nothing through.
func (sc scope) refspecs() []string {
	var specs []string
	for _, name := range sc.bases() {
		// Also for one ref: git fails where a ref without "*" is not there, and
		// prunes by patterns.
		specs = append(specs, refspec(name+"*"))
	}
	for _, prefix := range sc.pulls {
		for _, suffix := range pullHeads {
			specs = append(specs, refspec(prefix+"*"+suffix))
		}
	}
	if len(specs) == 0 {
		return nil
	}
	for _, pattern := range sc.rules.Settings().Exclude {
		folder := strings.TrimSuffix(pattern, "**")
		if !strings.ContainsAny(folder, `*?[{\`) {
			if strings.HasSuffix(folder, "/") {
				folder += "*"
			}
			specs = append(specs, "^"+folder)
		}
	}
	return specs
}

// outside returns the tracking refs of what the scope does not mirror: left from
// another scope, or brought by refspecs that say less than the filter.
func (sc scope) outside(refs map[string]core.ObjectID) []git.RefChange {
	var drop []git.RefChange
	for name, id := range refs {
		if short, tracking := strings.CutPrefix(name, core.TrackingPrefix); tracking && !sc.mirrors("refs/"+short) {
			drop = append(drop, git.RefChange{RefUpdate: core.RefUpdate{Name: name, Old: id}})
		}
	}
	return drop
}

// known returns the refs that a plan is made from: tracking refs, and all public
// ones but what is ours alone. Refs of other kinds than the scope mirrors are
// among them, so that they go: pull requests that are not wanted any more, and
// what was pushed here before other refs were refused.
func (m *Mirror) known(ctx context.Context, id string) (map[string]core.ObjectID, error) {
	if m.rebuilding(core.Repository{ID: id}) {
		return map[string]core.ObjectID{}, nil
	}
	if err := m.repos.Current(ctx, core.Repository{ID: id}); err != nil {
		return nil, err
	}
	refs, err := m.git.RefMap(ctx, m.repos.Path(id), "refs/")
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(refs, func(name string, _ core.ObjectID) bool {
		return !strings.HasPrefix(name, core.TrackingPrefix) && core.OursAlone(core.Default, name)
	})
	return refs, nil
}
