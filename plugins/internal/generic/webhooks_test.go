package generic

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/plugins/internal/forge"
	"github.com/headwater-git/headwater/providers"
)

const (
	stored = providers.Secret("stored-0123456789")
	secret = providers.Secret("secret-0123456789")
	target = "https://git.example.org/webhooks/test/token-0123456789"
)

// webhookHost is a host whose answers the test writes.
type webhookHost struct {
	answer   func(r *http.Request) (status int, body string)
	requests []string // method and URL
	bodies   []string
}

// start returns a provider of the host, and a remote at it. The host is called
// by one test at a time.
func (h *webhookHost) start(t *testing.T, api Webhooks) (*Provider, providers.Remote) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body strings.Builder
		if r.Body != nil {
			var raw json.RawMessage
			if json.NewDecoder(r.Body).Decode(&raw) == nil {
				body.Write(raw)
			}
		}
		h.requests = append(h.requests, r.Method+" "+r.URL.RequestURI())
		h.bodies = append(h.bodies, body.String())
		status, text := h.answer(r)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(text))
	}))
	t.Cleanup(server.Close)
	p := New(Host{
		Manifest: providers.Manifest{Name: "test"}, Rules: forge.Rules{Product: "Test"},
		API: &API{
			Base:      func(forge.Place) string { return server.URL + "/api" },
			Authorize: func(h http.Header, c providers.StoredCredential) { h.Set("Authorization", "token "+c.Secret.Reveal()) },
		},
		Webhooks: &api,
	}, func(providers.HostPolicy) *http.Client { return server.Client() })
	require.NoError(t, p.Configure(t.Context(), providers.Config{}))
	return p, providers.Remote{Host: "git.example.com", Path: "acme/widget"}
}

// plain is an API whose webhooks are FoundWebhook and WantedWebhook as JSON.
func plain() Webhooks {
	return Webhooks{
		Collection: func(p forge.Place, _ string) string { return "/" + p.Path() + "/hooks" },
		Page:       func(n int) string { return "page=" + strconv.Itoa(n) },
		List: func(a forge.Answer, _ WantedWebhook) ([]FoundWebhook, bool, error) {
			var page struct {
				Found []FoundWebhook
				More  bool
			}
			err := json.Unmarshal(a.Body, &page)
			return page.Found, page.More, err
		},
		Read: func(body []byte, _ WantedWebhook) (FoundWebhook, error) {
			var f FoundWebhook
			err := json.Unmarshal(body, &f)
			return f, err
		},
		Write:   func(w WantedWebhook) any { return map[string]string{"url": w.URL, "mark": w.Mark} },
		Correct: http.MethodPut,
		Needs:   "more",
	}
}

func ensure(t *testing.T, p *Provider, remote providers.Remote, id string) (providers.RegisteredWebhook, error) {
	t.Helper()
	return p.EnsureWebhook(t.Context(), providers.EnsureWebhookRequest{
		Remote: remote, Stored: &providers.StoredCredential{Secret: stored}, URL: target, Secret: secret, HookID: id,
	})
}

func TestProvider_EnsureWebhook_decisions(t *testing.T) {
	t.Parallel()
	right := FoundWebhook{ID: "1", URL: target, Mark: mark(secret), Sound: true}
	with := func(change func(*FoundWebhook)) FoundWebhook {
		f := right
		change(&f)
		return f
	}
	const list, create = "GET /api/acme/widget/hooks?page=1", "POST /api/acme/widget/hooks"
	tests := map[string]struct {
		keeps   bool // a correction keeps the secret
		id      string
		found   []FoundWebhook
		mute    bool // the host tells no mark of what it was given
		want    []string
		hookID  string
		changed bool
	}{
		"none":                {want: []string{list, create}, hookID: "9", changed: true},
		"right one":           {found: []FoundWebhook{right}, want: []string{list}, hookID: "1"},
		"right one, other id": {id: "7", found: []FoundWebhook{right}, want: []string{list}, hookID: "1"},
		"not sound": {
			found: []FoundWebhook{with(func(f *FoundWebhook) { f.Sound = false })},
			want:  []string{list, "PUT /api/acme/widget/hooks/1"}, hookID: "1", changed: true,
		},
		"dead": {
			found: []FoundWebhook{with(func(f *FoundWebhook) { f.Dead = true })},
			want:  []string{list, create, "DELETE /api/acme/widget/hooks/1"}, hookID: "9", changed: true,
		},
		"dead, at another address": {
			id: "1", found: []FoundWebhook{with(func(f *FoundWebhook) { f.Dead, f.URL = true, "https://old.example.org/" })},
			want: []string{list, create, "DELETE /api/acme/widget/hooks/1"}, hookID: "9", changed: true,
		},
		"other secret": {
			found: []FoundWebhook{with(func(f *FoundWebhook) { f.Mark = mark("another") })},
			want:  []string{list, "PUT /api/acme/widget/hooks/1"}, hookID: "1", changed: true,
		},
		"other secret that stays": {
			keeps: true, found: []FoundWebhook{with(func(f *FoundWebhook) { f.Mark = mark("another") })},
			want: []string{list, create, "DELETE /api/acme/widget/hooks/1"}, hookID: "9", changed: true,
		},
		"not sound, secret stays": {
			keeps: true, found: []FoundWebhook{with(func(f *FoundWebhook) { f.Sound = false })},
			want: []string{list, "PUT /api/acme/widget/hooks/1"}, hookID: "1", changed: true,
		},
		"without marks": {
			mute: true, found: []FoundWebhook{with(func(f *FoundWebhook) { f.Mark = "" })},
			want: []string{list, "PUT /api/acme/widget/hooks/1"}, hookID: "1",
		},
		"moved address": {
			id: "1", found: []FoundWebhook{with(func(f *FoundWebhook) { f.URL = "https://old.example.org/" })},
			want: []string{list, "PUT /api/acme/widget/hooks/1"}, hookID: "1", changed: true,
		},
		"doubles": {
			id: "1", found: []FoundWebhook{right, with(func(f *FoundWebhook) { f.ID = "2" }), with(func(f *FoundWebhook) { f.ID, f.Mark = "3", "" })},
			want: []string{list, "DELETE /api/acme/widget/hooks/2", "DELETE /api/acme/widget/hooks/3"}, hookID: "1", changed: true,
		},
		"right one before the known one": {
			id: "1", found: []FoundWebhook{with(func(f *FoundWebhook) { f.Mark = "" }), with(func(f *FoundWebhook) { f.ID = "2" })},
			want: []string{list, "DELETE /api/acme/widget/hooks/1"}, hookID: "2", changed: true,
		},
		"those of others": {
			found: []FoundWebhook{right, {ID: "5", URL: target + "/other", Sound: true}, {ID: "6", URL: "https://ci.example.org/"}},
			want:  []string{list}, hookID: "1",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api := plain()
			api.KeepsSecret = test.keeps
			host := &webhookHost{answer: func(r *http.Request) (int, string) {
				made := FoundWebhook{ID: "9", URL: target, Mark: mark(secret), Sound: true}
				if test.mute {
					made.Mark = ""
				}
				var answer any = made
				switch r.Method {
				case http.MethodGet:
					answer = map[string]any{"Found": test.found}
				case http.MethodDelete:
					return http.StatusNoContent, ""
				}
				text, _ := json.Marshal(answer)
				return http.StatusOK, string(text)
			}}
			p, remote := host.start(t, api)
			got, err := ensure(t, p, remote, test.id)
			require.NoError(t, err)
			require.Equal(t, test.want, host.requests)
			require.Equal(t, providers.RegisteredWebhook{HookID: test.hookID, Changed: test.changed}, got)
		})
	}
}

func TestProvider_EnsureWebhook_answers(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		status int
		body   string
		want   providers.Code
		says   string
	}{
		"endless list":     {http.StatusOK, `{"Found":[{"ID":"1"}],"More":true}`, providers.CodeUnavailable, "more webhooks"},
		"no list":          {http.StatusOK, `"x"`, providers.CodeUnavailable, "not understood"},
		"page":             {http.StatusOK, `<html>`, providers.CodeUnavailable, "not understood"},
		"no id":            {http.StatusOK, `{"Found":[{"URL":"https://ci.example.org/"}]}`, providers.CodeUnavailable, "not understood"},
		"id with a slash":  {http.StatusOK, `{"Found":[{"ID":"../../other"}]}`, providers.CodeUnavailable, "not understood"},
		"id of dots":       {http.StatusOK, `{"Found":[{"ID":".."}]}`, providers.CodeUnavailable, "not understood"},
		"refused":          {http.StatusUnprocessableEntity, `{"message":{"url":["` + target + ` is blocked"]}}`, providers.CodeInvalidArgument, "refuses the webhook: url https://git.example.org/webhooks/test/[redacted] is blocked"},
		"bad request":      {http.StatusBadRequest, ``, providers.CodeInvalidArgument, "refuses the webhook"},
		"not permitted":    {http.StatusForbidden, `{"message":"` + stored.Reveal() + ` may not"}`, providers.CodePermissionDenied, "[redacted] may not; registering webhooks needs more"},
		"not known":        {http.StatusUnauthorized, `{"message":"no"}`, providers.CodeUnauthenticated, "no"},
		"limited":          {http.StatusTooManyRequests, ``, providers.CodeRateLimited, "limits"},
		"out of order":     {http.StatusBadGateway, `<html>`, providers.CodeUnavailable, "502"},
		"no repository":    {http.StatusNotFound, `{}`, providers.CodeNotFound, "acme/widget"},
		"secret in answer": {http.StatusBadRequest, `{"message":"bad ` + secret.Reveal() + `"}`, providers.CodeInvalidArgument, "bad [redacted]"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			host := &webhookHost{answer: func(*http.Request) (int, string) { return test.status, test.body }}
			p, remote := host.start(t, plain())
			_, err := ensure(t, p, remote, "")
			require.Equal(t, test.want, providers.CodeOf(err), "%v", err)
			require.ErrorContains(t, err, test.says)
			for _, s := range []providers.Secret{stored, secret, "token-0123456789"} {
				require.NotContains(t, err.Error(), s.Reveal())
			}
			require.LessOrEqual(t, len(host.requests), maxWebhookPages)
		})
	}
}

func TestProvider_EnsureWebhook_asked(t *testing.T) {
	t.Parallel()
	host := &webhookHost{answer: func(*http.Request) (int, string) { return http.StatusOK, `{}` }}
	p, remote := host.start(t, plain())
	good := providers.EnsureWebhookRequest{
		Remote: remote, Stored: &providers.StoredCredential{Secret: stored}, URL: target, Secret: secret,
	}
	tests := map[string]struct {
		change func(*providers.EnsureWebhookRequest)
		want   providers.Code
	}{
		"no secret":     {func(r *providers.EnsureWebhookRequest) { r.Secret = "" }, providers.CodeInvalidArgument},
		"no URL":        {func(r *providers.EnsureWebhookRequest) { r.URL = "" }, providers.CodeInvalidArgument},
		"other scheme":  {func(r *providers.EnsureWebhookRequest) { r.URL = "file:///etc/passwd" }, providers.CodeInvalidArgument},
		"user info":     {func(r *providers.EnsureWebhookRequest) { r.URL = "https://a:b@git.example.org/" }, providers.CodeInvalidArgument},
		"no credential": {func(r *providers.EnsureWebhookRequest) { r.Stored = nil }, providers.CodeUnauthenticated},
		"other host": {func(r *providers.EnsureWebhookRequest) {
			r.Remote.URL = "https://elsewhere.example.org/acme/widget.git"
		}, providers.CodeInvalidArgument},
		"no path": {func(r *providers.EnsureWebhookRequest) { r.Remote.Path = "" }, providers.CodeInvalidArgument},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := good
			test.change(&r)
			_, err := p.EnsureWebhook(t.Context(), r)
			require.Equal(t, test.want, providers.CodeOf(err), "%v", err)
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := p.EnsureWebhook(ctx, good)
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, host.requests, "none of them reaches the host")
}

func TestProvider_RemoveWebhook(t *testing.T) {
	t.Parallel()
	found := []FoundWebhook{{ID: "1", URL: target}, {ID: "2", URL: target}, {ID: "3", URL: "https://ci.example.org/"}, {ID: "4", URL: "https://old.example.org/"}}
	tests := map[string]struct {
		id, url string
		status  int // of a removal
		want    []string
		code    providers.Code
	}{
		"by URL":        {url: target, status: http.StatusNoContent, want: []string{"1", "2"}},
		"by id":         {id: "4", status: http.StatusNoContent, want: []string{"4"}},
		"by both":       {id: "4", url: target, status: http.StatusOK, want: []string{"1", "2", "4"}},
		"gone already":  {id: "4", status: http.StatusNotFound, want: []string{"4"}},
		"never there":   {id: "5", status: http.StatusNoContent},
		"not permitted": {id: "4", status: http.StatusForbidden, want: []string{"4"}, code: providers.CodePermissionDenied},
		"unnamed":       {code: providers.CodeInvalidArgument},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var removed []string
			host := &webhookHost{answer: func(r *http.Request) (int, string) {
				if r.Method == http.MethodDelete {
					removed = append(removed, r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:])
					return test.status, ""
				}
				text, _ := json.Marshal(map[string]any{"Found": found})
				return http.StatusOK, string(text)
			}}
			p, remote := host.start(t, plain())
			err := p.RemoveWebhook(t.Context(), providers.RemoveWebhookRequest{
				Remote: remote, Stored: &providers.StoredCredential{Secret: stored}, URL: test.url, HookID: test.id,
			})
			require.Equal(t, test.code, providers.CodeOf(err), "%v", err)
			require.Equal(t, test.want, removed)
		})
	}
	t.Run("of a repository that is gone", func(t *testing.T) {
		t.Parallel()
		host := &webhookHost{answer: func(*http.Request) (int, string) { return http.StatusNotFound, `{}` }}
		p, remote := host.start(t, plain())
		require.NoError(t, p.RemoveWebhook(t.Context(), providers.RemoveWebhookRequest{
			Remote: remote, Stored: &providers.StoredCredential{Secret: stored}, URL: target,
		}))
	})
}

func TestMark(t *testing.T) {
	t.Parallel()
	require.Equal(t, mark(secret), mark(secret))
	require.NotEqual(t, mark(secret), mark(stored))
	require.NotContains(t, mark(secret), secret.Reveal())
	require.Regexp(t, "^Headwater [0-9a-f]{16}$", mark(secret))
}
