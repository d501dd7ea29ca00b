package forgetest

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// manifestLife is how long the code of a converted manifest is good for.
const manifestLife = time.Hour

// AppManifest is what GitHub reads of the manifest of an App.
type AppManifest struct {
	Name           string `json:"name"`
	URL            string `json:"url"`
	HookAttributes struct {
		URL    string `json:"url"`
		Active *bool  `json:"active"`
	} `json:"hook_attributes"`
	RedirectURL        string            `json:"redirect_url"`
	Description        string            `json:"description"`
	Public             bool              `json:"public"`
	DefaultPermissions map[string]string `json:"default_permissions"`
	DefaultEvents      []string          `json:"default_events"`
}

// appManifests are the manifests that were posted to a forge and not yet
// turned into an App.
type appManifests struct {
	mu      sync.Mutex
	pending map[string]pendingManifest // by code
	created []CreatedApp
}

type pendingManifest struct {
	manifest AppManifest
	owner    string // "" for the account of the person
	ends     time.Time
}

// CreatedApp is an App that a forge has made of a manifest. Its id and key are
// those of the forge's one App.
type CreatedApp struct {
	Manifest      AppManifest
	Owner         string // the organisation, or [User]
	WebhookSecret string
}

// CreatedApps returns the Apps that were made of manifests, oldest first.
func (f *Forge) CreatedApps() []CreatedApp {
	f.manifests.mu.Lock()
	defer f.manifests.mu.Unlock()
	return slices.Clone(f.manifests.created)
}

// isManifestPath reports whether a path is of GitHub's flow that makes an App
// of a manifest: two pages of its website and one route of its API.
func isManifestPath(path string) bool {
	return path == "/settings/apps/new" || strings.HasPrefix(path, "/app-manifests/") ||
		strings.HasPrefix(path, "/organizations/") && strings.HasSuffix(path, "/settings/apps/new")
}

// serveGitHubManifest serves the flow that makes an App of a manifest.
func (f *Forge) serveGitHubManifest(w http.ResponseWriter, r *http.Request, parts []string) bool {
	path := strings.Join(parts, "/")
	switch {
	case f.app == nil || r.Method != http.MethodPost:
		return false
	case path == "settings/apps/new":
		f.postManifest(w, r, "")
	case len(parts) == 5 && parts[0] == "organizations" && strings.HasSuffix(path, "/settings/apps/new"):
		f.postManifest(w, r, parts[1])
	case len(parts) == 3 && parts[0] == "app-manifests" && parts[2] == "conversions":
		f.convertManifest(w, parts[1])
	default:
		return false
	}
	return true
}

// postManifest is GitHub's page that asks a person whether to create the App.
// Here the person says yes at once, and the browser is sent on.
func (f *Forge) postManifest(w http.ResponseWriter, r *http.Request, owner string) {
	var manifest AppManifest
	refuse := func(text string) {
		f.refuse(w, answer{http.StatusUnprocessableEntity, "Invalid GitHub App configuration: " + text})
	}
	if err := json.Unmarshal([]byte(r.PostFormValue("manifest")), &manifest); err != nil {
		refuse("the manifest is not JSON")
		return
	}
	back, err := url.Parse(manifest.RedirectURL)
	switch {
	case manifest.Name == "" || len(manifest.Name) > 34:
		refuse("name is too long (maximum is 34 characters) or empty")
		return
	case manifest.URL == "":
		refuse("url wasn't supplied")
		return
	case err != nil || back.Host == "":
		refuse("redirect_url is not a URL")
		return
	}
	hook, err := url.Parse(manifest.HookAttributes.URL)
	if err != nil || hook.Host == "" {
		refuse("hook_attributes.url is not a URL")
		return
	}
	// GitHub subscribes Apps to these by itself and refuses a manifest that lists them.
	for _, event := range []string{"installation", "installation_repositories"} {
		if slices.Contains(manifest.DefaultEvents, event) {
			refuse("default_events unsupported: " + event)
			return
		}
	}
	for name, level := range manifest.DefaultPermissions {
		if level != "read" && level != "write" {
			refuse("default_permissions unsupported: " + name)
			return
		}
	}
	code := rand.Text()
	f.manifests.mu.Lock()
	f.manifests.pending[code] = pendingManifest{manifest: manifest, owner: owner, ends: time.Now().Add(manifestLife)}
	f.manifests.mu.Unlock()
	query := back.Query()
	query.Set("code", code)
	if state := r.URL.Query().Get("state"); state != "" {
		query.Set("state", state)
	}
	back.RawQuery = query.Encode()
	http.Redirect(w, r, back.String(), http.StatusFound)
}

// convertManifest hands out the App of a code, once.
func (f *Forge) convertManifest(w http.ResponseWriter, code string) {
	f.manifests.mu.Lock()
	defer f.manifests.mu.Unlock()
	pending, ok := f.manifests.pending[code]
	delete(f.manifests.pending, code)
	if !ok || time.Now().After(pending.ends) {
		githubError(w, http.StatusNotFound, "Not Found")
		return
	}
	owner, kind := pending.owner, "Organization"
	if owner == "" {
		owner, kind = User, "User"
	}
	secret := rand.Text()
	f.manifests.created = append(f.manifests.created, CreatedApp{Manifest: pending.manifest, Owner: owner, WebhookSecret: secret})
	slug := strings.ToLower(strings.ReplaceAll(pending.manifest.Name, " ", "-"))
	writeJSON(w, http.StatusCreated, object{
		"id":             AppID,
		"slug":           slug,
		"node_id":        "A_" + strconv.Itoa(AppID),
		"owner":          object{"login": owner, "type": kind},
		"name":           pending.manifest.Name,
		"external_url":   pending.manifest.URL,
		"html_url":       f.URL() + "/apps/" + slug,
		"permissions":    pending.manifest.DefaultPermissions,
		"events":         pending.manifest.DefaultEvents,
		"client_id":      "Iv1.8a61f9b3a7aba766",
		"client_secret":  rand.Text(),
		"webhook_secret": secret,
		"pem":            string(f.AppKey()),
	})
}
