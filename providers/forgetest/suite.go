package forgetest

import (
	"encoding/json"
	"net/http"
)

// What follows is how the conformance suite looks behind a forge.

// Traits is what the suite must know about a kind of host.
type Traits struct {
	// HostKey: webhooks are signed with a key of the host, not with a secret of
	// the receiver.
	HostKey bool
	// OpenBody: the secret of a webhook does not cover its body.
	OpenBody bool
	// Apps: grants are installations of a GitHub App.
	Apps bool
	// RateWords: refusals because of a used-up budget have a form of the host's own.
	RateWords bool
	// Registers: the API registers webhooks.
	Registers bool
	// OwnerPrefix is what every owner begins with: "~" at SourceHut.
	OwnerPrefix string
	// EventHeader is the header that names the event of a webhook; "" if the
	// body does.
	EventHeader string
}

// Traits returns what the suite must know about the forge's host.
func (f *Forge) Traits() Traits {
	r := f.rules
	t := Traits{
		HostKey: r.hostKey, OpenBody: r.openBody, Apps: f.app != nil, RateWords: r.api != nil && r.custom == nil,
		Registers: r.hooks != nil || r.custom != nil, EventHeader: r.eventHeader,
	}
	if f.options.HostKind == HostSourceHut {
		t.OwnerPrefix = "~"
	}
	return t
}

// DeliveriesTo returns the requests that the host makes of an event to one
// webhook of a repository: none if the webhook does not subscribe to it. They
// are signed and not sent.
func (f *Forge) DeliveriesTo(repo string, e Event, w Webhook) ([]Delivery, error) {
	found, err := f.change(repo, func(*forgeRepo) {})
	if err != nil {
		return nil, err
	}
	var out []Delivery
	for _, p := range f.rules.payloads(f, found, e, false) {
		if w.wants(p) {
			out = append(out, f.sealed(found, p, w, false))
		}
	}
	return out, nil
}

// Resign returns a delivery with another body, signed with a secret as the host
// would sign it.
func (f *Forge) Resign(d Delivery, secret string, body []byte) Delivery {
	d.Body, d.Header = body, d.Header.Clone()
	f.rules.sign(f, &d, Webhook{URL: f.URL(), Secret: secret, ContentType: "json"})
	return d
}

// RemoveWebhook removes a webhook, as a person does in the host's settings. It
// reports whether there was such a webhook.
func (f *Forge) RemoveWebhook(repo, id string) bool {
	found := f.find(repo)
	return found != nil && f.removeWebhook(found.id, id)
}

// CustomHost describes a host that is none of the known ones. What it leaves
// out is answered in the simplest way: see each field.
type CustomHost struct {
	// User is the user name that goes with a token; "" is [User].
	User string
	// Token returns the token that a request carries, "" if it carries none
	// that the host understands. Required.
	Token func(r *http.Request) string
	// Challenge is the WWW-Authenticate header of a 401; "" is that of Basic.
	Challenge string
	// BareURLs: clone URLs do not end in ".git".
	BareURLs bool
	// AnyCase: paths compare without regard to case.
	AnyCase bool
	// NoPush: the host takes no pushes over HTTPS.
	NoPush bool
	// PushOptions: the host takes push options.
	PushOptions bool
	// HiddenRefs is the prefix of refs that are listed and refuse every push,
	// such as "refs/pull"; "" is none.
	HiddenRefs string
	// Hidden, Wrong, Missing, AnonymousPush and ReadOnly are the refusals of
	// git requests, in that order: a private or absent repository without a
	// credential, a credential that does not verify, one that does not show the
	// repository, a push without a credential, and one with a credential that
	// only reads. Zero is 401, 401, 404, 401 and 403 without words.
	Hidden, Wrong, Missing, AnonymousPush, ReadOnly Answer
	// APIPath is what the path of the API begins with; "" is "/api".
	APIPath string
	// API answers a request whose path begins with APIPath. It reports false
	// for what the API does not have. Nil: the host has no API.
	API func(f *Forge, w http.ResponseWriter, r *http.Request) bool
	// Payload returns the body of the webhook of an event, and its name in
	// EventHeader; a nil body: the host has no such event. Nil: no webhooks.
	Payload func(f *Forge, repo Repository, e Event) (name string, body any)
	// Sign adds the host's headers to a delivery, with its signature.
	Sign func(d *Delivery, secret string)
	// EventHeader is the header that names the event; "": the body does.
	EventHeader string
	// OpenBody: the secret of a webhook does not cover its body.
	OpenBody bool
}

// Answer is a status with the plain text that a host gives with it. Git shows
// the text to its user after "remote: ".
type Answer struct {
	Status int
	Body   string
}

// Repository is a repository as a custom host's API and webhooks see it.
type Repository struct {
	ID            string // stable
	Path          string // "owner/name"
	Private       bool
	Archived      bool
	DefaultBranch string // short name
}

// Access is what a request may do with a repository.
type Access struct {
	Refused bool // the request carries a credential that does not verify
	Known   bool // it carries one that does
	Read    bool
	Write   bool
	Admin   bool // webhooks may be read and changed
}

// Repository finds a repository by its path or its stable id.
func (f *Forge) Repository(pathOrID string) (Repository, bool) {
	repo := f.find(pathOrID)
	if repo == nil {
		repo = f.findID(pathOrID)
	}
	if repo == nil {
		return Repository{}, false
	}
	return f.snapshot(repo), true
}

func (f *Forge) snapshot(repo *forgeRepo) Repository {
	return Repository{
		ID: f.stableID(repo), Path: repo.path, Private: repo.private, Archived: repo.archived, DefaultBranch: f.branchOf(repo),
	}
}

// Access returns what a request may do with a repository.
func (f *Forge) Access(r *http.Request, path string) Access {
	t, given := f.lookup(r)
	repo := f.find(path)
	a := Access{Refused: given && t == nil, Known: t != nil}
	if repo == nil || a.Refused {
		return a
	}
	a.Read = !repo.private || t.sees(repo)
	a.Write = t.sees(repo) && !t.ReadOnly
	a.Admin = a.Write && !t.NoAdmin && !t.NoHooks
	return a
}

// rulesOfCustom makes the rules of a custom host.
func rulesOfCustom(c *CustomHost) hostRules {
	words := func(a Answer, status int) answer {
		if a.Status == 0 {
			a.Status = status
		}
		return answer{a.Status, a.Body}
	}
	r := hostRules{
		realm: "Forge", challenge: c.Challenge, apiPath: c.APIPath, bareURLs: c.BareURLs, anyCase: c.AnyCase,
		noHTTPSPush: c.NoPush, pushOptions: c.PushOptions, hiddenRefs: c.HiddenRefs, tokenPrefix: "forge-",
		hidden: words(c.Hidden, http.StatusUnauthorized), wrong: words(c.Wrong, http.StatusUnauthorized),
		missing: words(c.Missing, http.StatusNotFound), anonymousPush: words(c.AnonymousPush, http.StatusUnauthorized),
		readOnly: words(c.ReadOnly, http.StatusForbidden),
		user:     c.User, openBody: c.OpenBody, eventHeader: c.EventHeader, custom: c,
		protected: func(string, bool) Refusal { return Refusal{Reason: "protected branch"} },
		payloads: func(f *Forge, repo *forgeRepo, e Event, _ bool) []payload {
			if c.Payload == nil {
				return nil
			}
			name, body := c.Payload(f, f.snapshot(repo), e)
			if body == nil {
				return nil
			}
			raw, err := json.Marshal(body)
			var object map[string]any
			if err != nil || json.Unmarshal(raw, &object) != nil {
				panic("forgetest: the body of a webhook is not a JSON object")
			}
			return []payload{{event: name, want: name, body: object}}
		},
		sign: func(_ *Forge, d *Delivery, w Webhook) {
			if c.EventHeader != "" {
				d.Header.Set(c.EventHeader, d.Event)
			}
			if c.Sign != nil {
				c.Sign(d, w.Secret)
			}
		},
	}
	if r.user == "" {
		r.user = User
	}
	if r.apiPath == "" {
		r.apiPath = "/api"
	}
	if c.API != nil {
		r.api = c.API
	}
	return r
}
