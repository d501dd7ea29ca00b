package apispec_test

import (
	"fmt"
	"strings"

	"github.com/stretchr/testify/require"
)

// shared walks through shared credentials and mirror sets.
func (c *client) shared() {
	org := c.orgToken()
	owner, _, _ := strings.Cut(upstreamRepo, "/")
	name := fmt.Sprintf("shared-%v-%v", c.legacy, c.older)
	do := func(op string, want int, body any, variables ...string) result {
		c.t.Helper()
		return c.do(request{op: op, want: want, token: org, body: body, variables: variables})
	}
	made := do("createSharedCredential", 201, m{"name": name, "provider": "gitea", "upstream_host": c.forge.Host(), "owner": owner, "password": c.forge.Token()})
	require.Empty(c.t, made.body["password"])
	do("createSharedCredential", 409, m{"name": name, "provider": "gitea", "upstream_host": c.forge.Host(), "owner": owner, "password": c.forge.Token()})
	do("createSharedCredential", 400, m{"name": "a/b", "provider": "gitea", "upstream_host": c.forge.Host(), "owner": owner, "password": "x"})
	c.do(request{op: "listSharedCredentials", want: 403})
	do("listSharedCredentials", 200, nil)
	do("getSharedCredential", 200, nil, "credential", name)
	do("getSharedCredential", 404, nil, "credential", "none")
	do("checkSharedCredential", 200, nil, "credential", name)
	do("rotateSharedCredential", 200, m{"password": c.forge.Token(), "overlap_seconds": 60}, "credential", name)
	do("rotateSharedCredential", 400, m{"password": "x", "overlap_seconds": -1}, "credential", name)

	repo := name + "-used"
	c.do(request{op: "createRepository", want: 201, token: c.server.Token(c.t, repo), body: m{"base_repo": m{
		"provider": "gitea", "owner": owner, "name": strings.TrimPrefix(upstreamRepo, owner+"/"), "upstream_host": c.forge.Host(),
	}}})
	do("assignSharedCredential", 200, m{"repositories": []string{repo, "none"}}, "credential", name)
	do("assignSharedCredential", 404, m{"repositories": []string{"none"}}, "credential", name)
	do("deleteSharedCredential", 409, nil, "credential", name)
	do("unassignSharedCredential", 200, m{"repositories": []string{repo}}, "credential", name)

	wish := m{"provider": "gitea", "upstream_host": c.forge.Host(), "owner": owner, "credential": name, "include": []string{"nothing-at-all"}}
	do("planMirrorSet", 200, wish)
	do("planMirrorSet", 404, m{"provider": "gitea", "upstream_host": c.forge.Host(), "owner": "nobody-here"})
	// The walks share one server, and an owner has one set.
	c.forge.AddOwner(name)
	set := do("createMirrorSet", 202, m{"provider": "gitea", "upstream_host": c.forge.Host(), "owner": name}).at("id").(string)
	do("createMirrorSet", 400, m{"provider": "gitea"})
	do("listMirrorSets", 200, nil)
	do("getMirrorSet", 200, nil, "set", set)
	do("deleteMirrorSet", 204, nil, "set", set)
	do("deleteMirrorSet", 404, nil, "set", set)
	do("deleteSharedCredential", 204, nil, "credential", name)
}
