package forgetest

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// apiClient talks to a forge's API with a token.
type apiClient struct {
	t      *testing.T
	f      *TestForge
	header string
	value  string
}

func newAPIClient(t *testing.T, f *TestForge, o TokenOptions) apiClient {
	c := apiClient{t: t, f: f, header: "Authorization", value: "Bearer " + f.MintToken(o)}
	switch f.HostKind() {
	case HostGitea, HostForgejo:
		c.value = strings.Replace(c.value, "Bearer", "token", 1)
	case HostGitLab:
		c.header, c.value = "PRIVATE-TOKEN", strings.TrimPrefix(c.value, "Bearer ")
	}
	return c
}

// call returns the status, the headers and the body of an answer.
func (c apiClient) call(method, path, body string) (int, http.Header, string) {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.f.APIURL()+path, strings.NewReader(body))
	require.NoError(c.t, err)
	r.Header.Set(c.header, c.value)
	answer, err := http.DefaultClient.Do(r)
	require.NoError(c.t, err)
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	require.NoError(c.t, err)
	return answer.StatusCode, answer.Header, string(raw)
}

// hooksPath is where a host has the webhooks of the test's repository.
func hooksPath(d HostKind) string {
	switch d {
	case HostGitLab:
		return "/projects/acme%2Fwidget/hooks"
	case HostBitbucket:
		return "/repositories/acme/widget/hooks"
	}
	return "/repos/acme/widget/hooks"
}

func TestForge_hookAPI_lifecycle(t *testing.T) {
	t.Parallel()
	for d, test := range map[HostKind]struct {
		create, update, method, id string
		refused                    int // of a bad URL
	}{
		HostGitLab: {
			`{"url":"https://a.example/x","token":"s","push_events":true,"tag_push_events":true}`,
			`{"url":"https://a.example/y","token":"s2","push_events":false}`, http.MethodPut, "id", http.StatusUnprocessableEntity,
		},
		HostGitea: {
			`{"type":"gitea","config":{"url":"https://a.example/x","content_type":"json","secret":"s"},"events":["push","create"],"active":true}`,
			`{"config":{"url":"https://a.example/y","secret":"s2"},"events":["create"]}`, http.MethodPatch, "id", http.StatusUnprocessableEntity,
		},
		HostBitbucket: {
			`{"url":"https://a.example/x","secret":"s","active":true,"events":["repo:push"]}`,
			`{"url":"https://a.example/y","secret":"s2","events":["repo:updated"]}`, http.MethodPut, "uuid", http.StatusBadRequest,
		},
	} {
		t.Run(string(d), func(t *testing.T) {
			t.Parallel()
			f := StartForge(t, ForgeOptions{HostKind: d})
			f.CreateRepo(testRepo, true)
			c := newAPIClient(t, f, TokenOptions{})
			path := hooksPath(d)

			status, _, body := c.call(http.MethodPost, path, test.create)
			require.Equal(t, http.StatusCreated, status, body)
			require.NotContains(t, body, `"s"`, "a secret is never shown")
			var shown map[string]any
			require.NoError(t, json.Unmarshal([]byte(body), &shown))
			id, ok := shown[test.id].(string)
			if number, isNumber := shown[test.id].(float64); isNumber {
				id, ok = strconv.Itoa(int(number)), true
			}
			require.True(t, ok, body)
			require.Equal(t, "s", f.Webhooks(testRepo)[0].Secret)
			require.Equal(t, id, f.Webhooks(testRepo)[0].ID)

			status, _, body = c.call(test.method, path+"/"+id, test.update)
			require.Equal(t, http.StatusOK, status, body)
			w := f.Webhooks(testRepo)[0]
			require.Equal(t, "https://a.example/y", w.URL)
			want := "s2"
			if d == HostGitea {
				want = "s" // a webhook keeps the secret it was made with
			}
			require.Equal(t, want, w.Secret)
			status, _, body = c.call(http.MethodGet, path+"/"+id, "")
			require.Equal(t, http.StatusOK, status, body)

			status, _, body = c.call(http.MethodPost, path, strings.ReplaceAll(test.create, "a.example", "a.invalid"))
			require.Equal(t, test.refused, status, body)
			status, _, _ = c.call(http.MethodDelete, path+"/"+id, "")
			require.Equal(t, http.StatusNoContent, status)
			status, _, _ = c.call(http.MethodDelete, path+"/"+id, "")
			require.Equal(t, http.StatusNotFound, status)
			require.Empty(t, f.Webhooks(testRepo))

			for _, o := range []TokenOptions{{NoHooks: true}, {NoAdmin: true}, {ReadOnly: true}} {
				status, _, _ = newAPIClient(t, f, o).call(http.MethodGet, path, "")
				require.Equal(t, http.StatusForbidden, status)
			}
			status, _, _ = newAPIClient(t, f, TokenOptions{Repos: []string{"acme/other"}}).call(http.MethodGet, path, "")
			require.Equal(t, http.StatusNotFound, status)
			c.value = "nothing"
			status, _, _ = c.call(http.MethodGet, path, "")
			require.Equal(t, http.StatusUnauthorized, status)
		})
	}
}

func TestForge_hookAPI_pages(t *testing.T) {
	t.Parallel()
	for d, test := range map[HostKind]struct {
		query string
		sizes []int // of the pages
	}{
		HostGitLab: {"per_page=1000", []int{100, 5}}, HostGitea: {"limit=1000", []int{50, 50, 5}}, HostBitbucket: {"pagelen=1000", []int{100, 5}},
	} {
		t.Run(string(d), func(t *testing.T) {
			t.Parallel()
			f := StartForge(t, ForgeOptions{HostKind: d})
			f.CreateRepo(testRepo, false)
			for n := range 105 {
				f.AddWebhook(testRepo, Webhook{URL: "https://a.example/" + strconv.Itoa(n)})
			}
			c := newAPIClient(t, f, TokenOptions{})
			for i, want := range test.sizes {
				status, header, body := c.call(http.MethodGet, hooksPath(d)+"?"+test.query+"&page="+strconv.Itoa(i+1), "")
				require.Equal(t, http.StatusOK, status)
				more := i < len(test.sizes)-1
				var items []any
				if d == HostBitbucket {
					var page struct {
						Values []any  `json:"values"`
						Next   string `json:"next"`
					}
					require.NoError(t, json.Unmarshal([]byte(body), &page))
					items = page.Values
					require.Equal(t, more, page.Next != "")
				} else {
					require.NoError(t, json.Unmarshal([]byte(body), &items))
					require.Equal(t, more, strings.Contains(header.Get("Link"), `rel="next"`))
				}
				require.Len(t, items, want)
			}
		})
	}
}

func TestForge_LimitRate_hostsWords(t *testing.T) {
	t.Parallel()
	for d, test := range map[HostKind]struct {
		path, left string
		status     int
		retryAfter bool
	}{
		HostGitHub:    {"/repos/acme/widget", "X-Ratelimit-Remaining", http.StatusForbidden, false},
		HostGitLab:    {"/projects/acme%2Fwidget", "Ratelimit-Remaining", http.StatusTooManyRequests, true},
		HostGitea:     {"/repos/acme/widget", "", http.StatusTooManyRequests, true},
		HostBitbucket: {"/repositories/acme/widget", "", http.StatusTooManyRequests, true},
	} {
		t.Run(string(d), func(t *testing.T) {
			t.Parallel()
			f := StartForge(t, ForgeOptions{HostKind: d})
			f.CreateRepo(testRepo, false)
			f.LimitRate(RateLimit{Requests: 2, Reset: time.Now().Add(time.Minute)})
			c := newAPIClient(t, f, TokenOptions{})
			for _, left := range []string{"1", "0"} {
				status, header, _ := c.call(http.MethodGet, test.path, "")
				require.Equal(t, http.StatusOK, status)
				if test.left != "" {
					require.Equal(t, left, header.Get(test.left))
				}
			}
			status, header, _ := c.call(http.MethodGet, test.path, "")
			require.Equal(t, test.status, status)
			require.Equal(t, test.retryAfter, header.Get("Retry-After") != "")
			if d == HostGitHub {
				f.LimitRate(RateLimit{Secondary: true, Reset: time.Now().Add(time.Minute)})
				status, header, body := c.call(http.MethodGet, test.path, "")
				require.Equal(t, http.StatusForbidden, status)
				require.NotEmpty(t, header.Get("Retry-After"))
				require.NotEqual(t, "0", header.Get(test.left))
				require.Contains(t, body, "secondary rate limit")
			}
			f.LimitRate(RateLimit{})
			status, _, _ = c.call(http.MethodGet, test.path, "")
			require.Equal(t, http.StatusOK, status)
		})
	}
}
