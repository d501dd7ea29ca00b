package forgetest

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// maxHookBody bounds what a request about a webhook may send.
const maxHookBody = 1 << 20

// hookAPI is a host's API for the webhooks of a repository.
type hookAPI struct {
	prefix string // of the path, before the repository
	parts  int    // of the path that name the repository
	update string // method that changes a webhook

	anonymous apiAnswer // without a credential, or with a wrong one
	missing   apiAnswer // repository or webhook
	scope     apiAnswer // the token may not
	admin     apiAnswer // the account may not
	badURL    apiAnswer // the host will not deliver there

	pageSize, maxPage int
	sizeParam         string

	// read applies the body of a request to a webhook. It returns what the host
	// has to say against it, nil if nothing.
	read func(body []byte, w *Webhook, create bool) *apiAnswer
	// show is a webhook as the host shows it: without its secret.
	show func(f *Forge, repo *forgeRepo, w Webhook) object
	// page sends one page of a list.
	page func(f *Forge, w http.ResponseWriter, r *http.Request, p hookPage)
}

// apiAnswer is a status with a JSON body.
type apiAnswer struct {
	status int
	body   any
}

func (a apiAnswer) send(w http.ResponseWriter) bool {
	writeJSON(w, a.status, a.body)
	return true
}

// hookPage is one page of a list of webhooks.
type hookPage struct {
	items              []object
	number, size, last int // from 1; size per page; number of the last page
	total              int
}

// serveHooks serves the API for webhooks. It reports whether the request is of
// it.
func (f *Forge) serveHooks(w http.ResponseWriter, r *http.Request) bool {
	api := f.rules.hooks
	if api == nil {
		return false
	}
	rest, ok := strings.CutPrefix(r.URL.EscapedPath(), f.rules.apiPath+api.prefix)
	if !ok {
		return false
	}
	parts := strings.Split(rest, "/")
	if len(parts) < api.parts+1 || len(parts) > api.parts+2 || parts[api.parts] != "hooks" {
		return false
	}
	for i, part := range parts {
		plain, err := url.PathUnescape(part)
		if err != nil {
			return api.missing.send(w)
		}
		parts[i] = plain
	}
	repo := f.findID(parts[api.parts-1])
	if repo == nil {
		repo = f.find(strings.Join(parts[:api.parts], "/"))
	}
	t, _ := f.lookup(r)
	switch {
	case t == nil:
		return api.anonymous.send(w)
	case repo == nil || !t.sees(repo):
		return api.missing.send(w)
	case t.NoHooks || t.ReadOnly:
		return api.scope.send(w)
	case t.NoAdmin:
		return api.admin.send(w)
	}
	id := ""
	if len(parts) == api.parts+2 {
		id = parts[api.parts+1]
	}
	return f.serveHook(w, r, repo, id)
}

// serveHook serves a request of somebody who may make it.
func (f *Forge) serveHook(w http.ResponseWriter, r *http.Request, repo *forgeRepo, id string) bool {
	api := f.rules.hooks
	hooks := f.Webhooks(repo.path)
	index := -1
	for i, hook := range hooks {
		if id != "" && hook.ID == id {
			index = i
		}
	}
	switch {
	case id == "" && r.Method == http.MethodGet:
		f.listHooks(w, r, repo, hooks)
	case id == "" && r.Method == http.MethodPost:
		made := Webhook{Active: true}
		if refusal := f.readHook(r, &made, true); refusal != nil {
			return refusal.send(w)
		}
		writeJSON(w, http.StatusCreated, api.show(f, repo, f.addWebhook(repo.id, made)))
	case id != "" && index < 0:
		return api.missing.send(w)
	case id != "" && r.Method == http.MethodGet:
		writeJSON(w, http.StatusOK, api.show(f, repo, hooks[index]))
	case id != "" && r.Method == api.update:
		edited := hooks[index]
		if refusal := f.readHook(r, &edited, false); refusal != nil {
			return refusal.send(w)
		}
		f.editWebhook(repo.id, id, func(w *Webhook) { *w = edited })
		writeJSON(w, http.StatusOK, api.show(f, repo, edited))
	case id != "" && r.Method == http.MethodDelete:
		if !f.removeWebhook(repo.id, id) {
			return api.missing.send(w)
		}
		w.WriteHeader(http.StatusNoContent)
	default:
		return false
	}
	return true
}

// readHook reads a webhook from a request.
func (f *Forge) readHook(r *http.Request, w *Webhook, create bool) *apiAnswer {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxHookBody))
	if err != nil {
		return &apiAnswer{http.StatusBadRequest, object{"message": "the body cannot be read"}}
	}
	if refusal := f.rules.hooks.read(body, w, create); refusal != nil {
		return refusal
	}
	target, err := url.Parse(w.URL)
	if err != nil || target.Scheme != "https" && target.Scheme != "http" || target.Host == "" ||
		// A name that never resolves stands for all that a host refuses to
		// deliver to.
		strings.HasSuffix(target.Hostname(), ".invalid") {
		return &f.rules.hooks.badURL
	}
	return nil
}

func (f *Forge) listHooks(w http.ResponseWriter, r *http.Request, repo *forgeRepo, hooks []Webhook) {
	api := f.rules.hooks
	query := r.URL.Query()
	p := hookPage{number: 1, size: api.pageSize, total: len(hooks)}
	if n, err := strconv.Atoi(query.Get("page")); err == nil && n > 0 {
		p.number = n
	}
	if n, err := strconv.Atoi(query.Get(api.sizeParam)); err == nil && n > 0 {
		p.size = min(n, api.maxPage)
	}
	p.last = max(1, (p.total+p.size-1)/p.size)
	p.items = []object{}
	for i := (p.number - 1) * p.size; i < min(p.total, p.number*p.size); i++ {
		p.items = append(p.items, api.show(f, repo, hooks[i]))
	}
	api.page(f, w, r, p)
}

// pageURL is the URL of another page of a list.
func (f *Forge) pageURL(r *http.Request, number int) string {
	query := r.URL.Query()
	query.Set("page", strconv.Itoa(number))
	return f.URL() + r.URL.EscapedPath() + "?" + query.Encode()
}

// linkNext adds the Link header to the next page, if there is one.
func (f *Forge) linkNext(w http.ResponseWriter, r *http.Request, p hookPage) {
	if p.number < p.last {
		w.Header().Set("Link", fmt.Sprintf("<%s>; rel=\"next\",<%s>; rel=\"last\"", f.pageURL(r, p.number+1), f.pageURL(r, p.last)))
	}
}
