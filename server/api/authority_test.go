package api

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
)

// rows are the table of docs/tokens.md.
func (a authority) row() string {
	code := func(names []string) string {
		if len(names) == 0 {
			return "none yet"
		}
		return "`" + strings.Join(names, "`, `") + "`"
	}
	var names []string
	for _, op := range operations {
		if of, ok := authorityOf(op); ok && of.noun == a.noun {
			names = append(names, op.id)
		}
	}
	signed := ""
	if len(a.signedOnly) > 0 {
		signed = code(a.signedOnly)
	}
	return fmt.Sprintf("| %s | %s | %s | %s |\n", a.noun, a.text, code(slices.Compact(names)), signed)
}

// TestAuthority_table holds the table, the records of the operations and the page
// against each other: what the table has is for organisations, and nothing else is.
func TestAuthority_table(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, op := range operations {
		_, ok := authorityOf(op)
		require.Equal(t, ok, op.target == organisation, "%s: the table of authority and the target of the operation disagree", op.id)
		known[op.id] = true
	}
	const page, heading = "../../docs/tokens.md", "| --- | --- | --- | --- |\n"
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	want := strings.Builder{}
	for _, a := range organisationAuthority {
		for _, name := range slices.Concat(a.operations, a.signedOnly) {
			require.True(t, known[name], "%s names %s", a.noun, name)
		}
		want.WriteString(a.row())
	}
	before, table, ok := strings.Cut(string(text), heading)
	require.True(t, ok)
	if os.Getenv("HEADWATER_UPDATE") != "" {
		require.NoError(t, os.WriteFile(page, []byte(before+heading+want.String()), 0o644))
		return
	}
	require.Equal(t, want.String(), table, "docs/tokens.md is out of date; run this test with HEADWATER_UPDATE=1")
}

// statusOf sends an operation without a body and returns the status.
func (b *bench) statusOf(t *testing.T, op operation, path, token string) int {
	t.Helper()
	path = strings.NewReplacer("{name}", "app", "{id}", "x", "{tag}", "x", "{webhook}", "x", "{delivery}", "x").Replace(path)
	r := httptest.NewRequestWithContext(t.Context(), op.method, "http://git.example.com"+path, http.NoBody)
	r.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	b.ServeHTTP(w, r)
	return w.Code
}

// TestAuthority_everyOperation sends every operation a token that lacks nothing but what
// the operation is about, and issued ones.
func TestAuthority_everyOperation(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	of := func(op operation, path, token string) int { return b.statusOf(t, op, path, token) }
	repository, wide := b.token(t, "app", access.Scopes()...), b.token(t, "org", access.Scopes()...)
	for _, op := range operations {
		for _, path := range []string{op.preferred, op.legacy} {
			if path == "" {
				continue
			}
			if op.target == organisation {
				require.Equal(t, http.StatusForbidden, of(op, path, repository), "%s %s with a token of one repository", op.method, path)
				require.NotEqual(t, http.StatusForbidden, of(op, path, wide), "%s %s", op.method, path)
			} else if op.target == oneRepository || op.target == newRepository || op.target == inTheTrash {
				require.Equal(t, http.StatusForbidden, of(op, path, wide), "%s %s with a token of the organisation", op.method, path)
			}
		}
	}
}

// TestOperations_ofIssuedTokens wants that the one function decides about every
// operation: an issued token opens what it names, and nothing of the rest.
func TestOperations_ofIssuedTokens(t *testing.T) {
	t.Parallel()
	b := newIssuer(t)
	repo := core.Repository{ID: "repo_1", Org: "acme", Name: "app"}
	status := func(op operation, path, token string) int {
		b.ledger.repos = []core.Repository{repo} // some delete it
		return b.statusOf(t, op, path, token)
	}
	for _, op := range operations {
		claim := repo.ID
		if op.target == organisation {
			claim = "org"
		}
		path := op.preferred
		if path == "" {
			path = op.legacy
		}
		require.Equal(t, http.StatusForbidden, status(op, path, b.issued(t, claim, "nothingOfTheKind")), "%s by a token for something else", op.id)
		got := status(op, path, b.issued(t, claim, op.id))
		if signedOnly(op.id) {
			require.Equal(t, http.StatusForbidden, got, "%s by a token that the server issued", op.id)
		} else if op.target != newRepository {
			require.NotContains(t, []int{http.StatusForbidden, http.StatusUnauthorized}, got, op.id)
		}
		found, ok := Operation(op.id, claim == "org")
		require.True(t, ok)
		require.Equal(t, signedOnly(op.id), found.SignedOnly)
	}
	_, ok := Operation("nothingOfTheKind", true)
	require.False(t, ok)
	for name, scope := range map[string]access.Scope{access.GitFetch: access.GitRead, access.GitPush: access.GitWrite} {
		found, ok := Operation(name, false)
		require.True(t, ok)
		require.Equal(t, scope, found.Scope)
	}
}
