package apispec_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"

	"github.com/stretchr/testify/require"
)

// outbound walks through webhooks and the event feed.
func (c *client) outbound() {
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) }))
	c.t.Cleanup(receiver.Close)
	token := c.orgToken()
	one := func(op string, want int, id string, body any, more ...string) result {
		c.t.Helper()
		return c.do(request{op: op, want: want, token: token, body: body, variables: append([]string{"webhook", id}, more...)})
	}
	made := c.do(request{op: "createWebhook", want: 201, token: token, body: m{"url": receiver.URL, "events": []string{"push"}, "repo": c.repo, "secret": "a secret of mine"}})
	require.Equal(c.t, "a secret of mine", made.at("secret"))
	c.do(request{op: "createWebhook", want: 400, token: token, body: m{"url": receiver.URL, "events": []string{"pushed"}}})
	c.do(request{op: "createWebhook", want: 403, body: m{"url": receiver.URL, "events": []string{"push"}}})
	id := made.at("id").(string)
	c.do(request{op: "listWebhooks", want: 200, token: token})
	one("getWebhook", 200, id, nil)
	one("getWebhook", 404, "wh_none", nil)
	one("updateWebhook", 200, id, m{"events": []string{"push", "ref.held"}, "secret": ""})
	ping := one("pingWebhook", 202, id, nil).at("id").(string)
	one("listDeliveries", 200, id, nil)
	one("getDelivery", 200, id, nil, "delivery", ping)
	one("redeliver", 202, id, nil, "delivery", ping)
	one("redeliver", 404, id, nil, "delivery", "dlv_none")
	one("deleteWebhook", 204, id, nil)
	one("deleteWebhook", 404, id, nil)

	page := c.do(request{op: "listEvents", want: 200, query: url.Values{"type": {"push"}, "limit": {"1"}}})
	require.Len(c.t, page.at("events"), 1)
	c.do(request{op: "listEvents", want: 200, token: token, query: url.Values{"repo": {c.repo}, "after": {page.at("next_cursor").(string)}}})
	c.do(request{op: "listEvents", want: 400, query: url.Values{"after": {"x"}}})
}
