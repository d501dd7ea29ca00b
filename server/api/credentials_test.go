package api

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/providers"
)

const (
	legacyCredentials    = "/api/v1/repos/git-credentials"
	preferredCredentials = "/api/repos/team%2Fapp/git-credentials"
)

// replaceID puts an id where a table says ID.
func replaceID(text, id string) string { return strings.ReplaceAll(text, "ID", id) }

// store creates a credential of team/app and returns its id.
func (b *bench) store(t *testing.T) string {
	t.Helper()
	a := b.do(t, http.MethodPost, legacyCredentials, b.token(t, "team/app", access.RepoWrite), `{"username":"bob","password":"hunter2"}`)
	require.Equal(t, http.StatusCreated, a.status, a.raw)
	return a.at("id").(string)
}

func TestServer_createCredential_takesNameAndIDEverywhere(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name        string
		path        string
		claim, body string // "ID" stands for the internal id
		status      int
	}{
		{"legacy, all by name", legacyCredentials, "team/app", `{"repo_id":"team/app","password":"hunter2"}`, 201},
		{"legacy, body by id", legacyCredentials, "team/app", `{"repo_id":"ID","password":"hunter2"}`, 201},
		{"legacy, claim by id", legacyCredentials, "ID", `{"repo_id":"team/app","password":"hunter2"}`, 201},
		{"legacy, all by id", legacyCredentials, "ID", `{"repo_id":"ID","password":"hunter2"}`, 201},
		{"legacy, newer body", legacyCredentials, "team/app", `{"password":"hunter2","username":"bob"}`, 201},
		{"preferred", preferredCredentials, "team/app", `{"password":"hunter2","username":"bob"}`, 201},
		{"preferred, older body", preferredCredentials, "team/app", `{"repo_id":"ID","password":"hunter2"}`, 201},
		{"preferred, claim by id", preferredCredentials, "ID", `{"password":"hunter2"}`, 201},
		{"body of another repository", legacyCredentials, "team/app", `{"repo_id":"local","password":"hunter2"}`, 403},
		{"organisation token", legacyCredentials, "org", `{"repo_id":"team/app","password":"hunter2"}`, 403},
		{"no repository", legacyCredentials, "none", `{"repo_id":"none","password":"hunter2"}`, 404},
		{"no password", legacyCredentials, "team/app", `{"repo_id":"team/app"}`, 400},
		{"no body", preferredCredentials, "team/app", ``, 400},
		{"password of a wrong type", preferredCredentials, "team/app", `{"password":["hunter2"]}`, 400},
		{"password with a line break", preferredCredentials, "team/app", `{"password":"hunter2\nhost=evil"}`, 400},
		{"username with a colon", preferredCredentials, "team/app", `{"username":"a:b","password":"hunter2"}`, 400},
		{"broken JSON", preferredCredentials, "team/app", `{"password":"hunter2`, 400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			id := b.create(t, "team/app", gitlabBody)
			put := func(text string) string { return replaceID(text, id) }
			a := b.do(t, http.MethodPost, tt.path, b.token(t, put(tt.claim), access.RepoWrite), put(tt.body))
			require.Equal(t, tt.status, a.status, a.raw)
			require.NotContains(t, a.raw, "hunter2")
			require.NotContains(t, b.log.String(), "hunter2")
			if tt.status != 201 {
				require.Empty(t, b.ledger.credentials)
				return
			}
			require.Regexp(t, "^ggc_", a.at("id"))
			require.NotEmpty(t, a.at("created_at"))
			require.Equal(t, providers.Secret("hunter2"), b.ledger.credentials[id].Secret)

			a = b.do(t, http.MethodPost, tt.path, b.token(t, put(tt.claim), access.RepoWrite), put(tt.body))
			require.Equal(t, http.StatusConflict, a.status, "one credential for each repository")
		})
	}
}

func TestServer_updateAndDeleteCredential_byEveryToken(t *testing.T) {
	t.Parallel()
	const password = `"password":"swordfish"`
	for _, tt := range []struct {
		name, org, claim string
		path             string // "ID" stands for the credential's id, in body too
		body             string
		found            bool
		refused          int // if not found
	}{
		{"legacy, org", "acme", "org", legacyCredentials, `{"id":"ID",` + password + `}`, true, 0},
		{"legacy, no claim", "acme", "", legacyCredentials, `{"id":"ID",` + password + `}`, true, 0},
		{"legacy, token of the repository", "acme", "team/app", legacyCredentials, `{"id":"ID",` + password + `}`, true, 0},
		{"preferred", "acme", "team/app", preferredCredentials + "/ID", `{` + password + `}`, true, 0},
		{"preferred, id in body is not asked", "acme", "team/app", preferredCredentials + "/ID", `{"id":"ggc_x",` + password + `}`, true, 0},
		{"legacy, token of another repository", "acme", "local", legacyCredentials, `{"id":"ID",` + password + `}`, false, 404},
		{"legacy, another organisation", "other", "org", legacyCredentials, `{"id":"ID",` + password + `}`, false, 404},
		{"legacy, unknown id", "acme", "org", legacyCredentials, `{"id":"ggc_x",` + password + `}`, false, 404},
		{"legacy, no id", "acme", "org", legacyCredentials, `{` + password + `}`, false, 400},
		{"preferred, unknown id", "acme", "team/app", preferredCredentials + "/ggc_x", `{` + password + `}`, false, 404},
		{"preferred, path of another repository", "acme", "team/app", "/api/repos/local/git-credentials/ID", `{` + password + `}`, false, 403},
		{"preferred, credential of another repository", "acme", "local", "/api/repos/local/git-credentials/ID", `{` + password + `}`, false, 404},
		{"preferred, org", "acme", "org", preferredCredentials + "/ID", `{` + password + `}`, false, 403},
	} {
		for _, method := range []string{http.MethodPut, http.MethodDelete} {
			t.Run(tt.name+" "+method, func(t *testing.T) {
				t.Parallel()
				b := newBench(t)
				repo := b.create(t, "team/app", gitlabBody)
				id := b.store(t)
				a := b.do(t, method, replaceID(tt.path, id), b.tokenOf(t, tt.org, tt.claim, access.RepoWrite), replaceID(tt.body, id))
				stored, kept := b.ledger.credentials[repo]
				require.NotContains(t, a.raw, "swordfish")
				switch {
				case !tt.found:
					require.Equal(t, tt.refused, a.status, a.raw)
					require.Equal(t, providers.Secret("hunter2"), stored.Secret)
				case method == http.MethodPut:
					require.Equal(t, http.StatusOK, a.status, a.raw)
					require.Equal(t, id, a.at("id"))
					require.NotEmpty(t, a.at("created_at"))
					require.Equal(t, providers.Secret("swordfish"), stored.Secret)
					require.Equal(t, "bob", stored.Username, "left out keeps the old one")
				default:
					require.Equal(t, http.StatusNoContent, a.status, a.raw)
					require.Empty(t, a.raw)
					require.False(t, kept)
				}
			})
		}
	}
}

func TestServer_updateCredential_changesTheUsername(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	repo := b.create(t, "team/app", gitlabBody)
	path := preferredCredentials + "/" + b.store(t)
	token := b.token(t, "team/app", access.RepoWrite)
	require.Equal(t, "eve", b.do(t, http.MethodPut, path, token, `{"username":"eve","password":"x"}`).at("username"))
	require.Equal(t, http.StatusOK, b.do(t, http.MethodPut, path, token, `{"username":"","password":"x"}`).status)
	require.Empty(t, b.ledger.credentials[repo].Username)
	require.Equal(t, http.StatusBadRequest, b.do(t, http.MethodPut, path, token, `{"username":"eve"}`).status, "a password is required")
}

func TestServer_deleteCredential_needsNoBodyInThePreferredForm(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.create(t, "team/app", gitlabBody)
	path := preferredCredentials + "/" + b.store(t)
	token := b.token(t, "team/app", access.RepoWrite)
	require.Equal(t, http.StatusNoContent, b.do(t, http.MethodDelete, path, token, "").status)
	require.Equal(t, http.StatusNotFound, b.do(t, http.MethodDelete, path, token, "").status)
}

// Invariant 15: no secret in answers.
func TestServer_getRepository_tellsTheCredentialNeverItsSecret(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.create(t, "team/app", gitlabBody)
	token := b.token(t, "team/app", access.GitRead)
	require.Nil(t, b.do(t, http.MethodGet, "/api/v1/repo", token, "").at("credential"))
	id := b.store(t)
	a := b.do(t, http.MethodGet, "/api/v1/repo", token, "")
	require.Equal(t, id, a.at("credential.id"))
	require.Equal(t, "bob", a.at("credential.username"))
	require.NotEmpty(t, a.at("credential.created_at"))
	require.NotEmpty(t, a.at("credential.updated_at"))
	require.NotContains(t, a.raw, "hunter2")
	require.NotContains(t, a.raw, "redacted")
}
