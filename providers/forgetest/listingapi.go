package forgetest

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// owned returns the repositories of an owner that a request may see, oldest first;
// with below, those of groups below it, too. Ok is false if there is no such owner,
// or none that the request may know of.
func (f *Forge) owned(t *token, owner string, below bool) (list []*forgeRepo, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, repo := range f.repos {
		of, top := f.key(repo.owner()), f.key(owner)
		if of != top && !(below && strings.HasPrefix(of, top+"/")) {
			continue
		}
		if !repo.private || t.sees(repo) {
			snapshot := *repo
			list, ok = append(list, &snapshot), true
		}
	}
	slices.SortFunc(list, func(a, b *forgeRepo) int { return int(a.id - b.id) })
	return list, ok || f.owners[f.key(owner)]
}

// AddOwner makes an organisation that has no repositories.
func (f *Forge) AddOwner(owner string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.owners[f.key(owner)] = true
}

// SetFork says of a repository whether it was made from another one.
func (f *Forge) SetFork(path string, fork bool) error {
	_, err := f.change(path, func(r *forgeRepo) { r.fork = fork })
	return err
}

// ownerID is the number of an owner: made of its name, since owners are no records
// here.
func (f *Forge) ownerID(owner string) int64 {
	id := int64(7)
	for _, c := range []byte(f.key(owner)) {
		id = (id*31 + int64(c)) % 1_000_003
	}
	return id + 1
}

// pageOf cuts a page out of a list and describes it.
func pageOf(query url.Values, sizeParam string, size, most int, list []*forgeRepo) ([]*forgeRepo, hookPage) {
	p := hookPage{number: 1, size: size, total: len(list)}
	if n, err := strconv.Atoi(query.Get("page")); err == nil && n > 0 {
		p.number = n
	}
	if n, err := strconv.Atoi(query.Get(sizeParam)); err == nil && n > 0 {
		p.size = min(n, most)
	}
	p.last = max(1, (p.total+p.size-1)/p.size)
	from := min(len(list), (p.number-1)*p.size)
	return list[from:min(len(list), from+p.size)], p
}

// LimitPages makes pages of listings hold at most so many repositories, for tests
// of paging that need no hundreds of them; 0 is what the host gives.
func (f *Forge) LimitPages(most int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pageMost = most
}

func (f *Forge) most(host int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.pageMost > 0 {
		return min(f.pageMost, host)
	}
	return host
}

// serveGitLabListing serves GET /groups/:id/projects, /users/:id/projects and
// /personal_access_tokens/self.
func (f *Forge) serveGitLabListing(w http.ResponseWriter, r *http.Request) bool {
	unauthorized := object{"message": "401 Unauthorized"}
	t, given := f.lookup(r)
	if _, ok := f.apiRest(r, "/personal_access_tokens/self"); ok {
		if t == nil {
			writeJSON(w, http.StatusUnauthorized, unauthorized)
			return true
		}
		body := object{"id": 1, "name": "headwater", "revoked": false, "active": true, "scopes": []string{"api"}, "expires_at": nil}
		if !t.expires.IsZero() {
			body["expires_at"] = t.expires.UTC().Format("2006-01-02")
		}
		writeJSON(w, http.StatusOK, body)
		return true
	}
	for _, kind := range []string{"groups", "users"} {
		rest, ok := f.apiRest(r, "/"+kind+"/")
		escaped, isList := strings.CutSuffix(rest, "/projects")
		owner, err := url.PathUnescape(escaped)
		if !ok || !isList || err != nil || strings.Contains(escaped, "/") {
			continue
		}
		if given && t == nil {
			writeJSON(w, http.StatusUnauthorized, unauthorized)
			return true
		}
		query := r.URL.Query()
		list, found := f.owned(t, owner, query.Get("include_subgroups") == "true")
		// User is the one account; every other owner is a group.
		if user := f.key(owner) == f.key(User); !found || user != (kind == "users") {
			what := map[string]string{"groups": "Group", "users": "User"}[kind]
			writeJSON(w, http.StatusNotFound, object{"message": "404 " + what + " Not Found"})
			return true
		}
		if query.Get("sort") != "asc" {
			slices.Reverse(list)
		}
		list, p := pageOf(query, "per_page", 20, f.most(100), list)
		items := []object{}
		for _, repo := range list {
			items = append(items, f.gitlabListed(repo, t))
		}
		next := ""
		if p.number < p.last {
			next = strconv.Itoa(p.number + 1)
		}
		w.Header().Set("X-Next-Page", next)
		w.Header().Set("X-Page", strconv.Itoa(p.number))
		w.Header().Set("X-Per-Page", strconv.Itoa(p.size))
		w.Header().Set("X-Total", strconv.Itoa(p.total))
		f.linkNext(w, r, p)
		writeJSON(w, http.StatusOK, items)
		return true
	}
	return false
}

// serveGiteaListing serves GET /users/:name and /repos/search.
func (f *Forge) serveGiteaListing(w http.ResponseWriter, r *http.Request) bool {
	name, isUser := f.apiRest(r, "/users/")
	_, isSearch := f.apiRest(r, "/repos/search")
	if !isSearch && (!isUser || strings.Contains(name, "/")) {
		return false
	}
	swagger := f.URL() + "/api/swagger"
	t, given := f.lookup(r)
	if given && t == nil {
		writeJSON(w, http.StatusUnauthorized, object{"message": "invalid username, password or token", "url": swagger})
		return true
	}
	if isUser {
		owner, err := url.PathUnescape(name)
		if _, ok := f.owned(t, owner, false); err != nil || !ok {
			writeJSON(w, http.StatusNotFound, object{"errors": nil, "message": "user does not exist [uid: 0, name: " + owner + "]", "url": swagger})
			return true
		}
		writeJSON(w, http.StatusOK, object{"id": f.ownerID(owner), "login": owner, "username": owner, "visibility": "public"})
		return true
	}
	query := r.URL.Query()
	f.mu.Lock()
	owners := map[string]bool{}
	for _, repo := range f.repos {
		owners[repo.owner()] = true
	}
	f.mu.Unlock()
	var list []*forgeRepo
	for owner := range owners {
		if uid := query.Get("uid"); uid == "" || uid == strconv.FormatInt(f.ownerID(owner), 10) {
			found, _ := f.owned(t, owner, false)
			list = append(list, found...)
		}
	}
	slices.SortFunc(list, func(a, b *forgeRepo) int {
		if query.Get("sort") == "id" {
			return int(a.id - b.id)
		}
		return strings.Compare(a.name(), b.name())
	})
	if query.Get("order") == "desc" {
		slices.Reverse(list)
	}
	list, p := pageOf(query, "limit", 30, f.most(50), list)
	items := []object{}
	for _, repo := range list {
		items = append(items, f.giteaRepo(repo, t))
	}
	w.Header().Set("X-Total-Count", strconv.Itoa(p.total))
	f.linkNext(w, r, p)
	writeJSON(w, http.StatusOK, object{"ok": true, "data": items})
	return true
}

// serveBitbucketListing serves GET /repositories/:workspace.
func (f *Forge) serveBitbucketListing(w http.ResponseWriter, r *http.Request) bool {
	escaped, ok := f.apiRest(r, "/repositories/")
	workspace, err := url.PathUnescape(escaped)
	if !ok || err != nil || workspace == "" || strings.Contains(escaped, "/") {
		return false
	}
	failure := func(text string) any { return object{"type": "error", "error": object{"message": text}} }
	t, given := f.lookup(r)
	if given && t == nil {
		writeJSON(w, http.StatusUnauthorized, failure("Token is invalid, expired, or not supported for this endpoint."))
		return true
	}
	list, found := f.owned(t, workspace, false)
	if !found {
		writeJSON(w, http.StatusNotFound, failure("No workspace with identifier '"+workspace+"'."))
		return true
	}
	list, p := pageOf(r.URL.Query(), "pagelen", 10, f.most(100), list)
	items := []object{}
	for _, repo := range list {
		items = append(items, f.bitbucketRepo(repo))
	}
	body := object{"pagelen": p.size, "size": p.total, "page": p.number, "values": items}
	if p.number < p.last {
		body["next"] = f.pageURL(r, p.number+1)
	}
	writeJSON(w, http.StatusOK, body)
	return true
}

// githubListing serves GET /users/:name/repos and, for the App's tokens, GET
// /installation/repositories.
func (f *Forge) githubListing(w http.ResponseWriter, r *http.Request, owner string) {
	t, given := f.lookup(r)
	if given && t == nil {
		githubError(w, http.StatusUnauthorized, "Bad credentials")
		return
	}
	var list []*forgeRepo
	if owner != "" {
		found, ok := f.owned(nil, owner, false) // public ones, whoever asks
		if !ok {
			githubError(w, http.StatusNotFound, "Not Found")
			return
		}
		list = found
	} else {
		if t == nil || t.installation == 0 {
			githubError(w, http.StatusForbidden, "Resource not accessible by integration")
			return
		}
		i, _ := f.app.find(func(i *installation) bool { return i.id == t.installation })
		found, _ := f.owned(t, i.owner, false)
		for _, repo := range found {
			if i.covers(repo) {
				list = append(list, repo)
			}
		}
	}
	list, p := pageOf(r.URL.Query(), "per_page", 30, f.most(100), list)
	items := []object{}
	for _, repo := range list {
		items = append(items, f.githubRepoBody(repo, t))
	}
	f.linkNext(w, r, p)
	if owner != "" {
		writeJSON(w, http.StatusOK, items)
		return
	}
	writeJSON(w, http.StatusOK, object{"total_count": p.total, "repositories": items})
}
