package forgetest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// object is a JSON object.
type object = map[string]any

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client has gone, or the value is ours
}

// isAPI reports whether a path belongs to the host's API.
func (f *Forge) isAPI(path string) bool {
	if f.rules.api == nil {
		return false
	}
	if strings.HasPrefix(path, f.rules.apiPath+"/") {
		return true
	}
	if f.rules.apiPath != "/api/v3" {
		return false
	}
	// api.github.com has no prefix.
	for _, root := range []string{"/app/", "/repos/", "/repositories/", "/orgs/", "/users/", "/installation/"} {
		if strings.HasPrefix(path, root) {
			return true
		}
	}
	return path == "/app" || path == "/rate_limit" || isManifestPath(path)
}

// serveGitHubAPI serves GitHub's REST API, at the root and under /api/v3. It
// reports whether there is such a route.
func (f *Forge) serveGitHubAPI(w http.ResponseWriter, r *http.Request) bool {
	parts := strings.Split(strings.Trim(strings.TrimPrefix(r.URL.Path, f.rules.apiPath), "/"), "/")
	get, post := r.Method == http.MethodGet, r.Method == http.MethodPost
	switch {
	case get && len(parts) == 1 && parts[0] == "app":
		if f.appOnly(w, r) {
			writeJSON(w, http.StatusOK, object{"id": AppID, "slug": "headwater-test", "name": "Headwater Test", "html_url": f.URL() + "/apps/headwater-test"})
		}
	case get && len(parts) == 1 && parts[0] == "rate_limit":
		core := object{"limit": 5000, "remaining": 4987, "reset": time.Now().Add(time.Hour).Unix()}
		writeJSON(w, http.StatusOK, object{"resources": object{"core": core}, "rate": core})
	case len(parts) >= 3 && parts[0] == "app" && parts[1] == "hook" && parts[2] == "deliveries":
		return f.githubDeliveries(w, r, parts[3:])
	case get && len(parts) == 3 && parts[0] == "app" && parts[1] == "installations":
		f.githubInstallation(w, r, func(i *installation) bool { return strconv.FormatInt(i.id, 10) == parts[2] })
	case post && len(parts) == 4 && parts[0] == "app" && parts[1] == "installations" && parts[3] == "access_tokens":
		f.githubAccessToken(w, r, parts[2])
	case get && len(parts) == 4 && parts[0] == "repos" && parts[3] == "installation":
		f.githubRepoInstallation(w, r, parts[1]+"/"+parts[2])
	case get && len(parts) == 3 && parts[0] == "repos":
		f.githubRepo(w, r, parts[1]+"/"+parts[2])
	case get && len(parts) == 3 && parts[0] == "repositories" && parts[2] == "installation":
		f.installationOf(w, r, f.findID(parts[1]))
	case get && len(parts) == 2 && parts[0] == "repositories":
		f.githubRepoByID(w, r, parts[1])
	case get && len(parts) == 3 && (parts[0] == "orgs" || parts[0] == "users") && parts[2] == "installation":
		f.githubInstallation(w, r, func(i *installation) bool { return strings.EqualFold(i.owner, parts[1]) })
	case get && len(parts) == 3 && parts[0] == "users" && parts[2] == "repos":
		f.githubListing(w, r, parts[1])
	case get && len(parts) == 2 && parts[0] == "installation" && parts[1] == "repositories":
		f.githubListing(w, r, "")
	default:
		return f.serveGitHubManifest(w, r, parts)
	}
	return true
}

func githubError(w http.ResponseWriter, status int, message string) {
	writeJSON(w, status, object{
		"message":           message,
		"documentation_url": "https://docs.github.com/rest",
		"status":            strconv.Itoa(status),
	})
}

// appOnly lets requests with a good App JWT pass and answers others.
func (f *Forge) appOnly(w http.ResponseWriter, r *http.Request) bool {
	if f.app == nil {
		githubError(w, http.StatusNotFound, "Not Found")
		return false
	}
	if fault := f.app.verify(r, f.clock()); fault != "" {
		githubError(w, http.StatusUnauthorized, fault)
		return false
	}
	return true
}

func (f *Forge) githubInstallation(w http.ResponseWriter, r *http.Request, match func(*installation) bool) {
	if !f.appOnly(w, r) {
		return
	}
	i, ok := f.app.find(match)
	if !ok {
		githubError(w, http.StatusNotFound, "Not Found")
		return
	}
	selection := "all"
	if i.selected != nil {
		selection = "selected"
	}
	body := object{
		"id":                   i.id,
		"app_id":               AppID,
		"account":              object{"login": i.owner, "type": "Organization"},
		"target_type":          "Organization",
		"html_url":             f.URL() + "/organizations/" + i.owner + "/settings/installations/" + strconv.FormatInt(i.id, 10),
		"repository_selection": selection,
		"permissions":          i.permissions(),
		"suspended_at":         nil,
	}
	if !i.suspended.IsZero() {
		body["suspended_at"] = i.suspended.UTC().Format(time.RFC3339)
	}
	writeJSON(w, http.StatusOK, body)
}

func (i installation) permissions() map[string]string {
	contents := "write"
	if i.readOnly {
		contents = "read"
	}
	return map[string]string{"contents": contents, "metadata": "read", "workflows": contents}
}

func (f *Forge) githubRepoInstallation(w http.ResponseWriter, r *http.Request, path string) {
	repo := f.find(path)
	if repo == nil && f.githubMoved(w, path, "/installation") {
		return
	}
	f.installationOf(w, r, repo)
}

// installationOf answers with the installation that covers a repository, which
// may be nil.
func (f *Forge) installationOf(w http.ResponseWriter, r *http.Request, repo *forgeRepo) {
	f.githubInstallation(w, r, func(i *installation) bool {
		return i.covers(repo)
	})
}

// githubAccessToken mints an installation token.
func (f *Forge) githubAccessToken(w http.ResponseWriter, r *http.Request, id string) {
	if !f.appOnly(w, r) {
		return
	}
	i, ok := f.app.find(func(i *installation) bool { return strconv.FormatInt(i.id, 10) == id })
	if !ok {
		githubError(w, http.StatusNotFound, "Not Found")
		return
	}
	if !i.suspended.IsZero() {
		githubError(w, http.StatusForbidden, "This installation has been suspended")
		return
	}
	var ask struct {
		Repositories  []string          `json:"repositories"`
		RepositoryIDs []int64           `json:"repository_ids"`
		Permissions   map[string]string `json:"permissions"`
	}
	if r.ContentLength != 0 {
		if err := json.NewDecoder(r.Body).Decode(&ask); err != nil {
			githubError(w, http.StatusBadRequest, "Problems parsing JSON")
			return
		}
	}
	granted := i.permissions()
	for name, want := range ask.Permissions {
		if have := granted[name]; have == "" || (want == "write" && have == "read") {
			githubError(w, http.StatusUnprocessableEntity, "The permissions requested are not granted to this installation.")
			return
		}
	}
	if ask.Permissions != nil {
		granted = ask.Permissions
	}
	repos, ok := f.granted(i, ask.Repositories, ask.RepositoryIDs)
	if !ok {
		githubError(w, http.StatusUnprocessableEntity,
			"There is at least one repository that does not exist or is not accessible to the parent installation.")
		return
	}
	t := &token{
		TokenOptions: TokenOptions{ReadOnly: granted["contents"] != "write", Life: f.options.TokenLife, Repos: repos},
		installation: i.id,
	}
	secret := f.mint(installationTokenPrefix, t)
	writeJSON(w, http.StatusCreated, object{
		"token":       secret,
		"expires_at":  t.expires.UTC().Format(time.RFC3339),
		"permissions": granted,
	})
}

// granted returns the paths of the repositories that a token is asked for:
// all of the owner's when none is named.
func (f *Forge) granted(i installation, names []string, ids []int64) ([]string, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	paths := []string{}
	for _, repo := range f.repos {
		if !i.covers(repo) {
			continue
		}
		named := slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, repo.name()) })
		if len(names)+len(ids) == 0 || named || slices.Contains(ids, repo.id) {
			paths = append(paths, repo.path)
		}
	}
	return paths, len(names)+len(ids) == 0 || len(paths) == len(names)+len(ids)
}

func (f *Forge) githubRepo(w http.ResponseWriter, r *http.Request, path string) {
	repo := f.find(path)
	if repo == nil && f.githubMoved(w, path, "") {
		return
	}
	f.writeGitHubRepo(w, r, repo)
}

func (f *Forge) githubRepoByID(w http.ResponseWriter, r *http.Request, id string) {
	f.writeGitHubRepo(w, r, f.findID(id))
}

// githubMoved answers for a renamed repository: GitHub redirects to the id.
func (f *Forge) githubMoved(w http.ResponseWriter, path, rest string) bool {
	f.mu.Lock()
	to, ok := f.moved[f.key(path)]
	repo := f.repos[f.key(to)]
	f.mu.Unlock()
	if !ok || repo == nil {
		return false
	}
	url := f.APIURL() + "/repositories/" + strconv.FormatInt(repo.id, 10) + rest
	w.Header().Set("Location", url)
	writeJSON(w, http.StatusMovedPermanently, object{"message": "Moved Permanently", "url": url})
	return true
}

func (f *Forge) writeGitHubRepo(w http.ResponseWriter, r *http.Request, repo *forgeRepo) {
	t, given := f.lookup(r)
	if given && t == nil {
		githubError(w, http.StatusUnauthorized, "Bad credentials")
		return
	}
	if repo == nil || (repo.private && !t.sees(repo)) {
		githubError(w, http.StatusNotFound, "Not Found")
		return
	}
	writeJSON(w, http.StatusOK, f.githubRepoBody(repo, t))
}

// githubRepoBody is a repository as GitHub shows it to a token.
func (f *Forge) githubRepoBody(repo *forgeRepo, t *token) object {
	return object{
		"id":             repo.id,
		"name":           repo.name(),
		"full_name":      repo.path,
		"private":        repo.private,
		"visibility":     visibility(repo),
		"owner":          object{"login": repo.owner()},
		"html_url":       f.URL() + "/" + repo.path,
		"clone_url":      f.CloneURL(repo.path),
		"default_branch": f.branchOf(repo),
		"archived":       repo.archived,
		"size":           f.kilobytes(repo),
		"permissions":    object{"pull": true, "push": t.sees(repo) && !t.ReadOnly},
		"fork":           repo.fork,
	}
}
