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

	c.tokens()
	c.shared()

	page := c.do(request{op: "listEvents", want: 200, query: url.Values{"type": {"push"}, "limit": {"1"}}})
	require.Len(c.t, page.at("events"), 1)
	c.do(request{op: "listEvents", want: 200, token: token, query: url.Values{"repo": {c.repo}, "after": {page.at("next_cursor").(string)}}})
	c.do(request{op: "listEvents", want: 400, query: url.Values{"after": {"x"}}})
}

// tokens walks through keys, issued tokens and revocations.
func (c *client) tokens() {
	org := c.orgToken()
	do := func(op string, want int, body any) result {
		c.t.Helper()
		return c.do(request{op: op, want: want, token: org, body: body})
	}
	issued := do("issueToken", 201, m{"repo": c.repo, "operations": []string{"getRepository", "listFiles"}, "scopes": []string{"git:read"}, "subject": "workspace",
		"expires_in": 60, "ref_policies": []m{{"pattern": "*", "ops": []string{"no-push"}}}})
	do("issueToken", 400, m{"operations": []string{"nothing"}})
	do("issueToken", 404, m{"repo": "nope", "operations": []string{"listFiles"}})
	c.do(request{op: "issueToken", want: 403, body: m{"operations": []string{"listFiles"}}})
	of := issued.at("token").(string)
	c.do(request{op: "getRepository", want: 200, token: of})
	c.do(request{op: "listBranches", want: 403, token: of})
	do("revokeTokens", 201, m{"jti": issued.at("jti"), "expires_at": issued.at("expires_at"), "reason": "done"})
	c.do(request{op: "getRepository", want: 401, token: of})
	do("revokeTokens", 201, m{"token": of})
	do("revokeTokens", 201, m{"token_hash": issued.at("token_hash")})
	do("revokeTokens", 201, m{"subject": "nobody", "issued_before": issued.at("issued_at")})
	do("revokeTokens", 400, m{})
	do("revokeTokens", 404, m{"key": "key_none"})
	key := do("rotateIssuerKey", 201, nil).at("id")
	do("revokeTokens", 201, m{"key": key})
	do("listKeys", 200, nil)
	page := c.do(request{op: "listRevocations", want: 200, token: org, query: url.Values{"limit": {"2"}}})
	c.do(request{op: "listRevocations", want: 200, token: org, query: url.Values{"limit": {"2"}, "cursor": {page.at("next_cursor").(string)}}})
	c.do(request{op: "listRevocations", want: 400, token: org, query: url.Values{"cursor": {"x"}}})
}
