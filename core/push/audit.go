package push

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/providers"
)

const (
	// auditTimeout bounds how long a session waits for an audit entry that is
	// written by itself.
	auditTimeout = 10 * time.Second
	// maxReasons is how many refused refs an audit entry names.
	maxReasons = 10
	// actionPush is the audit's word for a push.
	actionPush = "push"
)

// Every session has one audit entry. One that got as far as the journal has it
// in the SQL transaction that closes its journal entry, so that neither is there
// without the other and no push pays for a transaction more; if a crash comes
// before, recovery adds it. One that was refused or failed before that has moved
// nothing, and its entry is written by itself.

// entry returns the audit entry of a session with the results that there are
// now: what is still open counts as done. cause is why the session failed.
func (s *Service) entry(b *results, cause error) core.AuditEntry {
	w := b.session
	now := s.clock.Now()
	e := core.AuditEntry{
		ID: core.NewID("aud", now), Org: w.Repo.Org, RepoID: w.Repo.ID, RepoName: w.Repo.Name, At: now, Actor: w.Actor,
		Action: w.Action, Credential: b.credential, HostLogin: b.login,
	}
	if e.Action == "" {
		e.Action = actionPush
	}
	if cause != nil {
		e.Outcome, e.Message = core.OutcomeOf(core.KindOf(cause)), core.MessageOf(cause)
		return e
	}
	failed := false
	var reasons []string
	for _, r := range b.list {
		if r.OK() {
			e.Updates = append(e.Updates, r.Update)
			continue
		}
		failed = failed || core.OutcomeOf(r.Kind) == core.OutcomeFailed
		reasons = append(reasons, r.Update.Name+": "+oneLine(r.Reason))
	}
	switch {
	case len(reasons) == 0:
		e.Outcome = core.OutcomeOK
	case len(e.Updates) > 0:
		e.Outcome = core.OutcomePartial
	case failed:
		e.Outcome = core.OutcomeFailed
	default:
		e.Outcome = core.OutcomeRefused
	}
	if more := len(reasons) - maxReasons; more > 0 {
		reasons = append(reasons[:maxReasons], fmt.Sprintf("and %d more", more))
	}
	e.Message = strings.Join(reasons, "; ")
	return e
}

// audit writes the entry of a session that has no journal entry. A failure is
// logged: the client's results stand without it.
func (s *Service) audit(ctx context.Context, w Session, e core.AuditEntry) {
	// Also of a client that has left.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), auditTimeout)
	defer cancel()
	if err := s.store.AddAudit(ctx, e); err != nil {
		s.log.Error("audit entry could not be written", "repo_id", w.Repo.ID, "actor", w.Actor.Subject, "action", e.Action,
			"outcome", e.Outcome, "error", err)
	}
}

// Refused records a session that was refused before it began, for what reason
// there is. Its repository may lack the id, if there is none of that name.
func (s *Service) Refused(ctx context.Context, w Session, cause error) {
	s.audit(ctx, w, s.entry(newResults(w), cause))
}

// automatic reports whether a journal entry is of a sync that nobody had to
// approve: the audit is about people.
func automatic(j core.JournalEntry) bool {
	return j.Source == core.SourceSync && j.Actor == core.SystemSubject
}

// recovered returns the audit entry of a session that a crash cut off.
func (s *Service) recovered(r core.Repository, j core.JournalEntry, done []core.RefUpdate) core.AuditEntry {
	now := s.clock.Now()
	e := core.AuditEntry{
		ID: core.NewID("aud", now), Org: r.Org, RepoID: r.ID, RepoName: r.Name, At: now,
		Actor: core.Actor{Subject: j.Actor, Org: r.Org}, Updates: done,
		Outcome: core.OutcomeOK, Message: "the server stopped in the middle of it; this was found when it started again",
	}
	switch j.Source { // the journal does not know more
	case core.SourceAPI:
		e.Action = "api.write"
	case core.SourceSync:
		e.Action = "rewrite.approve"
	default:
		e.Action = actionPush
	}
	switch {
	case len(done) == 0:
		e.Outcome = core.OutcomeFailed
	case len(done) < len(j.Updates):
		e.Outcome = core.OutcomePartial
	}
	return e
}

// credentialOf returns what opens the upstream of a repository, and the account
// that the host sees, if it is known here.
func (s *Service) credentialOf(ctx context.Context, r core.Repository) (credential, login string) {
	switch r.Upstream.Mode {
	case providers.ModeApp:
		return core.CredentialApp, ""
	case providers.ModeGeneric:
		c, err := s.store.CredentialByRepo(ctx, r.ID)
		if err == nil {
			return c.ID, c.Username
		}
	}
	return core.CredentialNone, ""
}
