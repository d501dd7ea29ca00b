package repo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git/fsck"
	"github.com/headwater-git/headwater/core/glob"
)

// DefaultRetention is how long the old tips of rewritten refs are kept where
// the settings say nothing else.
const DefaultRetention = 30 * 24 * time.Hour

// Rules are the settings of one repository about refs, ready to be asked. Make
// them with [NewRules]; the zero value is the default of a local repository.
type Rules struct {
	synced    bool
	include   glob.List
	named     glob.List // of include: those about refs beside branches and tags
	exclude   glob.List
	policies  []rule
	retention time.Duration
	settings  core.Settings
}

// rule is one [core.RefPolicy].
type rule struct {
	pattern glob.List
	action  core.RefAction
}

// CheckSettings returns a KindInvalid error for settings that cannot be meant.
func CheckSettings(r core.Repository, s core.Settings) error {
	if err := s.Validate(); err != nil {
		return err
	}
	if r.Upstream == nil && (s.Poll != "" || s.Demand() != (core.Demand{}) || len(s.Include)+len(s.Exclude) > 0 || s.PullRequests) {
		return core.Errorf(core.KindInvalid, "poll, max_staleness, freshness, include, exclude and pull_requests are for repositories with an upstream")
	}
	if r.Upstream == nil && s.LFS == core.LFSMirror {
		return core.Errorf(core.KindInvalid, "lfs: %q is for repositories with an upstream; a local one has its objects here in any case", core.LFSMirror)
	}
	if _, err := fsck.CheckTolerated(s.Tolerate); err != nil {
		return err
	}
	_, err := NewRules(r, s)
	return err
}

// NewRules parses the patterns of settings that [core.Settings.Validate] has
// passed. Errors: KindInvalid for a pattern that is none.
func NewRules(r core.Repository, s core.Settings) (Rules, error) {
	rules := Rules{synced: r.Upstream != nil, retention: s.Retention, settings: s}
	if rules.retention == 0 {
		rules.retention = DefaultRetention
	}
	var err error
	if rules.include, err = glob.Parse(s.Include); err != nil {
		return Rules{}, fmt.Errorf("include: %w", err)
	}
	if rules.named, err = glob.Parse(slices.DeleteFunc(slices.Clone(s.Include), func(p string) bool { return !NamesOthers(p) })); err != nil {
		return Rules{}, fmt.Errorf("include: %w", err)
	}
	if rules.exclude, err = glob.Parse(s.Exclude); err != nil {
		return Rules{}, fmt.Errorf("exclude: %w", err)
	}
	for _, p := range s.RefPolicies {
		list, err := glob.Parse([]string{p.Pattern})
		if err != nil {
			return Rules{}, fmt.Errorf("ref policy: %w", err)
		}
		rules.policies = append(rules.policies, rule{list, p.Action})
	}
	return rules, nil
}

// Rules returns the rules of a repository as its settings are now.
func (r *Repos) Rules(ctx context.Context, repo core.Repository) (Rules, error) {
	s, err := r.store.Settings(ctx, repo.ID)
	if err != nil {
		return Rules{}, err
	}
	return NewRules(repo, s)
}

// Tolerated returns the faults of objects that the settings of a repository tolerate.
func (r *Repos) Tolerated(ctx context.Context, repoID string) ([]string, error) {
	s, err := r.store.Settings(ctx, repoID)
	return s.Tolerate, err
}

// Keeps reports whether the rules as they are now keep the ref of a held, frozen
// or dismissed rewrite where it is: a policy may have been lifted or changed since.
func (r Rules) Keeps(row core.Rewrite) bool {
	if row.AwaitsLFS {
		return r.HoldsLFS()
	}
	switch r.Action(row.Ref) {
	case core.RefHold:
		return row.State == core.RewriteHeld || row.State == core.RewriteDismissed
	case core.RefFreeze:
		return row.State == core.RewriteFrozen || row.State == core.RewriteDismissed
	}
	return false
}

// HoldsLFS reports whether refs follow only when their LFS objects are here.
func (r Rules) HoldsLFS() bool {
	return r.synced && r.settings.LFS == core.LFSMirror && r.settings.LFSPolicy == core.LFSHold
}

// NamesOthers reports whether a pattern is about refs beside branches and tags:
// it must say of which folder. "**" has always meant all branches and tags.
func NamesOthers(pattern string) bool {
	rest, ok := strings.CutPrefix(pattern, "refs/")
	root, _, _ := strings.Cut(rest, "/")
	return ok && root != "" && !strings.ContainsAny(root, "*?[]{}\\") && !core.Reserved("refs/"+root+"/")
}

// Owns reports whether the upstream owns a ref of the default namespace, if there
// is an upstream: branches and tags, and what an include pattern names beside them.
func (r Rules) Owns(ref string) bool {
	return core.UpstreamOwned(core.Default, ref) || r.named.Match(ref) && !core.Reserved(ref)
}

// Mirrors reports whether the filter lets a ref through that the upstream owns,
// in both directions: it is fetched from the upstream, and may be pushed.
func (r Rules) Mirrors(ref string) bool {
	return (len(r.include) == 0 || r.include.Match(ref)) && !r.exclude.Match(ref)
}

// Filtered reports whether there is a filter at all.
func (r Rules) Filtered() bool { return len(r.include)+len(r.exclude) > 0 }

// Action returns what becomes of a branch or tag that is rewritten or deleted:
// of the first policy whose pattern fits, else follow+retain. In a local
// repository refs that no policy names are not looked after; that is "".
func (r Rules) Action(ref string) core.RefAction {
	for _, p := range r.policies {
		if p.pattern.Match(ref) {
			return p.action
		}
	}
	if r.synced {
		return core.RefFollowRetain
	}
	return ""
}

// journals reports whether any ref is looked after.
func (r Rules) journals() bool { return r.synced || len(r.policies) > 0 }

// Holds reports whether there is a policy that keeps refs from following.
func (r Rules) Holds() bool {
	for _, p := range r.policies {
		if p.action == core.RefHold || p.action == core.RefFreeze {
			return true
		}
	}
	return false
}

// Retention returns how long old tips are kept.
func (r Rules) Retention() time.Duration { return r.retention }

// Settings returns what the rules were made from.
func (r Rules) Settings() core.Settings { return r.settings }

// Fingerprint tells rules apart by what they make of one listing of the
// upstream; it is "" for the default ones.
func (r Rules) Fingerprint() string {
	s := r.settings
	if !r.Filtered() && !r.Holds() && !s.PullRequests {
		return ""
	}
	raw, err := json.Marshal(core.Settings{RefPolicies: s.RefPolicies, Include: s.Include, Exclude: s.Exclude, PullRequests: s.PullRequests})
	if err != nil {
		return "unknown" // strings and numbers always marshal
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:8])
}
