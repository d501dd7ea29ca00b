package apispec_test

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/stretchr/testify/require"
)

// forgeCommit makes a commit without parents at the upstream.
func (c *client) forgeCommit(message string) string {
	c.t.Helper()
	git := func(args ...string) string {
		out, err := c.forge.Forge.Git(upstreamRepo, args...)
		require.NoError(c.t, err, out)
		return strings.TrimSpace(out)
	}
	tree := git("hash-object", "-t", "tree", "-w", "/dev/null")
	return git("-c", "user.name=a", "-c", "user.email=a@example.com", "commit-tree", "-m", message, tree)
}

// forgeRef moves a ref at the upstream.
func (c *client) forgeRef(ref, id string) {
	c.t.Helper()
	out, err := c.forge.Forge.Git(upstreamRepo, "update-ref", ref, id)
	require.NoError(c.t, err, out)
}

// followed walks through what there is to say of a repository that follows an
// upstream.
func (c *client) followed() {
	mine := fmt.Sprintf("%v-%v", c.legacy, c.older)
	kept, held := "refs/heads/kept-"+mine, "refs/heads/held-"+mine
	one := c.forgeCommit("one of " + mine)
	two := c.forgeCommit("two of " + mine)

	require.Empty(c.t, c.get("getSettings", 200).at("settings.include"))
	change := m{"poll": "off", "max_staleness": "10m", "ref_policies": []m{{"pattern": "refs/heads/held-*", "action": "hold"}}}
	plan := c.do(request{op: "updateSettings", want: 200, body: change, query: values("dry_run", "true")})
	require.Equal(c.t, "off", plan.at("settings.poll"))
	require.NotNil(c.t, plan.at("plan.created"))
	require.Empty(c.t, c.get("getSettings", 200).at("settings.poll"), "a dry run changes nothing")
	c.send("updateSettings", 200, change)
	c.send("updateSettings", 400, m{"poll": "sometimes"})
	c.send("updateSettings", 400, m{"max_staleness": "5"})

	for _, ref := range []string{kept, held} {
		c.forgeRef(ref, one)
	}
	ensured := c.send("ensure", 200, m{"refs": []m{{"name": kept, "id": one}}, "ids": []string{one}})
	require.Equal(c.t, true, ensured.body["refs"].([]any)[0].(map[string]any)["here"])
	c.send("ensure", 504, m{"ids": []string{strings.Repeat("1", 40)}, "timeout": "1ms"})
	c.send("ensure", 400, m{})

	draft := "draft-" + mine
	c.send("createBranch", 200, m{"target_branch": draft, "target_is_ephemeral": true, "base_ref": one})
	require.Empty(c.t, c.get("listOrphans", 200).at("orphans"))
	for _, ref := range []string{kept, held} {
		c.forgeRef(ref, two)
	}
	require.NoError(c.t, c.server.Sync(c.t, c.repo))
	byRef := map[string]string{}
	list := c.get("listRewrites", 200)
	for _, row := range list.at("rewrites").([]any) {
		byRef[row.(map[string]any)["ref"].(string)] = row.(map[string]any)["id"].(string)
	}
	require.Contains(c.t, byRef, kept)
	require.Contains(c.t, byRef, held)
	orphan := c.get("listOrphans", 200).at("orphans").([]any)[0]
	require.Equal(c.t, map[string]any{"branch": draft, "id": one, "ref": kept, "rewrite_id": byRef[kept], "base": one}, orphan)
	rewrite := func(op string, want int, id string, body any) result {
		c.t.Helper()
		return c.do(request{op: op, want: want, body: body, variables: []string{"id", id}})
	}
	rewrite("getRewrite", 200, byRef[kept], nil)
	rewrite("getRewrite", 404, "rw_none", nil)
	rewrite("restoreRewrite", 200, byRef[kept], m{"branch": "restored-" + mine})
	rewrite("approveRewrite", 409, byRef[kept], nil)
	rewrite("dismissRewrite", 200, byRef[held], nil)
	rewrite("approveRewrite", 200, byRef[held], nil)
	c.do(request{op: "purgeRewrites", want: 200, body: m{"id": byRef[kept]}})
	c.do(request{op: "purgeRewrites", want: 400, body: m{}})

	require.Equal(c.t, "ready", c.get("getSync", 200).at("state"))
	require.NotEmpty(c.t, c.get("listSyncRuns", 200, "limit", "1").at("runs"))
	c.get("listSyncRuns", 400, "cursor", "x")
	require.Empty(c.t, c.get("listPendingLFS", 200, "failed", "true", "limit", "1").at("objects"))
	c.get("listPendingLFS", 400, "cursor", "x")
	require.Empty(c.t, c.do(request{op: "pruneLFS", want: 200, query: values("dry_run", "true")}).at("objects"))
	require.EqualValues(c.t, 0, c.do(request{op: "pruneLFS", want: 200}).at("count"))

	c.get("getInboundWebhook", 200)
	require.NotEmpty(c.t, c.get("rotateInboundWebhook", http.StatusOK).at("url"))
	require.NotEmpty(c.t, c.get("listRepositoryAudit", 200).at("entries"))
	c.do(request{op: "listAudit", want: 200, token: c.orgToken(), query: values("limit", "1")})
	c.do(request{op: "exportAudit", want: 200, token: c.orgToken(), query: values("since", "2026-01-01T00:00:00Z")})
	c.do(request{op: "getOrganisation", want: 200, token: c.orgToken()})
}

// relinked attaches a repository again after it was detached, and points it
// elsewhere.
func (c *client) relinked() {
	owner, name, _ := strings.Cut(upstreamRepo, "/")
	user, secret := c.forge.Credential()
	base := m{"base_repo": m{"provider": "gitea", "owner": owner, "name": name, "upstream_host": c.forge.Host()}, "username": user, "password": secret}
	c.do(request{op: "attachUpstream", want: 200, body: base, query: values("dry_run", "true")})
	c.send("repointUpstream", 400, base)
	c.send("attachUpstream", 200, base)
	c.send("attachUpstream", 409, base)
	c.do(request{op: "repointUpstream", want: 200, body: base, query: values("dry_run", "true")})
	c.send("repointUpstream", 200, base)
}
