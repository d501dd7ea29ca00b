package forgetest

import (
	"io/fs"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
)

func visibility(repo *forgeRepo) string {
	if repo.private {
		return "private"
	}
	return "public"
}

// branchOf returns the default branch of a repository.
func (f *Forge) branchOf(repo *forgeRepo) string {
	name, err := readHead(filepath.Join(f.root, repo.folder))
	if err != nil {
		return ""
	}
	return name
}

// kilobytes returns the size of a repository on disk.
func (f *Forge) kilobytes(repo *forgeRepo) int64 {
	var size int64
	_ = filepath.WalkDir(filepath.Join(f.root, repo.folder), func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil // a file that git has just moved is no reason to fail
		}
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() {
			size += info.Size()
		}
		return nil
	})
	return size / 1024
}

// visible finds the repository that an API request asks for, and answers if it
// cannot be shown: unauthorized for a wrong credential, else notFound.
func (f *Forge) visible(w http.ResponseWriter, r *http.Request, repo *forgeRepo, unauthorized, notFound any) (*token, bool) {
	t, given := f.lookup(r)
	if given && t == nil {
		writeJSON(w, http.StatusUnauthorized, unauthorized)
		return nil, false
	}
	if repo == nil || (repo.private && !t.sees(repo)) {
		writeJSON(w, http.StatusNotFound, notFound)
		return nil, false
	}
	return t, true
}

// apiRest returns the part of the escaped path below a prefix of the API.
func (f *Forge) apiRest(r *http.Request, prefix string) (string, bool) {
	rest, ok := strings.CutPrefix(r.URL.EscapedPath(), f.rules.apiPath+prefix)
	return rest, ok && r.Method == http.MethodGet
}

// moveAPI answers 301 for a renamed repository.
func (f *Forge) moveAPI(w http.ResponseWriter, path, base string, escape func(string) string) bool {
	f.mu.Lock()
	to, ok := f.moved[f.key(path)]
	_, taken := f.repos[f.key(path)]
	f.mu.Unlock()
	if !ok || taken || strings.Contains(to, "://") {
		return false
	}
	w.Header().Set("Location", f.APIURL()+base+escape(to))
	w.WriteHeader(http.StatusMovedPermanently)
	return true
}

// serveGitLabAPI serves GET /projects/:id, where the id is a number or the
// escaped path.
func (f *Forge) serveGitLabAPI(w http.ResponseWriter, r *http.Request) bool {
	escaped, ok := f.apiRest(r, "/projects/")
	if !ok {
		return f.serveGitLabListing(w, r)
	}
	id, err := url.PathUnescape(escaped)
	if err != nil || strings.Contains(escaped, "/") {
		return false
	}
	repo := f.findID(id)
	if repo == nil {
		repo = f.find(id)
	}
	if repo == nil && f.moveAPI(w, id, "/projects/", url.PathEscape) {
		return true
	}
	t, ok := f.visible(w, r, repo, object{"message": "401 Unauthorized"}, object{"message": "404 Project Not Found"})
	if !ok {
		return true
	}
	writeJSON(w, http.StatusOK, f.gitlabListed(repo, t))
	return true
}

// gitlabListed is a project as GitLab shows it to a token.
func (f *Forge) gitlabListed(repo *forgeRepo, t *token) object {
	body := object{
		"id":                  repo.id,
		"path":                repo.name(),
		"path_with_namespace": repo.path,
		"visibility":          visibility(repo),
		"web_url":             f.URL() + "/" + repo.path,
		"http_url_to_repo":    f.CloneURL(repo.path),
		"default_branch":      f.branchOf(repo),
		"archived":            repo.archived,
	}
	if t != nil {
		level := 40 // maintainer
		if t.ReadOnly || !t.sees(repo) {
			level = 20 // reporter
		}
		body["permissions"] = object{"project_access": object{"access_level": level}, "group_access": nil}
		body["statistics"] = object{"repository_size": f.kilobytes(repo) * 1024}
	}
	if repo.fork {
		body["forked_from_project"] = object{"id": 1, "path_with_namespace": "elsewhere/" + repo.name()}
	}
	return body
}

// serveGiteaAPI serves GET /repos/:owner/:name and /repositories/:id.
func (f *Forge) serveGiteaAPI(w http.ResponseWriter, r *http.Request) bool {
	if f.serveGiteaListing(w, r) {
		return true
	}
	var repo *forgeRepo
	if id, ok := f.apiRest(r, "/repositories/"); ok {
		if _, given := f.lookup(r); !given {
			// Unlike the question by path, this one is not for strangers.
			writeJSON(w, http.StatusUnauthorized, object{"message": "token is required", "url": f.URL() + "/api/swagger"})
			return true
		}
		repo = f.findID(id)
	} else if path, ok := f.apiRest(r, "/repos/"); ok && strings.Count(path, "/") == 1 {
		if repo = f.find(path); repo == nil && f.moveAPI(w, path, "/repos/", func(p string) string { return p }) {
			return true
		}
	} else {
		return false
	}
	notFound := object{"errors": nil, "message": "The target couldn't be found.", "url": f.URL() + "/api/swagger"}
	t, ok := f.visible(w, r, repo, object{"message": "invalid username, password or token", "url": f.URL() + "/api/swagger"}, notFound)
	if !ok {
		return true
	}
	writeJSON(w, http.StatusOK, f.giteaRepo(repo, t))
	return true
}

// giteaRepo is a repository as Gitea shows it to a token.
func (f *Forge) giteaRepo(repo *forgeRepo, t *token) object {
	push := t.sees(repo) && !t.ReadOnly
	return object{
		"id":             repo.id,
		"name":           repo.name(),
		"full_name":      repo.path,
		"owner":          object{"login": repo.owner()},
		"private":        repo.private,
		"html_url":       f.URL() + "/" + repo.path,
		"clone_url":      f.CloneURL(repo.path),
		"default_branch": f.branchOf(repo),
		"archived":       repo.archived,
		"fork":           repo.fork,
		"size":           f.kilobytes(repo),
		"permissions":    object{"admin": false, "push": push, "pull": true},
	}
}

// serveBitbucketAPI serves GET /repositories/:workspace/:name, where the name
// may be the UUID.
func (f *Forge) serveBitbucketAPI(w http.ResponseWriter, r *http.Request) bool {
	if f.serveBitbucketListing(w, r) {
		return true
	}
	escaped, ok := f.apiRest(r, "/repositories/")
	path, err := url.PathUnescape(escaped)
	if !ok || err != nil || strings.Count(path, "/") != 1 {
		return false
	}
	_, name, _ := strings.Cut(path, "/")
	repo := f.findID(name)
	if repo == nil {
		repo = f.find(path)
	}
	if repo == nil && f.moveAPI(w, path, "/repositories/", func(p string) string { return p }) {
		return true
	}
	failure := func(text string) any { return object{"type": "error", "error": object{"message": text}} }
	if _, ok := f.visible(w, r, repo, failure("Token is invalid, expired, or not supported for this endpoint."),
		failure("Repository "+path+" not found")); !ok {
		return true
	}
	writeJSON(w, http.StatusOK, f.bitbucketRepo(repo))
	return true
}

// bitbucketRepo is a repository as Bitbucket shows it.
func (f *Forge) bitbucketRepo(repo *forgeRepo) object {
	links := object{
		"html":  object{"href": f.URL() + "/" + repo.path},
		"clone": []object{{"name": "https", "href": f.CloneURL(repo.path)}},
	}
	body := object{
		"type":       "repository",
		"uuid":       f.stableID(repo),
		"name":       repo.name(),
		"full_name":  repo.path,
		"is_private": repo.private,
		"mainbranch": object{"type": "branch", "name": f.branchOf(repo)},
		"size":       f.kilobytes(repo) * 1024,
		"links":      links,
	}
	if repo.fork {
		body["parent"] = object{"type": "repository", "full_name": "elsewhere/" + repo.name()}
	}
	return body
}
