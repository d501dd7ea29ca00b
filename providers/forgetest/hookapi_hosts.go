package forgetest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// gitlabHooks is GET, POST, PUT and DELETE of /projects/:id/hooks.
func gitlabHooks() *hookAPI {
	return &hookAPI{
		prefix: "/projects/", parts: 1, update: http.MethodPut,
		anonymous: apiAnswer{http.StatusUnauthorized, object{"message": "401 Unauthorized"}},
		missing:   apiAnswer{http.StatusNotFound, object{"message": "404 Not found"}},
		scope: apiAnswer{http.StatusForbidden, object{
			"error": "insufficient_scope", "error_description": "The request requires higher privileges than provided by the access token.", "scope": "api",
		}},
		admin:    apiAnswer{http.StatusForbidden, object{"message": "403 Forbidden"}},
		badURL:   apiAnswer{http.StatusUnprocessableEntity, object{"error": "Invalid url given"}},
		pageSize: 20, maxPage: 100, sizeParam: "per_page",
		read: readGitLabHook,
		show: func(_ *Forge, repo *forgeRepo, w Webhook) object {
			id, _ := strconv.ParseInt(w.ID, 10, 64)
			body := object{
				"id": id, "url": w.URL, "name": w.Name, "description": w.Description, "project_id": repo.id, "created_at": w.CreatedAt.UTC().Format(time.RFC3339),
				"push_events_branch_filter": w.BranchFilter, "branch_filter_strategy": "wildcard",
				"custom_webhook_template": w.Template, "enable_ssl_verification": !w.SkipVerify, "alert_status": alertStatus(w), "disabled_until": nil, "url_variables": []string{},
			}
			for _, event := range gitlabHookEvents() {
				body[event+"_events"] = slices.Contains(w.Events, event)
			}
			return body
		},
		page: func(f *Forge, w http.ResponseWriter, r *http.Request, p hookPage) {
			f.linkNext(w, r, p)
			header := w.Header()
			header.Set("X-Page", strconv.Itoa(p.number))
			header.Set("X-Per-Page", strconv.Itoa(p.size))
			header.Set("X-Total", strconv.Itoa(p.total))
			header.Set("X-Total-Pages", strconv.Itoa(p.last))
			header.Set("X-Next-Page", "")
			if p.number < p.last {
				header.Set("X-Next-Page", strconv.Itoa(p.number+1))
			}
			writeJSON(w, http.StatusOK, p.items)
		},
	}
}

func alertStatus(w Webhook) string {
	if w.Disabled {
		return "disabled"
	}
	return "executable"
}

// gitlabHookEvents returns the events that a webhook of GitLab can have.
func gitlabHookEvents() []string {
	return []string{"push", "tag_push", "issues", "merge_requests", "note", "job", "pipeline", "wiki_page"}
}

// readGitLabHook takes JSON and forms, as GitLab does. Attributes that are not
// there stay as they are; of a new webhook, pushes are on and all else is off.
func readGitLabHook(body []byte, w *Webhook, create bool) *apiAnswer {
	fields := map[string]any{}
	if json.Unmarshal(body, &fields) != nil {
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return &apiAnswer{http.StatusBadRequest, object{"error": "body is invalid"}}
		}
		for name := range form {
			fields[name] = form.Get(name)
		}
	}
	if create {
		w.Events = []string{"push"}
	}
	text := func(name string, to *string) {
		if value, ok := fields[name].(string); ok {
			*to = value
		}
	}
	if _, ok := fields["url"]; !ok {
		return &apiAnswer{http.StatusBadRequest, object{"error": "url is missing"}}
	}
	text("url", &w.URL)
	text("token", &w.Secret)
	text("name", &w.Name)
	text("description", &w.Description)
	text("custom_webhook_template", &w.Template)
	text("push_events_branch_filter", &w.BranchFilter)
	for _, event := range gitlabHookEvents() {
		value, given := fields[event+"_events"]
		if !given {
			continue
		}
		w.Events = slices.DeleteFunc(slices.Clone(w.Events), func(e string) bool { return e == event })
		if value == true || value == "true" {
			w.Events = append(w.Events, event)
		}
	}
	if value, given := fields["enable_ssl_verification"]; given {
		w.SkipVerify = value == false || value == "false"
	}
	if len(w.Events) == 0 {
		w.Events = []string{"none"}
	}
	return nil
}

// giteaHooks is GET, POST, PATCH and DELETE of /repos/:owner/:name/hooks.
func giteaHooks() *hookAPI {
	failure := func(status int, text string) apiAnswer {
		return apiAnswer{status, object{"message": text, "url": "/api/swagger"}}
	}
	return &hookAPI{
		prefix: "/repos/", parts: 2, update: http.MethodPatch,
		anonymous: failure(http.StatusUnauthorized, "token is required"),
		missing:   apiAnswer{http.StatusNotFound, object{"errors": nil, "message": "The target couldn't be found.", "url": "/api/swagger"}},
		scope: failure(http.StatusForbidden,
			"token does not have at least one of required scope(s), required=[write:repository], token scope=read:repository"),
		admin:    failure(http.StatusForbidden, "user should be an owner or a collaborator with admin write of a repository"),
		badURL:   failure(http.StatusUnprocessableEntity, "Invalid url"),
		pageSize: 30, maxPage: 50, sizeParam: "limit",
		read: readGiteaHook,
		show: func(f *Forge, repo *forgeRepo, w Webhook) object {
			id, _ := strconv.ParseInt(w.ID, 10, 64)
			return object{
				"id": id, "type": "gitea", "name": w.Name, "branch_filter": w.BranchFilter, "active": w.Active,
				"config": object{"content_type": w.ContentType, "url": w.URL}, "events": w.Events, "authorization_header": w.Authorization,
				"url":        f.URL() + "/" + repo.path + "/settings/hooks/" + w.ID,
				"updated_at": w.CreatedAt.UTC().Format(time.RFC3339), "created_at": w.CreatedAt.UTC().Format(time.RFC3339),
			}
		},
		page: func(f *Forge, w http.ResponseWriter, r *http.Request, p hookPage) {
			f.linkNext(w, r, p)
			w.Header().Set("X-Total-Count", strconv.Itoa(p.total))
			writeJSON(w, http.StatusOK, p.items)
		},
	}
}

// readGiteaHook does what Gitea 1.26 does. A change replaces the list of events,
// the branch filter and the authorization, also when it does not give them, and
// never the secret: a webhook keeps the one that it was made with.
func readGiteaHook(body []byte, w *Webhook, create bool) *apiAnswer {
	var form struct {
		Type          string            `json:"type"`
		Name          string            `json:"name"`
		Config        map[string]string `json:"config"`
		Events        []string          `json:"events"`
		BranchFilter  string            `json:"branch_filter"`
		Authorization string            `json:"authorization_header"`
		Active        *bool             `json:"active"`
	}
	failure := func(text string) *apiAnswer {
		return &apiAnswer{http.StatusUnprocessableEntity, object{"message": text, "url": "/api/swagger"}}
	}
	if err := json.Unmarshal(body, &form); err != nil {
		return failure("[]: " + err.Error())
	}
	target, hasURL := form.Config["url"]
	content, hasContent := form.Config["content_type"]
	switch {
	case create && form.Type != "gitea" && form.Type != "forgejo" && form.Type != "gogs":
		return failure("Invalid hook type: " + form.Type)
	case create && !hasURL:
		return failure("Missing config option: url")
	case create && !hasContent:
		return failure("Missing config option: content_type")
	case hasContent && content != "json" && content != "form":
		return failure("Invalid content type")
	}
	if create {
		w.Secret, w.Active = form.Config["secret"], false
		if len(form.Events) == 0 {
			form.Events = []string{"push"}
		}
	}
	if hasURL {
		w.URL = target
	}
	if hasContent {
		w.ContentType = content
	}
	if form.Active != nil {
		w.Active = *form.Active
	}
	if form.Name != "" {
		w.Name = form.Name
	}
	w.Events, w.BranchFilter, w.Authorization = form.Events, form.BranchFilter, form.Authorization
	if len(w.Events) == 0 {
		w.Events = []string{"none"}
	}
	return nil
}

// bitbucketHooks is GET, POST, PUT and DELETE of
// /repositories/:workspace/:name/hooks.
func bitbucketHooks() *hookAPI {
	failure := func(status int, text string, more object) apiAnswer {
		fault := object{"message": text}
		for key, value := range more {
			fault[key] = value
		}
		return apiAnswer{status, object{"type": "error", "error": fault}}
	}
	return &hookAPI{
		prefix: "/repositories/", parts: 2, update: http.MethodPut,
		anonymous: failure(http.StatusUnauthorized, "Token is invalid, expired, or not supported for this endpoint.", nil),
		missing:   failure(http.StatusNotFound, "Resource not found", nil),
		scope: failure(http.StatusForbidden, "Your credentials lack one or more required privilege scopes.", object{
			"detail": object{"granted": []string{"repository"}, "required": []string{"webhook"}},
		}),
		admin:    failure(http.StatusForbidden, "You must have admin permissions on this repository.", nil),
		badURL:   failure(http.StatusBadRequest, "Bad request", object{"fields": object{"url": []string{"Enter a valid URL."}}}),
		pageSize: 10, maxPage: 100, sizeParam: "pagelen",
		read: readBitbucketHook,
		show: func(f *Forge, repo *forgeRepo, w Webhook) object {
			return object{
				"type": "webhook_subscription", "uuid": w.ID, "url": w.URL, "description": w.Description, "subject_type": "repository",
				"subject": f.bitbucketRepository(repo), "active": w.Active, "events": w.Events, "secret_set": w.Secret != "",
				"skip_cert_verification": w.SkipVerify, "created_at": w.CreatedAt.UTC().Format(time.RFC3339), "read_only": nil,
			}
		},
		page: func(f *Forge, w http.ResponseWriter, r *http.Request, p hookPage) {
			body := object{"values": p.items, "page": p.number, "pagelen": p.size, "size": p.total}
			if p.number < p.last {
				body["next"] = f.pageURL(r, p.number+1)
			}
			writeJSON(w, http.StatusOK, body)
		},
	}
}

// readBitbucketHook keeps the secret of a change that gives none; null takes it
// away.
func readBitbucketHook(body []byte, w *Webhook, create bool) *apiAnswer {
	var form struct {
		Description *string         `json:"description"`
		URL         *string         `json:"url"`
		Active      *bool           `json:"active"`
		Events      []string        `json:"events"`
		Secret      json.RawMessage `json:"secret"`
		SkipVerify  *bool           `json:"skip_cert_verification"`
	}
	failure := func(fields object) *apiAnswer {
		return &apiAnswer{http.StatusBadRequest, object{"type": "error", "error": object{"message": "Bad request", "fields": fields}}}
	}
	if err := json.Unmarshal(body, &form); err != nil {
		return failure(object{"body": []string{"not JSON"}})
	}
	if create && form.URL == nil || create && len(form.Events) == 0 {
		return failure(object{"events": []string{"url and events are required"}})
	}
	set(&w.Description, form.Description)
	set(&w.URL, form.URL)
	set(&w.Active, form.Active)
	set(&w.SkipVerify, form.SkipVerify)
	if len(form.Events) > 0 {
		w.Events = form.Events
	}
	if len(form.Secret) > 0 {
		var secret *string
		if err := json.Unmarshal(form.Secret, &secret); err != nil {
			return failure(object{"secret": []string{"not a string"}})
		}
		w.Secret = ""
		set(&w.Secret, secret)
	}
	return nil
}

// set assigns a value that is given.
func set[T any](to *T, value *T) {
	if value != nil {
		*to = *value
	}
}
