package generic

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/headwater-git/headwater/plugins/internal/forge"
	"github.com/headwater-git/headwater/plugins/internal/webhook"
	"github.com/headwater-git/headwater/providers"
)

// maxWebhookPages bounds how much of a repository's list of webhooks is read.
// Hosts allow fewer webhooks than that many pages hold.
const maxWebhookPages = 20

// Webhooks says how the API of a kind of host keeps webhooks.
type Webhooks struct {
	// Collection returns the path of a repository's webhooks below the base
	// URL, by stable id if one is given and the API can.
	Collection func(p forge.Place, id string) string
	// Page returns the query for one page of them, counted from 1.
	Page func(n int) string
	// List reads a page, and whether another one follows.
	List func(a forge.Answer, w WantedWebhook) (found []FoundWebhook, more bool, err error)
	// Read reads one webhook: the answer to its creation or correction.
	Read func(body []byte, w WantedWebhook) (FoundWebhook, error)
	// Write returns the body of the request that creates or corrects one.
	Write func(w WantedWebhook) any
	// Correct is the method of the request that corrects one.
	Correct string
	// KeepsSecret says that a correction cannot change the secret, so that a
	// webhook with another one has to be replaced.
	KeepsSecret bool
	// Needs says what a credential must be for this, as the end of a sentence.
	Needs string
}

// WantedWebhook is a webhook as it should be.
type WantedWebhook struct {
	URL    string
	Secret providers.Secret
	// Mark tells one secret from another without telling it: hosts do not show
	// the secret of a webhook, so the mark is written where it can be read back.
	Mark string
}

// FoundWebhook is a webhook that a host has.
type FoundWebhook struct {
	ID   string
	URL  string
	Mark string // as it was written with the secret; "" if the host tells none
	// Sound says that it is switched on and delivers what is wanted, as wanted;
	// its URL and secret are not looked at.
	Sound bool
	// Dead says that no correction brings it to life: it has to be replaced.
	Dead bool
}

func (w WantedWebhook) is(f FoundWebhook) bool {
	return f.URL == w.URL && f.Mark == w.Mark && f.Sound && !f.Dead
}

// mark returns the mark of a secret. It is an HMAC of a constant, so it is of no
// use to sign anything, and no other program makes the same of that secret.
func mark(s providers.Secret) string {
	mac := hmac.New(sha256.New, []byte(s.Reveal()))
	mac.Write([]byte("headwater: mark of a webhook's secret"))
	return "Headwater " + hex.EncodeToString(mac.Sum(nil)[:8])
}

var _ providers.WebhookRegistrar = (*Provider)(nil)

// ParseWebhook implements [providers.Provider].
func (p *Provider) ParseWebhook(ctx context.Context, r providers.WebhookRequest) (providers.WebhookResult, error) {
	if err := ctx.Err(); err != nil {
		return providers.WebhookResult{}, err
	}
	if p.host.ParseWebhook == nil {
		return p.Base.ParseWebhook(ctx, r)
	}
	if _, err := p.Config(); err != nil {
		return providers.WebhookResult{}, err
	}
	if err := webhook.Check(r); err != nil {
		return providers.WebhookResult{}, err
	}
	return p.host.ParseWebhook(r)
}

// EnsureWebhook implements [providers.WebhookRegistrar].
func (p *Provider) EnsureWebhook(ctx context.Context, r providers.EnsureWebhookRequest) (providers.RegisteredWebhook, error) {
	if err := checkWebhook(r.URL, r.Secret); err != nil {
		return providers.RegisteredWebhook{}, err
	}
	hooks, err := p.webhooksOf(ctx, r.Remote, r.Stored)
	if err != nil {
		return providers.RegisteredWebhook{}, err
	}
	hooks.wanted = WantedWebhook{URL: r.URL, Secret: r.Secret, Mark: mark(r.Secret)}
	return hooks.ensure(ctx, r.HookID)
}

// RemoveWebhook implements [providers.WebhookRegistrar].
func (p *Provider) RemoveWebhook(ctx context.Context, r providers.RemoveWebhookRequest) error {
	if r.URL == "" && r.HookID == "" {
		return providers.Errorf(providers.CodeInvalidArgument, "the webhook to remove is not named")
	}
	hooks, err := p.webhooksOf(ctx, r.Remote, r.Stored)
	if err != nil {
		return err
	}
	found, err := hooks.list(ctx)
	if providers.CodeOf(err) == providers.CodeNotFound {
		return nil // there is no repository that could have one
	}
	if err != nil {
		return err
	}
	for _, f := range found {
		if f.ID != r.HookID && (r.URL == "" || f.URL != r.URL) {
			continue
		}
		if err := hooks.remove(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// checkWebhook checks where a host shall deliver and what it shall sign with.
// Errors: [providers.CodeInvalidArgument], which tell no secret: the path of
// the URL is one, too.
func checkWebhook(address string, secret providers.Secret) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http"):
		return providers.Errorf(providers.CodeInvalidArgument, "the URL for webhooks is not one of HTTP")
	case u.User != nil || u.Fragment != "":
		return providers.Errorf(providers.CodeInvalidArgument, "the URL for webhooks has user info or a fragment")
	case secret == "":
		return providers.Errorf(providers.CodeInvalidArgument, "a webhook is not registered without a secret")
	}
	return nil
}

// repositoryWebhooks are the webhooks of one repository at its host.
type repositoryWebhooks struct {
	api     *Webhooks
	client  forge.Client
	place   forge.Place
	address string // of the collection
	header  http.Header
	stored  providers.StoredCredential
	wanted  WantedWebhook // zero for a removal
}

// webhooksOf finds the way to the webhooks of a repository.
// Errors: [providers.CodeUnsupported] if this host has none,
// [providers.CodeUnauthenticated] without a credential, and those of Place.
func (p *Provider) webhooksOf(ctx context.Context, remote providers.Remote, stored *providers.StoredCredential) (*repositoryWebhooks, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	config, err := p.Config()
	if err != nil {
		return nil, err
	}
	if p.host.Webhooks == nil || p.host.API == nil {
		return nil, providers.Errorf(providers.CodeUnsupported, "%s", p.host.WebhooksUnsupported)
	}
	if err := forge.CheckStored(stored); err != nil {
		return nil, err
	}
	place, err := p.host.Rules.PlaceOf(p.host.Manifest, config, remote)
	if err != nil {
		return nil, err
	}
	if stored == nil {
		return nil, providers.Errorf(providers.CodeUnauthenticated, "%s lets nobody register webhooks without a credential", place.Host)
	}
	base := place.Policy.APIURL
	if base == "" {
		base = p.host.API.Base(place)
	}
	if base == "" {
		return nil, providers.Errorf(providers.CodeUnsupported, "%s has no API to register webhooks with: add the webhook there by hand", place.Host)
	}
	header := http.Header{"Accept": {"application/json"}}
	p.host.API.Authorize(header, *stored)
	return &repositoryWebhooks{
		api:     p.host.Webhooks,
		client:  forge.Client{HTTP: p.HTTPClient(place.Policy), Host: place.Host},
		place:   place,
		address: strings.TrimRight(base, "/") + p.host.Webhooks.Collection(place, remote.UpstreamID),
		header:  header,
		stored:  *stored,
	}, nil
}

// ensure makes the host have the wanted webhook exactly once.
func (h *repositoryWebhooks) ensure(ctx context.Context, id string) (providers.RegisteredWebhook, error) {
	found, err := h.list(ctx)
	if err != nil {
		return providers.RegisteredWebhook{}, err
	}
	keep := h.choose(found, id)
	result := providers.RegisteredWebhook{}
	replace := keep != nil && (keep.Dead || (h.api.KeepsSecret && keep.Mark != h.wanted.Mark))
	switch {
	case keep == nil || replace:
		made, err := h.write(ctx, http.MethodPost, "")
		if err != nil {
			return providers.RegisteredWebhook{}, err
		}
		result = providers.RegisteredWebhook{HookID: made.ID, Changed: true}
	case !h.wanted.is(*keep):
		made, err := h.write(ctx, h.api.Correct, keep.ID)
		if err != nil {
			return providers.RegisteredWebhook{}, err
		}
		// A host that tells no mark is given the secret each time, which
		// changes nothing as far as anyone can see.
		same := keep.Sound && keep.URL == h.wanted.URL && keep.Mark == made.Mark
		result = providers.RegisteredWebhook{HookID: keep.ID, Changed: !same}
	default:
		result.HookID = keep.ID
	}
	// Only now, so that there is no moment without any.
	for _, f := range found {
		double := f.URL == h.wanted.URL || (replace && f.ID == keep.ID)
		if !double || f.ID == result.HookID {
			continue
		}
		if err := h.remove(ctx, f); err != nil {
			return providers.RegisteredWebhook{}, err
		}
		result.Changed = true
	}
	return result, nil
}

// choose returns the webhook that is kept: one that is right already, else the
// one with the id, else one with the URL; nil if there is none.
func (h *repositoryWebhooks) choose(found []FoundWebhook, id string) *FoundWebhook {
	var best *FoundWebhook
	rank := 0
	for i, f := range found {
		r := 0
		switch {
		case h.wanted.is(f) && f.ID == id:
			r = 4
		case h.wanted.is(f):
			r = 3
		case f.ID == id:
			r = 2
		case f.URL == h.wanted.URL:
			r = 1
		}
		if r > rank {
			best, rank = &found[i], r
		}
	}
	return best
}

// list reads the webhooks of the repository.
func (h *repositoryWebhooks) list(ctx context.Context) ([]FoundWebhook, error) {
	var all []FoundWebhook
	for n := 1; n <= maxWebhookPages; n++ {
		answer, err := h.client.Get(ctx, h.address+"?"+h.api.Page(n), h.header)
		if err != nil {
			return nil, err
		}
		if answer.Status != http.StatusOK {
			return nil, h.refusal(answer)
		}
		found, more, err := h.api.List(answer, h.wanted)
		if err != nil || slices.ContainsFunc(found, func(f FoundWebhook) bool { return !validID(f.ID) }) {
			return nil, h.notUnderstood()
		}
		all = append(all, found...)
		if !more || len(found) == 0 {
			return all, nil
		}
	}
	return nil, providers.Errorf(providers.CodeUnavailable, "%s has more webhooks for %s than are read", h.place.Host, h.place.Path())
}

// write creates a webhook, or corrects the one with the id.
func (h *repositoryWebhooks) write(ctx context.Context, method, id string) (FoundWebhook, error) {
	body, err := json.Marshal(h.api.Write(h.wanted))
	if err != nil {
		return FoundWebhook{}, providers.Errorf(providers.CodeInvalidArgument, "the webhook cannot be written as JSON")
	}
	header := h.header.Clone()
	header.Set("Content-Type", "application/json")
	answer, err := h.client.Do(ctx, method, h.element(id), header, body)
	if err != nil {
		return FoundWebhook{}, err
	}
	if answer.Status != http.StatusOK && answer.Status != http.StatusCreated {
		return FoundWebhook{}, h.refusal(answer)
	}
	made, err := h.api.Read(answer.Body, h.wanted)
	if err != nil || !validID(made.ID) {
		return FoundWebhook{}, h.notUnderstood()
	}
	return made, nil
}

// remove removes a webhook. One that is gone already is no error.
func (h *repositoryWebhooks) remove(ctx context.Context, f FoundWebhook) error {
	answer, err := h.client.Do(ctx, http.MethodDelete, h.element(f.ID), h.header, nil)
	if err != nil {
		return err
	}
	switch answer.Status {
	case http.StatusOK, http.StatusAccepted, http.StatusNoContent, http.StatusNotFound, http.StatusGone:
		return nil
	}
	return h.refusal(answer)
}

// element returns the address of one webhook, of all for "".
func (h *repositoryWebhooks) element(id string) string {
	if id == "" {
		return h.address
	}
	return h.address + "/" + url.PathEscape(id)
}

// refusal turns an answer into an error that says what to do.
func (h *repositoryWebhooks) refusal(a forge.Answer) error {
	// A host may quote what it was sent. The end of the URL is what keeps
	// strangers from the address, so it is a secret, too.
	secrets := []providers.Secret{h.stored.Secret, h.wanted.Secret, providers.Secret(path.Base(h.wanted.URL))}
	e := h.client.Error(a, h.place.Path(), secrets...)
	switch {
	case e.Code == providers.CodePermissionDenied:
		e.Message += "; registering webhooks needs " + h.api.Needs
	case a.Status == http.StatusBadRequest || a.Status == http.StatusUnprocessableEntity:
		said := forge.Sentence(a.Body, secrets...)
		e.Code, e.Message = providers.CodeInvalidArgument, h.place.Host+" refuses the webhook"
		if said != "" {
			e.Message += ": " + said
		}
	}
	return e
}

func (h *repositoryWebhooks) notUnderstood() error {
	return providers.Errorf(providers.CodeUnavailable, "the API of %s gives an answer about webhooks that is not understood", h.place.Host)
}

// validID reports whether an id that a host sent can be part of a path.
func validID(id string) bool {
	if id == "" {
		return false
	}
	for i := range len(id) {
		c := id[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '{', c == '}':
		default:
			return false
		}
	}
	return true
}

// NumericID returns the id of a webhook at a host that counts them, "" for
// zero: then the answer has none.
func NumericID(id int64) string {
	if id == 0 {
		return ""
	}
	return strconv.FormatInt(id, 10)
}

// NextPage reports whether an answer's Link header names a next page. The
// address itself is not followed: it could lead anywhere.
func NextPage(a forge.Answer) bool {
	for _, link := range a.Header.Values("Link") {
		if strings.Contains(link, `rel="next"`) {
			return true
		}
	}
	return false
}
