package api

import (
	"context"
	"net/http"
	"regexp"
	"time"

	"github.com/headwater-git/headwater/core"
)

// auditTimeout bounds how long a call waits for its audit entry.
const auditTimeout = 10 * time.Second

// action is what the audit says of an operation that writes. A test checks
// that whatever is not a GET has one or is among those that only read.
type action struct {
	word string // noun and verb; "" if the operation only reads
	// session: its writes go through write sessions, which make the audit
	// entries of what they did and refused. Only what never became a session is
	// recorded here, and a success without one has moved nothing.
	session bool
	// providers: the variable "name" of the path is not a repository.
	providers bool
}

// actor is who calls, from where.
func (c *call) actor() core.Actor {
	return c.w.Actor(c.r)
}

// audit records a call that wrote or wanted to, unless a write session has done
// so. Calls whose token did not verify are nobody's. A failure to record is
// logged: what was done is done.
func (s *server) audit(c *call, cause error) {
	if c.action.word == "" || s.Audit == nil || c.identity.Org == "" || c.audited.Load() || c.action.session && cause == nil {
		return
	}
	// Also of a client that has left.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx()), auditTimeout)
	defer cancel()
	if c.repo.ID == "" {
		c.repo = s.wanted(ctx, c)
	}
	now := s.Clock.Now()
	e := core.AuditEntry{
		ID: core.NewID("aud", now), Org: c.identity.Org, RepoID: c.repo.ID, RepoName: c.repo.Name, At: now, Actor: c.actor(),
		Action: c.action.word, Target: c.changed, Outcome: core.OutcomeOf(core.KindOf(cause)),
	}
	if cause != nil {
		e.Message = core.MessageOf(cause)
	}
	if c.action.providers {
		e.Target, _ = c.segment("name")
	}
	for _, name := range []string{"id", "delivery", "webhook", "credential", "set", "tag"} {
		if e.Target == "" {
			e.Target, _ = c.segment(name) // one that is badly encoded names nothing
		}
	}
	if err := s.Audit.AddAudit(ctx, e); err != nil {
		s.Logger.Error("audit entry could not be written", "org", e.Org, "repo_id", e.RepoID, "subject", e.Actor.Subject,
			"action", e.Action, "outcome", e.Outcome, "error", err)
	}
}

// wanted returns the repository that a refused call was about, by the path or
// else by the token; without an id if there is none of that name.
func (s *server) wanted(ctx context.Context, c *call) core.Repository {
	name, _ := c.segment("name") // one that is badly encoded names nothing
	if name == "" && !c.identity.OrgWide() {
		name = c.identity.Repo
	}
	if name == "" || c.action.providers {
		return core.Repository{}
	}
	return s.access.Wanted(ctx, c.identity, name)
}

// auditView is an audit entry in answers.
type auditView struct {
	ID         string         `json:"id"`
	At         core.Timestamp `json:"at"`
	Action     string         `json:"action"`
	Outcome    core.Outcome   `json:"outcome"`
	Message    string         `json:"message,omitempty"`
	RepoID     string         `json:"repo_id,omitempty"`
	RepoName   string         `json:"repo_name,omitempty"`
	Target     string         `json:"target,omitempty"`
	Actor      actorView      `json:"actor"`
	Credential string         `json:"credential,omitempty"`
	HostLogin  string         `json:"host_login,omitempty"`
	Updates    []refMovedView `json:"updates"`
}

// actorView is who acted.
type actorView struct {
	Subject    string `json:"subject"`
	Org        string `json:"org"`
	KeyID      string `json:"key_id,omitempty"`
	RemoteAddr string `json:"remote_addr,omitempty"`
	UserAgent  string `json:"user_agent,omitempty"`
	TokenID    string `json:"jti,omitempty"`
	TokenHash  string `json:"token_hash,omitempty"`
}

// refMovedView is a ref that was moved.
type refMovedView struct {
	Ref    string        `json:"ref"`
	OldSHA core.ObjectID `json:"old_sha"`
	NewSHA core.ObjectID `json:"new_sha"`
}

// auditList is a page of the audit.
type auditList struct {
	Entries []auditView `json:"entries"` // newest first
	pageFields
}

func viewAudit(e core.AuditEntry) auditView {
	view := auditView{
		ID: e.ID, At: core.Timestamp(e.At), Action: e.Action, Outcome: e.Outcome, Message: e.Message, RepoID: e.RepoID, RepoName: e.RepoName,
		Target: e.Target, Credential: e.Credential, HostLogin: e.HostLogin, Updates: []refMovedView{},
		Actor: actorView{
			Subject: e.Actor.Subject, Org: e.Actor.Org, KeyID: e.Actor.KeyID, RemoteAddr: e.Actor.RemoteAddr, UserAgent: e.Actor.UserAgent,
			TokenID: e.Actor.TokenID, TokenHash: e.Actor.TokenHash,
		},
	}
	for _, u := range e.Updates {
		view.Updates = append(view.Updates, refMovedView{Ref: u.Name, OldSHA: u.Old, NewSHA: u.New})
	}
	return view
}

// actionShape and idShape are what every action and every id of a repository looks like.
// Plugins and later versions have actions of their own, so there is no list of them.
var (
	actionShape = regexp.MustCompile(`^[a-z_]+(\.[a-z_]+)*$`)
	idShape     = regexp.MustCompile(`^[0-9A-Za-z]+_[0-9A-Za-z]+$`)
)

// listAudit lists the audit of the organisation.
func (s *server) listAudit(c *call) error {
	id := c.r.URL.Query().Get("repo_id")
	if id != "" && !idShape.MatchString(id) {
		return core.Errorf(core.KindInvalid, `the parameter "repo_id" must be the id of a repository, not its name`)
	}
	return s.auditPage(c, core.AuditFilter{Org: c.identity.Org, RepoID: id})
}

// listRepositoryAudit lists that of one repository.
func (s *server) listRepositoryAudit(c *call) error {
	return s.auditPage(c, core.AuditFilter{Org: c.identity.Org, RepoID: c.repo.ID})
}

// auditPage answers with a page of what the filter and the query select.
func (s *server) auditPage(c *call, filter core.AuditFilter) error {
	if s.Audit == nil {
		return core.Errorf(core.KindUnsupported, "this server keeps no audit")
	}
	query := params{c.r.URL.Query()}
	page, err := query.page(auditListing)
	if err != nil {
		return err
	}
	filter.Before, filter.Limit = page.before, page.fetch()
	filter.Actor, filter.Action = query.Get("actor"), query.Get("action")
	if filter.Action != "" && !actionShape.MatchString(filter.Action) {
		return core.Errorf(core.KindInvalid, `the parameter "action" cannot be %.50q; actions are words like "push" and "rewrite.approve"`, filter.Action)
	}
	entries, err := s.Audit.Audit(c.ctx(), filter)
	if err != nil {
		return err
	}
	entries, rest := cut(page, entries, func(e core.AuditEntry) string { return e.ID })
	answer := auditList{Entries: []auditView{}, pageFields: rest}
	for _, e := range entries {
		answer.Entries = append(answer.Entries, viewAudit(e))
	}
	return c.answer(http.StatusOK, answer)
}
