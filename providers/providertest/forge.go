package providertest

import (
	"net/http"

	"github.com/headwater-git/headwater/providers/forgetest"
)

// Forge describes the host of a provider. The suite serves its repositories by
// git itself and asks these functions for all that differs between hosts.
// They are called concurrently. Only Token is required; a zero field is answered
// in the way that its comment says.
type Forge struct {
	// User is the user name that the suite stores with a token; "" is "river".
	User string
	// Token returns the token that a request of git, or to the API, carries; ""
	// if it carries none that the host understands. The suite mints the tokens
	// and knows what each may do.
	Token func(r *http.Request) string
	// Challenge is the WWW-Authenticate header of a 401; "" is
	// `Basic realm="Forge"`.
	Challenge string
	// BareURLs says that clone URLs do not end in ".git".
	BareURLs bool
	// AnyCase says that paths compare without regard to case.
	AnyCase bool
	// NoPush says that the host takes no pushes over HTTPS.
	NoPush bool
	// PushOptions says that the host takes push options.
	PushOptions bool
	// HiddenRefs is the prefix of refs that the host lists and refuses to
	// change, such as "refs/pull"; "" is none.
	HiddenRefs string
	// Refusals are the host's words.
	Refusals Refusals
	// APIPath is what the path of the API begins with; "" is "/api". The
	// provider gets the URL of it in [providers.HostPolicy].
	APIPath string
	// API answers a request whose path begins with APIPath. It reports false,
	// and writes nothing, for what the API does not have. Nil: no API.
	API func(s *Server, w http.ResponseWriter, r *http.Request) bool
	// Webhooks describe how the host delivers webhooks; nil: not at all.
	Webhooks *Webhooks
}

// Refusals are how a host refuses requests of git. A zero status is the one in
// the comment.
type Refusals struct {
	// Hidden answers a request without a credential for a repository that is
	// private or absent: 401.
	Hidden Answer
	// Wrong answers a credential that does not verify: 401.
	Wrong Answer
	// Missing answers a good credential for a repository that is absent or that
	// it may not see: 404.
	Missing Answer
	// AnonymousPush answers a push without a credential: 401.
	AnonymousPush Answer
	// ReadOnly answers a push with a credential that only reads: 403.
	ReadOnly Answer
}

// Answer is an HTTP status and the plain text that goes with it. Git shows the
// text to its user after "remote: ".
type Answer struct {
	Status int
	Body   string
}

// Webhooks describe how a host delivers webhooks.
type Webhooks struct {
	// Payload returns the body of the request that the host makes of an event,
	// to be encoded as a JSON object, and the name of the event in
	// EventHeader. A nil body says that the host has no such event.
	Payload func(s *Server, repo Repository, e Event) (name string, body any)
	// Sign adds the host's headers to a delivery: its signature with a secret
	// over d.Body, and its id. The secret may be empty.
	Sign func(d *Delivery, secret string)
	// EventHeader is the header that names the event; "" says that the body
	// does.
	EventHeader string
	// OpenBody says that the secret does not cover the body, as at hosts that
	// send the secret itself.
	OpenBody bool
}

// Repository is a repository of the host.
type Repository struct {
	ID            string // stable
	Path          string // "owner/name"
	Private       bool
	Archived      bool
	DefaultBranch string // short name
}

// EventKind says what happened at a host.
type EventKind string

// The kinds of events.
const (
	EventPush          EventKind = "push"           // refs moved: Updates
	EventRenamed       EventKind = "renamed"        // the repository had the path From
	EventTransferred   EventKind = "transferred"    // likewise, with another owner
	EventDeleted       EventKind = "deleted"        // the repository is gone
	EventVisibility    EventKind = "visibility"     // it became private or public
	EventArchived      EventKind = "archived"       // it became archived, or no longer is
	EventDefaultBranch EventKind = "default_branch" // it was From
	EventPing          EventKind = "ping"           // the host tries the address
	EventOther         EventKind = "other"          // nothing about refs, like an issue
)

// Event is something that happened at a host.
type Event struct {
	Kind    EventKind
	Updates []RefUpdate
	From    string
}

// RefUpdate is a ref that moved. An id of zeros stands for a ref that is not
// there.
type RefUpdate struct{ Name, Old, New string }

// Delivery is one request that the host makes to a receiver of webhooks.
type Delivery struct {
	ID     string // unique; the same when the host sends it again
	Event  string // as Payload named it
	Header http.Header
	Body   []byte
}

// Server is the running host, as its API sees it.
type Server struct{ forge *forgetest.Forge }

// URL returns the base URL of the host, without a slash at the end.
func (s *Server) URL() string { return s.forge.URL() }

// CloneURL returns the clone URL of a path, without user info.
func (s *Server) CloneURL(path string) string { return s.forge.CloneURL(path) }

// Repository finds a repository by its path or its stable id.
func (s *Server) Repository(pathOrID string) (Repository, bool) {
	repo, ok := s.forge.Repository(pathOrID)
	return Repository(repo), ok
}

// Access is what a request may do with a repository.
type Access struct {
	Refused bool // the request carries a credential that does not verify
	Known   bool // it carries one that does
	Read    bool
	Write   bool
	Admin   bool // webhooks may be read and changed
}

// Access returns what a request may do with the repository at a path.
func (s *Server) Access(r *http.Request, path string) Access {
	return Access(s.forge.Access(r, path))
}

// Webhook is a webhook of a repository.
type Webhook struct {
	ID     string
	URL    string
	Secret string
	Events []string // by their names in EventHeader; nil: all
	Active bool
}

// Webhooks returns the webhooks of the repository at a path, oldest first.
func (s *Server) Webhooks(path string) []Webhook {
	var out []Webhook
	for _, w := range s.forge.Webhooks(path) {
		out = append(out, Webhook{ID: w.ID, URL: w.URL, Secret: w.Secret, Events: w.Events, Active: w.Active})
	}
	return out
}

// AddWebhook registers a webhook and returns its id; "" if there is no
// repository at the path.
func (s *Server) AddWebhook(path string, w Webhook) string {
	id, err := s.forge.AddWebhook(path, forgetest.Webhook{
		URL: w.URL, Secret: w.Secret, Events: w.Events, Active: w.Active, ContentType: "json",
	})
	if err != nil {
		return ""
	}
	return id
}

// SetWebhook replaces all of the webhook with the id of w. It reports whether
// there is such a webhook.
func (s *Server) SetWebhook(path string, w Webhook) bool {
	return s.forge.EditWebhook(path, w.ID, func(at *forgetest.Webhook) {
		at.URL, at.Secret, at.Events, at.Active = w.URL, w.Secret, w.Events, w.Active
	})
}

// RemoveWebhook removes a webhook and reports whether there was one.
func (s *Server) RemoveWebhook(path, id string) bool { return s.forge.RemoveWebhook(path, id) }

// custom is the description in the form of the fake forge.
func (f Forge) custom() *forgetest.CustomHost {
	c := &forgetest.CustomHost{
		User: f.User, Token: f.Token, Challenge: f.Challenge, BareURLs: f.BareURLs, AnyCase: f.AnyCase, NoPush: f.NoPush,
		PushOptions: f.PushOptions, HiddenRefs: f.HiddenRefs, APIPath: f.APIPath,
		Hidden: forgetest.Answer(f.Refusals.Hidden), Wrong: forgetest.Answer(f.Refusals.Wrong),
		Missing: forgetest.Answer(f.Refusals.Missing), AnonymousPush: forgetest.Answer(f.Refusals.AnonymousPush),
		ReadOnly: forgetest.Answer(f.Refusals.ReadOnly),
	}
	if f.API != nil {
		c.API = func(forge *forgetest.Forge, w http.ResponseWriter, r *http.Request) bool {
			return f.API(&Server{forge}, w, r)
		}
	}
	if hooks := f.Webhooks; hooks != nil {
		c.EventHeader, c.OpenBody = hooks.EventHeader, hooks.OpenBody
		c.Payload = func(forge *forgetest.Forge, repo forgetest.Repository, e forgetest.Event) (string, any) {
			event := Event{Kind: EventKind(e.Kind), From: e.From}
			for _, u := range e.Updates {
				event.Updates = append(event.Updates, RefUpdate(u))
			}
			return hooks.Payload(&Server{forge}, Repository(repo), event)
		}
		c.Sign = func(d *forgetest.Delivery, secret string) {
			hooks.Sign(&Delivery{ID: d.ID, Event: d.Event, Header: d.Header, Body: d.Body}, secret)
		}
	}
	return c
}
