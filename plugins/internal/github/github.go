// Package github is what the two plugins for GitHub share.
package github

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-github/v62/github"

	"github.com/headwater-git/headwater/plugins/internal/forge"
	"github.com/headwater-git/headwater/providers"
)

// DefaultHost is where repositories are when no host is named.
const DefaultHost = "github.com"

// Rules returns how GitHub names repositories. Hosts besides github.com are
// GitHub Enterprise servers, which the operator names in host blocks.
func Rules() forge.Rules { return forge.Rules{Product: "GitHub", KnownHosts: true} }

// Manifest completes the manifest of a GitHub plugin.
func Manifest(m providers.Manifest) providers.Manifest {
	m.Version = forge.Version
	m.ContractVersion = providers.ContractVersion
	m.WireNames = []string{"github"}
	m.DefaultHost = DefaultHost
	m.Capabilities.AnonymousFetch = true
	m.Capabilities.StableIDs = true
	m.Capabilities.Listing = true
	m.Capabilities.Webhooks = true
	m.WebhookHeaders = []string{
		"Content-Type",
		"X-Github-Event", "X-Github-Delivery", "X-Hub-Signature-256",
		"X-Github-Hook-Id", "X-Github-Hook-Installation-Target-Id", "X-Github-Hook-Installation-Target-Type",
	}
	m.ExcludedRefPrefixes = []string{"refs/pull/"}
	return m
}

// Client returns the API client for the host of a place.
// Errors: [providers.CodeInvalidConfig] if the host's api_url is malformed.
func Client(c *http.Client, p forge.Place) (*github.Client, error) {
	base := p.Policy.APIURL
	switch {
	case base != "":
	case p.Host == DefaultHost:
		base = "https://api.github.com"
	default:
		base = p.Policy.Scheme + "://" + p.Host + "/api/v3"
	}
	u, err := url.Parse(strings.TrimRight(base, "/") + "/") // go-github wants the slash
	if err != nil || u.Host == "" || u.User != nil {
		return nil, providers.Errorf(providers.CodeInvalidConfig, "the api_url of host %s is malformed", p.Host)
	}
	client := github.NewClient(c)
	client.BaseURL = u
	client.UserAgent = "headwater"
	return client, nil
}

// ParseID reads the stable id of a repository, 0 for none.
// Errors: [providers.CodeInvalidArgument].
func ParseID(id string) (int64, error) {
	if id == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil || n <= 0 {
		return 0, providers.Errorf(providers.CodeInvalidArgument, "a repository id of GitHub is a number")
	}
	return n, nil
}

// Repository asks for a repository by its id if there is one, else by path.
// Its errors are those of [Error].
func Repository(ctx context.Context, c *github.Client, p forge.Place, id int64, secrets ...providers.Secret) (*github.Repository, forge.Answer, error) {
	var repository *github.Repository
	var response *github.Response
	var err error
	begin := time.Now()
	if id != 0 {
		repository, response, err = c.Repositories.GetByID(ctx, id)
	} else {
		repository, response, err = c.Repositories.Get(ctx, p.Owner, p.Name)
	}
	answer := Answer(response, begin)
	if err != nil {
		return nil, answer, Error(ctx, p, answer, err, secrets...)
	}
	return repository, answer, nil
}

// Answer returns what the host said to a call that began at a time; its body
// has been read.
func Answer(r *github.Response, begin time.Time) forge.Answer {
	answer := forge.Answer{At: time.Now(), Latency: time.Since(begin)}
	if r != nil && r.Response != nil {
		answer.Status, answer.Header = r.StatusCode, r.Header
	}
	return answer
}

// Error turns an error of go-github into one of the contract.
func Error(ctx context.Context, p forge.Place, a forge.Answer, err error, secrets ...providers.Secret) error {
	client := forge.Client{Host: p.Host}
	var limit *github.RateLimitError
	var abuse *github.AbuseRateLimitError
	var response *github.ErrorResponse
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &limit):
		return limited(p, a, time.Until(limit.Rate.Reset.Time))
	case errors.As(err, &abuse):
		return limited(p, a, max(abuse.GetRetryAfter(), quiet))
	case errors.As(err, &response) && response.Response != nil:
		a.Status, a.Header, a.Body = response.Response.StatusCode, response.Response.Header, []byte(response.Message)
		if forge.Limited(a) {
			return limited(p, a, quiet)
		}
		return client.Error(a, p.Path(), secrets...)
	case a.Status != 0:
		// It answered 200 with something that is not the API's JSON.
		return providers.Errorf(providers.CodeUnavailable, "the API of %s gives an answer that is not understood; check its api_url", p.Host)
	}
	return client.NetworkError(ctx, err)
}

// quiet is how long GitHub wants to be left alone when it limits requests and
// does not say for how long.
const quiet = time.Minute

// limited makes the error for too many requests. How long to wait is what the
// answer's headers say, counted by the host's clock, and otherwise after.
func limited(p forge.Place, a forge.Answer, after time.Duration) error {
	now := a.At
	if date, err := http.ParseTime(a.Header.Get("Date")); err == nil {
		now = date
	}
	if said := forge.RetryAfter(a.Header, now); said > 0 {
		after = said
	}
	status := a.Status
	if status == 0 {
		status = http.StatusForbidden // go-github remembers the limit and did not ask
	}
	return &providers.Error{
		Code:       providers.CodeRateLimited,
		Message:    p.Host + " limits requests at the moment",
		RetryAfter: max(after, 0).Round(time.Second),
		HTTPStatus: status,
	}
}

// Remote returns the remote of a place, without what only the host knows.
func Remote(p forge.Place, id string, push bool) providers.Remote {
	return providers.Remote{
		URL: p.CloneURL(), WebURL: p.WebURL(), Host: p.Host, Path: p.Path(), UpstreamID: id, PushSupported: push,
	}
}

// Known returns the remote of a repository that the host has described.
// Errors: [providers.CodeUnavailable] if its path cannot be used.
func Known(m providers.Manifest, c providers.Config, p forge.Place, r *github.Repository, push bool) (providers.Remote, error) {
	owner, name := forge.SplitPath(r.GetFullName())
	// A host's word goes through the same rules as a user's.
	there, err := Rules().Place(m, c, providers.Locator{Host: p.Host, Owner: owner, Name: name})
	if err != nil {
		return providers.Remote{}, providers.Errorf(providers.CodeUnavailable, "%s tells a path that cannot be used: %v", p.Host, err)
	}
	remote := Remote(there, strconv.FormatInt(r.GetID(), 10), push && !r.GetArchived())
	remote.DefaultBranch = r.GetDefaultBranch()
	remote.Archived = r.GetArchived()
	remote.SizeHint = int64(r.GetSize()) * 1024
	remote.Visibility = "public"
	if r.GetPrivate() || r.GetVisibility() == "internal" {
		remote.Visibility = "private"
	}
	return remote, nil
}
