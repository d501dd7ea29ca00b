package push

import (
	"fmt"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/core/repo"
	"github.com/headwater-git/headwater/providers"
)

// Session is one write: ref updates that belong together, and who wants them.
type Session struct {
	Repo        core.Repository
	Namespace   core.Namespace
	Source      core.Source // push or api
	Actor       core.Actor
	Action      string // for the audit; "" is "push"
	Policy      access.Policy
	Updates     []core.RefUpdate
	Atomic      bool
	PushOptions []string
	// Notify tells the client something while it waits; it may be nil. Lines
	// come without line end, redacted.
	Notify func(line string)
	// Audited, if not nil, is called once the session is sure of its audit
	// entry: its caller need not make one.
	Audited func()
}

// Result is what became of one update.
type Result struct {
	Update core.RefUpdate
	Kind   core.Kind  // "" means done; else why not
	Reason string     // one line for the client, in the host's own words where it refused
	Became [][]string // of a ref that the host made others of, see [pktline.RefReport]
}

// OK reports whether the update was done.
func (r Result) OK() bool { return r.Kind == "" }

// Fixed reasons. The first is part of the wire contract; those of git are in
// [git.UpdateRefErrorKind].
const (
	reasonPolicy    = "denied by policy"
	reasonVerifySig = "denied by policy: this server cannot verify signatures yet (verify-sig)"
	reasonReadOnly  = "upstream is read-only in public mode"
	reasonAtomic    = "atomic push failed"
	reasonUpstream  = "upstream has changed, fetch first"
	reasonHidden    = "this ref is internal to the server"
	reasonLocked    = "another update of this ref is under way, try again"
	reasonNoAtomic  = "upstream does not support atomic pushes; push without --atomic"
	reasonNoOptions = "upstream does not support push options; push without --push-option"
	reasonUnknown   = "outcome unknown: the upstream did not confirm the update and may still take it; the ref stays locked until that is known, so fetch in a few minutes to see"
	reasonUnsettled = "it is not known yet whether the upstream took the last update of this ref; try again in a few minutes"
	reasonUnwritten = "outcome unknown: the server could not write the update down; fetch in a minute to see whether it took place"
	reasonAbsent    = "the ref does not exist"
	reasonSigned    = "signed pushes are not supported; push without --signed"
	reasonEphemeral = "only branches can be pushed to the ephemeral remote"
	reasonOther     = "the upstream would not get this ref: only branches and tags are mirrored, and what the repository's include patterns name; notes stay here"
	reasonPaused    = "the mirror is paused, so this is not sent to its upstream; resume it (headwater repo resume), or push to its ephemeral remote"
	reasonFiltered  = "the repository's ref filter leaves this ref out; it is neither mirrored nor pushed"
)

// refuse returns the result of a refused update.
func refuse(u core.RefUpdate, kind core.Kind, reason string) Result {
	return Result{Update: u, Kind: kind, Reason: reason}
}

// refConstraints are what a repository's refs are subject to beside the token's policy.
// The zero value is that of a local repository.
type refConstraints struct {
	manifest *providers.Manifest // of the upstream's provider; nil: there is no upstream
	rules    repo.Rules
	paused   bool // the upstream is left alone
}

// checkName says whether an update is refused for its name alone: no disk, no
// network. ok is true if nothing speaks against it so far.
func (s Session) checkName(u core.RefUpdate, c refConstraints) (Result, bool) {
	m := c.manifest
	switch {
	case strings.HasPrefix(u.Name, core.InternalPrefix), strings.HasPrefix(u.Name, "refs/namespaces/"):
		return refuse(u, core.KindPermission, reasonHidden), false
	case !strings.HasPrefix(u.Name, "refs/"):
		return refuse(u, core.KindInvalid, "not a full ref name"), false
	}
	if u.Old.IsZero() && u.New.IsZero() {
		return refuse(u, core.KindInvalid, reasonAbsent), false
	}
	if err := core.ValidateRefName(u.Name); err != nil {
		return refuse(u, core.KindInvalid, core.MessageOf(err)), false
	}
	if branch, ok := strings.CutPrefix(u.Name, "refs/heads/"); ok && u.Old.IsZero() && (s.Repo.Upstream == nil || s.Namespace == core.Ephemeral) {
		// Of what is ours alone nobody else decides, and such a name reads as an option
		// or a revision ever after, for git and for the API. Of a mirror's its host decides.
		if err := core.ValidateBranchName(branch); err != nil {
			return refuse(u, core.KindInvalid, core.MessageOf(err)), false
		}
	}
	if s.Namespace == core.Ephemeral && !strings.HasPrefix(u.Name, "refs/heads/") {
		return refuse(u, core.KindInvalid, reasonEphemeral), false
	}
	switch rule := s.Policy.Rule(u.Name); {
	case rule.NoPush:
		return refuse(u, core.KindPermission, reasonPolicy), false
	case rule.VerifySig:
		return refuse(u, core.KindPermission, reasonVerifySig), false
	case rule.NoForcePush && u.IsDelete():
		return refuse(u, core.KindPermission, reasonPolicy), false // a deletion loses history
	}
	if s.losesDefault(u) {
		return refuse(u, core.KindConflict, reasonDefault), false
	}
	if m == nil || s.Namespace != core.Default {
		return Result{}, true
	}
	if c.paused && !core.OursAlone(s.Namespace, u.Name) {
		return refuse(u, core.KindConflict, reasonPaused), false
	}
	if forReview(u.Name) && m.Capabilities.AGit {
		return s.checkReview(u, *m)
	}
	for _, prefix := range m.ExcludedRefPrefixes {
		if strings.HasPrefix(u.Name, prefix) {
			return refuse(u, core.KindPermission, fmt.Sprintf("%s belongs to the upstream and is not mirrored", strings.TrimSuffix(prefix, "/"))), false
		}
	}
	switch {
	case core.OursAlone(s.Namespace, u.Name):
	case !c.rules.Owns(u.Name):
		return refuse(u, core.KindPermission, reasonOther), false
	default:
		switch {
		case !c.rules.Mirrors(u.Name):
			return refuse(u, core.KindPermission, reasonFiltered), false
		case m.Mode == providers.ModePublic:
			return refuse(u, core.KindPermission, reasonReadOnly), false
		case !m.Capabilities.PushHTTPS:
			return refuse(u, core.KindUnsupported, m.Capabilities.PushUnsupported), false
		}
	}
	return Result{}, true
}

// notify tells the client a line, if it listens.
func (s Session) notify(format string, args ...any) {
	if s.Notify != nil {
		s.Notify(fmt.Sprintf(format, args...))
	}
}

// results collects what becomes of a session's updates, in their order.
type results struct {
	session Session
	list    []Result
	open    map[int]bool // indices still without a result

	credential, login string                // what opens the upstream, for the audit
	journaled         bool                  // whoever settles the journal entry adds the audit entry too
	owns              func(ref string) bool // the upstream does
	uncertain         map[int]bool          // refused so far, but the upstream may have taken them
	watch             *stopwatch            // nil: nobody times it
}

func newResults(s Session) *results {
	b := &results{session: s, list: make([]Result, len(s.Updates)), open: make(map[int]bool, len(s.Updates)), uncertain: map[int]bool{}, owns: func(string) bool { return false }}
	for i, u := range s.Updates {
		b.list[i] = Result{Update: u}
		b.open[i] = true
	}
	return b
}

// set records a refusal of one update and of no other: for what the upstream
// has decided already, where "all or nothing" is no longer ours to keep.
func (b *results) set(i int, kind core.Kind, reason string) {
	b.list[i] = refuse(b.session.Updates[i], kind, reason)
	delete(b.open, i)
}

// setUnknown records that nobody knows what became of an update.
func (b *results) setUnknown(i int, reason string) {
	b.set(i, core.KindUpstreamTimeout, reason)
	b.uncertain[i] = true
}

// unknown returns the updates whose outcome is not known, in order.
func (b *results) unknown() []core.RefUpdate {
	var us []core.RefUpdate
	for i, u := range b.session.Updates {
		if b.uncertain[i] {
			us = append(us, u)
		}
	}
	return us
}

// refuse records a refusal, also over one that another update's caused. In an
// atomic session it refuses all others too.
func (b *results) refuse(i int, kind core.Kind, reason string) {
	b.set(i, kind, reason)
	if !b.session.Atomic {
		return
	}
	for j := range b.open {
		b.list[j] = refuse(b.session.Updates[j], core.KindConflict, reasonAtomic)
		delete(b.open, j)
	}
}

// refuseAll refuses everything that is still open.
func (b *results) refuseAll(kind core.Kind, reason string) {
	for i := range b.open {
		b.list[i] = refuse(b.session.Updates[i], kind, reason)
		delete(b.open, i)
	}
}

// pending returns the indices still open, in order.
func (b *results) pending() []int {
	var idx []int
	for i := range b.list {
		if b.open[i] {
			idx = append(idx, i)
		}
	}
	return idx
}

// updates returns the open updates, in order.
func (b *results) updates() []core.RefUpdate {
	var us []core.RefUpdate
	for _, i := range b.pending() {
		us = append(us, b.session.Updates[i])
	}
	return us
}
