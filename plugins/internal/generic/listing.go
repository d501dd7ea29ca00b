package generic

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/headwater-git/headwater/plugins/internal/forge"
	"github.com/headwater-git/headwater/providers"
)

// maxCursor bounds a cursor in bytes: it goes to the host as part of a URL.
const maxCursor = 2048

// Listing says how the API of a kind of host lists the repositories of an owner.
type Listing struct {
	// Paths returns the questions for the repositories of an owner, below the base
	// URL, without the page. The next one is asked where the host answers 404 to
	// the one before: hosts have one list for organisations and one for users.
	Paths func(owner string) []string
	// OwnerID returns the question for the owner, whose number is put for "{id}" in
	// Paths; nil: the lists go by name.
	OwnerID func(owner string) string
	// First is the query for the first page.
	First string
	// Next returns the query for the page that follows an answer, "" for none.
	Next func(a forge.Answer, query string) string
	// Split returns the repositories of an answer one by one, as API.Read reads
	// them.
	Split func(body []byte) ([]json.RawMessage, error)
	// Fork reports whether a repository was made from another one.
	Fork func(body []byte) (bool, error)
	// Expiry returns the question for the credential's own expiry, below the base
	// URL, and reads the answer; nil: the host does not say.
	Expiry *Expiry
	// Needs says what a credential must be for this, as the end of a sentence.
	Needs string
}

// Expiry says how a host is asked when a credential expires.
type Expiry struct {
	Path string
	Read func(body []byte) time.Time
}

// cursor is where a listing goes on: which of the paths, and the page of it.
type cursor struct {
	Path  int    `json:"p"`
	ID    string `json:"i,omitempty"` // the owner's number
	Query string `json:"q"`
}

var _ providers.RepositoryLister = (*Provider)(nil)

// ListRepositories implements [providers.RepositoryLister].
func (p *Provider) ListRepositories(ctx context.Context, r providers.ListRequest) (providers.RepositoryPage, error) {
	if err := ctx.Err(); err != nil {
		return providers.RepositoryPage{}, err
	}
	config, err := p.Config()
	if err != nil {
		return providers.RepositoryPage{}, err
	}
	if err := forge.CheckStored(r.Stored); err != nil {
		return providers.RepositoryPage{}, err
	}
	l, err := p.listingOf(config, r)
	if err != nil {
		return providers.RepositoryPage{}, err
	}
	at := cursor{Query: p.host.Listing.First}
	if r.Cursor != "" {
		if len(r.Cursor) > maxCursor || json.Unmarshal([]byte(r.Cursor), &at) != nil || at.Path < 0 || at.Path >= len(l.paths) {
			return providers.RepositoryPage{}, providers.Errorf(providers.CodeInvalidArgument, "the cursor is none of this listing")
		}
		if _, err := url.ParseQuery(at.Query); err != nil || strings.ContainsAny(at.Query, "#/ ") || !forge.Digits(at.ID) {
			return providers.RepositoryPage{}, providers.Errorf(providers.CodeInvalidArgument, "the cursor is none of this listing")
		}
	}
	return l.page(ctx, at, r.Cursor == "")
}

// listing asks one host for the repositories of one owner.
type listing struct {
	provider *Provider
	config   providers.Config
	client   forge.Client
	place    forge.Place // of the owner; its name is a word
	base     string
	paths    []string
	header   http.Header
	stored   *providers.StoredCredential
}

func (p *Provider) listingOf(config providers.Config, r providers.ListRequest) (listing, error) {
	unsupported := providers.Errorf(providers.CodeUnsupported, "%s does not list the repositories of an owner", p.host.Rules.Product)
	if p.host.API == nil || p.host.Listing == nil {
		return listing{}, unsupported
	}
	place, err := p.host.Rules.Place(p.host.Manifest, config, providers.Locator{Host: r.Host, Owner: r.Owner, Name: "repositories"})
	if err != nil {
		return listing{}, err
	}
	base := place.Policy.APIURL
	if base == "" {
		base = p.host.API.Base(place)
	}
	if base == "" {
		return listing{}, unsupported
	}
	l := listing{
		provider: p, config: config, client: forge.Client{HTTP: p.HTTPClient(place.Policy), Host: place.Host},
		place: place, base: strings.TrimRight(base, "/"), paths: p.host.Listing.Paths(place.Owner),
		header: http.Header{"Accept": {"application/json"}}, stored: r.Stored,
	}
	if r.Stored != nil {
		p.host.API.Authorize(l.header, *r.Stored)
	}
	return l, nil
}

// page asks for one page; with first, the paths are tried in turn.
func (l listing) page(ctx context.Context, at cursor, first bool) (providers.RepositoryPage, error) {
	kind := l.provider.host.Listing
	if first && kind.OwnerID != nil {
		id, err := l.ownerID(ctx)
		if err != nil {
			return providers.RepositoryPage{}, err
		}
		at.ID = id
	}
	for {
		path := strings.ReplaceAll(l.paths[at.Path], "{id}", at.ID)
		separator := "?"
		if strings.Contains(path, "?") {
			separator = "&"
		}
		answer, err := l.client.Get(ctx, l.base+path+separator+at.Query, l.header)
		if err != nil {
			return providers.RepositoryPage{}, err
		}
		if answer.Status == http.StatusNotFound && first && at.Path+1 < len(l.paths) {
			at.Path++
			continue
		}
		if answer.Status != http.StatusOK {
			return providers.RepositoryPage{}, l.refused(answer)
		}
		page, err := l.read(answer)
		if err != nil {
			return providers.RepositoryPage{}, err
		}
		if next := kind.Next(answer, at.Query); next != "" {
			at.Query = next
			text, err := json.Marshal(at)
			if err != nil || len(text) > maxCursor {
				return providers.RepositoryPage{}, l.puzzling()
			}
			page.Next = string(text)
		}
		if first && kind.Expiry != nil && l.stored != nil {
			page.CredentialExpiresAt = l.expiry(ctx)
		}
		return page, nil
	}
}

// ownerID asks for the number of the owner.
func (l listing) ownerID(ctx context.Context) (string, error) {
	answer, err := l.client.Get(ctx, l.base+l.provider.host.Listing.OwnerID(l.place.Owner), l.header)
	if err != nil {
		return "", err
	}
	if answer.Status != http.StatusOK {
		return "", l.refused(answer)
	}
	var owner struct {
		ID int64 `json:"id"`
	}
	if json.Unmarshal(answer.Body, &owner) != nil || owner.ID <= 0 {
		return "", l.puzzling()
	}
	return strconv.FormatInt(owner.ID, 10), nil
}

// expiry asks when the credential expires. A host that does not say, for whatever
// reason, does not fail the listing.
func (l listing) expiry(ctx context.Context) time.Time {
	kind := l.provider.host.Listing.Expiry
	answer, err := l.client.Get(ctx, l.base+kind.Path, l.header)
	if err != nil || answer.Status != http.StatusOK {
		return time.Time{}
	}
	return kind.Read(answer.Body)
}

// read reads a page. What leaves the owner is left out, and what cannot be named:
// a host's word goes through the same rules as a user's.
func (l listing) read(answer forge.Answer) (providers.RepositoryPage, error) {
	p := l.provider
	raw, err := p.host.Listing.Split(answer.Body)
	if err != nil {
		return providers.RepositoryPage{}, l.puzzling()
	}
	page := providers.RepositoryPage{Repositories: make([]providers.ListedRepository, 0, len(raw))}
	for _, one := range raw {
		repository, err := p.host.API.Read(one)
		if err != nil || repository.ID == "" {
			return providers.RepositoryPage{}, l.puzzling()
		}
		fork, err := p.host.Listing.Fork(one)
		if err != nil {
			return providers.RepositoryPage{}, l.puzzling()
		}
		owner, name := forge.SplitPath(repository.Path)
		place, err := p.host.Rules.Place(p.host.Manifest, l.config, providers.Locator{Host: l.place.Host, Owner: owner, Name: name})
		if err != nil || !forge.Below(place.Owner, l.place.Owner) {
			continue
		}
		page.Repositories = append(page.Repositories, providers.ListedRepository{Remote: p.remote(place, repository), Fork: fork})
	}
	return page, nil
}

// refused says why there is no listing, and what to do.
func (l listing) refused(answer forge.Answer) error {
	var secret providers.Secret
	if l.stored != nil {
		secret = l.stored.Secret
	}
	e := l.client.Error(answer, l.place.Owner, secret)
	switch e.Code {
	case providers.CodeNotFound:
		e.Message = l.place.Host + " has no owner " + l.place.Owner + ", or does not show it"
		if l.stored == nil {
			e.Message += " without a credential"
		} else {
			e.Message += " to this credential"
		}
	case providers.CodePermissionDenied, providers.CodeUnauthenticated:
		if needs := l.provider.host.Listing.Needs; needs != "" {
			e.Message += "; listing takes " + needs
		}
	}
	return e
}

func (l listing) puzzling() error {
	return providers.Errorf(providers.CodeUnavailable, "the API of %s gives an answer that is not understood", l.place.Host)
}

// SplitArray reads a page that is an array of repositories.
func SplitArray(body []byte) (list []json.RawMessage, err error) {
	err = json.Unmarshal(body, &list)
	return list, err
}

// SplitField reads a page that is an object with the repositories in a field.
func SplitField(name string) func(body []byte) ([]json.RawMessage, error) {
	return func(body []byte) ([]json.RawMessage, error) {
		var object map[string]json.RawMessage
		if err := json.Unmarshal(body, &object); err != nil {
			return nil, err
		}
		if object[name] == nil {
			return nil, errors.New("the list is missing")
		}
		return SplitArray(object[name])
	}
}

// CountedPage returns the query for the next page where pages have numbers and
// more reports whether there is another one.
func CountedPage(more func(forge.Answer) bool) func(a forge.Answer, query string) string {
	return func(a forge.Answer, query string) string {
		if !more(a) {
			return ""
		}
		values, err := url.ParseQuery(query)
		if err != nil {
			return ""
		}
		page, err := strconv.Atoi(values.Get("page"))
		if err != nil {
			return ""
		}
		values.Set("page", strconv.Itoa(page+1))
		return values.Encode()
	}
}
