// Package setup makes a GitHub App by GitHub's manifest flow.
//
// Nobody can make an App by an API call alone: a person has to say yes on
// GitHub's website. The flow is: a page posts a manifest, which says what App is
// wanted, to GitHub; the person agrees there; GitHub sends the browser back with
// a code; and the code is exchanged, once and within an hour, for the App's id,
// private key and webhook secret.
//
// The page is served by a [Page] on this machine or, when the browser is on
// another one, carried there by hand as [Flow.DataURL].
package setup

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	api "github.com/google/go-github/v62/github"

	"github.com/headwater-git/headwater/plugins/internal/forge"
	"github.com/headwater-git/headwater/plugins/internal/github"
	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/sdk"
)

// Limits of GitHub.
const (
	MaxName      = 34 // characters of an App's name
	maxOwner     = 39 // characters of an organisation's name
	maxCode      = 200
	maxWordInURL = 100
)

// TimeLimit is how long a code is good for after the person agreed.
const TimeLimit = time.Hour

// Options say what App to make, and where.
type Options struct {
	// Host is github.com or a GitHub Enterprise server.
	Host providers.HostPolicy
	// Organization owns the App; "" is the account of the person.
	Organization string
	Name         string // of the App, unique at the host; the person can change it there
	HomeURL      string // that people find on the App's page
	WebhookURL   string // where GitHub delivers
	RedirectURL  string // where GitHub sends the browser when the App is made
}

// App is an App that was made.
type App struct {
	ID            int64
	Slug          string
	Name          string
	Owner         string
	PageURL       string           // of the App at the host, "" if it does not tell
	PrivateKey    providers.Secret // PEM
	WebhookSecret providers.Secret
}

// InstallURL returns the page where the App is installed on an owner, "" if the
// App has no page.
func (a App) InstallURL() string {
	if a.PageURL == "" {
		return ""
	}
	return a.PageURL + "/installations/new"
}

// Flow is the making of one App.
type Flow struct {
	options Options
	state   string
	place   forge.Place
	http    *http.Client
	client  *api.Client
}

// New begins a flow. Errors: [providers.CodeInvalidArgument], naming what is
// wrong, and [providers.CodeInvalidConfig] about the host's api_url.
func New(o Options) (*Flow, error) {
	bad := func(format string, args ...any) (*Flow, error) {
		return nil, providers.Errorf(providers.CodeInvalidArgument, format, args...)
	}
	letters := func(r rune) bool {
		return r != '-' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9')
	}
	switch {
	case strings.TrimSpace(o.Name) == "" || len([]rune(o.Name)) > MaxName:
		return bad("the name of a GitHub App has 1 to %d characters", MaxName)
	case len(o.Organization) > maxOwner || strings.ContainsFunc(o.Organization, letters):
		return bad("%q is not the name of an organisation at GitHub", o.Organization)
	}
	for what, address := range map[string]string{"home": o.HomeURL, "webhook": o.WebhookURL, "redirect": o.RedirectURL} {
		u, err := url.Parse(address)
		if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
			return bad("the %s URL is not an absolute http or https URL", what)
		}
	}
	place := forge.Place{Policy: o.Host, Host: o.Host.Host}
	httpClient := sdk.HTTPClient(o.Host)
	client, err := github.Client(httpClient, place)
	if err != nil {
		return nil, err
	}
	return &Flow{options: o, state: rand.Text(), place: place, http: httpClient, client: client}, nil
}

// Close closes the connections to the host.
func (f *Flow) Close() { f.http.CloseIdleConnections() }

// manifest is GitHub's description of an App that is to be made.
type manifest struct {
	Name               string            `json:"name"`
	URL                string            `json:"url"`
	HookAttributes     hookAttributes    `json:"hook_attributes"`
	RedirectURL        string            `json:"redirect_url"`
	Description        string            `json:"description"`
	Public             bool              `json:"public"`
	DefaultPermissions map[string]string `json:"default_permissions"`
	DefaultEvents      []string          `json:"default_events"`
}

type hookAttributes struct {
	URL    string `json:"url"`
	Active bool   `json:"active"`
}

// manifest returns the manifest. The two events about installations are not in
// it: every App gets them, and GitHub refuses a manifest that asks for them.
func (f *Flow) manifest() manifest {
	return manifest{
		Name:           f.options.Name,
		URL:            f.options.HomeURL,
		HookAttributes: hookAttributes{URL: f.options.WebhookURL, Active: true},
		RedirectURL:    f.options.RedirectURL,
		Description:    "Mirrors repositories to a Headwater server and pushes through it.",
		DefaultPermissions: map[string]string{
			"contents":  "write",
			"metadata":  "read",
			"workflows": "write", // or pushes that touch .github/workflows are refused
		},
		DefaultEvents: github.WebhookEvents(),
	}
}

// formURL returns the page of GitHub that takes the manifest.
func (f *Flow) formURL() string {
	path := "/settings/apps/new"
	if f.options.Organization != "" {
		path = "/organizations/" + url.PathEscape(f.options.Organization) + path
	}
	return f.options.Host.Scheme + "://" + f.options.Host.Host + path + "?" + url.Values{"state": {f.state}}.Encode()
}

// HTML returns the page that says what App is going to be made and posts the
// manifest to GitHub. It needs nothing but itself.
func (f *Flow) HTML() ([]byte, error) {
	m := f.manifest()
	text, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = startPage.Execute(&out, map[string]any{
		"Action": f.formURL(), "Host": f.options.Host.Host, "Manifest": string(text), "App": m, "Owner": f.options.Organization,
	})
	return out.Bytes(), err
}

// DataURL returns the page as a URL that holds all of it, for the address bar
// of a browser on another machine.
func (f *Flow) DataURL() (string, error) {
	page, err := f.HTML()
	if err != nil {
		return "", err
	}
	return "data:text/html;charset=utf-8;base64," + base64.StdEncoding.EncodeToString(page), nil
}

// Code returns the code from the parameters that GitHub added to the redirect
// URL. Errors: [providers.CodePermissionDenied] if the state is not that of this
// flow, so that nobody can slip in an App of theirs;
// [providers.CodeInvalidArgument] if there is no code.
func (f *Flow) Code(query url.Values) (string, error) {
	if subtle.ConstantTimeCompare([]byte(query.Get("state")), []byte(f.state)) != 1 {
		return "", providers.Errorf(providers.CodePermissionDenied,
			"this is not the answer to the page that was opened last: its state does not fit; open that page again")
	}
	return checkCode(query.Get("code"))
}

// Pasted returns the code from what a person copied out of the address bar
// after GitHub had sent the browser on: the whole address, or the code alone,
// which has no state to check. Its errors are those of [Flow.Code].
func (f *Flow) Pasted(text string) (string, error) {
	text = strings.TrimSpace(text)
	if !strings.Contains(text, "?") {
		return checkCode(text)
	}
	u, err := url.Parse(text)
	if err != nil {
		return "", providers.Errorf(providers.CodeInvalidArgument, "that is not the address of a page")
	}
	return f.Code(u.Query())
}

// checkCode refuses what cannot be a code: it becomes part of a URL.
func checkCode(code string) (string, error) {
	strange := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
	}
	if code == "" || len(code) > maxCode || strings.ContainsFunc(code, strange) {
		return "", providers.Errorf(providers.CodeInvalidArgument, "there is no code of GitHub in it")
	}
	return code, nil
}

// Convert exchanges a code for the App. Errors: [providers.CodeNotFound] when
// the code has been used or is too old; after [providers.CodeUnavailable] and
// [providers.CodeRateLimited] it can be tried again.
func (f *Flow) Convert(ctx context.Context, code string) (App, error) {
	begin := time.Now()
	made, response, err := f.client.Apps.CompleteAppManifest(ctx, code)
	if err != nil {
		err = github.Error(ctx, f.place, github.Answer(response, begin), err, providers.Secret(code))
		if c := providers.CodeOf(err); c == providers.CodeNotFound || c == providers.CodeInvalidArgument {
			return App{}, providers.Errorf(providers.CodeNotFound,
				"%s does not take the code: it works once, within an hour; if there is an unused App at %s now, delete it there and begin again",
				f.place.Host, f.place.Host)
		}
		return App{}, err
	}
	if made.GetID() <= 0 || made.GetPEM() == "" {
		return App{}, providers.Errorf(providers.CodeNotFound,
			"%s made the App and does not tell its private key: make one on the App's settings page", f.place.Host)
	}
	app := App{
		ID:            made.GetID(),
		Slug:          word(made.GetSlug()),
		Name:          made.GetName(),
		Owner:         word(made.GetOwner().GetLogin()),
		PrivateKey:    providers.Secret(made.GetPEM()),
		WebhookSecret: providers.Secret(made.GetWebhookSecret()),
	}
	// The address is shown as a link, so it must lead where the App was made.
	base := f.options.Host.Scheme + "://" + f.options.Host.Host + "/"
	if u, err := url.Parse(made.GetHTMLURL()); err == nil && strings.HasPrefix(strings.ToLower(u.String()), strings.ToLower(base)) {
		app.PageURL = strings.TrimSuffix(u.String(), "/")
	}
	return app, nil
}

// word returns a name that a host sent if it is a plain word, else "".
func word(s string) string {
	strange := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
	}
	if len(s) > maxWordInURL || strings.ContainsFunc(s, strange) {
		return ""
	}
	return s
}
