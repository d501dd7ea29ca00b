package api

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
)

// TestQuery_everyOperation sends every parameter of every operation what it cannot be: it
// must not be read as if it were absent.
func TestQuery_everyOperation(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	repo := core.Repository{ID: "repo_1", Org: "acme", Name: "app"}
	tokens := map[bool]string{true: b.token(t, "org", access.Scopes()...), false: b.token(t, "app", access.Scopes()...)}
	n := 0
	for _, op := range operations {
		if op.open() {
			continue
		}
		for _, p := range op.takes() {
			if p.in == "header" {
				continue
			}
			n++
			for _, name := range append([]string{p.name}, p.older...) {
				bad := []string{name + "=%zz", name + "=a;x=b", "x=a;" + name + "=b", name + "=%", name + "=a%00"}
				if !p.repeated {
					bad = append(bad, name+"=a&"+name+"=b", name+"=&"+name+"=b")
				}
				if !op.names() {
					bad = append(bad, name+"=%ff")
				}
				for _, query := range bad {
					b.ledger.repos = []core.Repository{repo} // some delete it
					a := b.do(t, op.method, firstPath(op)+"?"+query, tokens[op.target == organisation || op.target == organisationOrRepository], "")
					require.Equal(t, http.StatusBadRequest, a.status, "%s?%s: %s", op.id, query, a.raw)
					require.Len(t, b.ledger.repos, 1, "nothing is done")
				}
			}
		}
	}
	require.Greater(t, n, 80)
	a := b.do(t, http.MethodGet, "/api/repos?other=1&other=2&nul=%00&state=", tokens[true], "")
	require.Equal(t, http.StatusOK, a.status, "what the operation does not know is ignored: %s", a.raw)
}

// firstPath is a path of an operation with its variables filled in.
func firstPath(op operation) string {
	path := op.preferred
	if path == "" {
		path = op.legacy
	}
	return strings.NewReplacer("{name}", "app", "{id}", "x", "{tag}", "x", "{webhook}", "x", "{delivery}", "x", "{set}", "x", "{credential}", "x").Replace(path)
}
