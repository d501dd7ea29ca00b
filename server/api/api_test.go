package api

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
)

// orgKeys is the public keys of the organisations in these tests.
type orgKeys map[string][]core.Key

func (k orgKeys) Keys(_ context.Context, org string) ([]core.Key, error) { return k[org], nil }

// lockedBuffer is a log that may be read while it is written.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// bench is the handler over a ledger, with the organisations acme and other.
type bench struct {
	http.Handler
	ledger  *ledger
	log     *lockedBuffer
	private []byte // PEM of acme's key
	signers map[string]access.PrivateKey
}

func newBench(t *testing.T, change ...func(o *Options)) *bench {
	t.Helper()
	b := &bench{ledger: newLedger(), log: &lockedBuffer{}, signers: map[string]access.PrivateKey{}}
	keys := orgKeys{}
	for _, org := range []string{"acme", "other"} {
		private, public, err := access.GenerateES256()
		require.NoError(t, err)
		signer, err := access.ParsePrivateKey(private)
		require.NoError(t, err)
		b.signers[org] = signer
		keys[org] = []core.Key{{ID: "key_" + org, Org: org, Algorithm: "ES256", PublicPEM: string(public)}}
		if org == "acme" {
			b.private = private
		}
	}
	o := Options{
		Lookup:       b.ledger,
		Repositories: b.ledger,
		Credentials:  b.ledger,
		Records:      b.ledger,
		Syncs:        b.ledger,
		Schedule:     b.ledger,
		Clock:        core.SystemClock{},
		Ready:        b.ledger.Ready,
		Writable:     b.ledger.Writable,
		Verifier:     access.NewVerifier(keys, core.SystemClock{}),
		Logger:       hclog.New(&hclog.LoggerOptions{Output: b.log, JSONFormat: true, Level: hclog.Trace}),
		Providers:    func() []ProviderStatus { return []ProviderStatus{{Name: "gitlab", Type: "gitlab", State: "running"}} },
		Version:      "1.2.3",
	}
	for _, f := range change {
		f(&o)
	}
	b.Handler = New(o)
	return b
}

// newIssuer is a bench whose key of acme is the server's own.
func newIssuer(t *testing.T) *bench {
	t.Helper()
	private, public, err := access.GenerateES256()
	require.NoError(t, err)
	signer, err := access.ParsePrivateKey(private)
	require.NoError(t, err)
	key := core.Key{ID: "key_issuer", KeyID: core.IssuerKeyID("key_issuer"), Org: "acme", Algorithm: "ES256", PublicPEM: string(public), Issuer: true}
	b := newBench(t, func(o *Options) { o.Verifier = access.NewVerifier(orgKeys{"acme": {key}}, core.SystemClock{}) })
	b.signers["acme"] = signer
	return b
}

// issued signs a token as the server does, see [newIssuer].
func (b *bench) issued(t *testing.T, repo string, operations ...string) string {
	t.Helper()
	token, err := access.Sign(b.signers["acme"], access.Claims{
		Issuer: "acme", Subject: "tester", Repo: repo, Scopes: access.Scopes(), IssuedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour),
		KeyID: core.IssuerKeyID("key_issuer"), TokenID: "tok_1", IssuedBy: "key_acme", Operations: operations,
	})
	require.NoError(t, err)
	return token
}

// token signs a token of acme.
func (b *bench) token(t *testing.T, repo string, scopes ...access.Scope) string {
	t.Helper()
	return b.tokenOf(t, "acme", repo, scopes...)
}

func (b *bench) tokenOf(t *testing.T, org, repo string, scopes ...access.Scope) string {
	t.Helper()
	token, err := access.Sign(b.signers[org], access.Claims{
		Issuer: org, Subject: "tester", Repo: repo, Scopes: scopes, IssuedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour),
	})
	require.NoError(t, err)
	return token
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   map[string]any // nil if there is none
	raw    string
}

// at returns a value by a path of keys, such as "sync.state".
func (a answer) at(path string) any {
	var value any = a.body
	for key := range strings.SplitSeq(path, ".") {
		object, ok := value.(map[string]any)
		if !ok {
			return nil
		}
		value = object[key]
	}
	return value
}

// do sends one request. The header Content-Type is always there, as SDKs do.
func (b *bench) do(t *testing.T, method, path, token, body string) answer {
	t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r := httptest.NewRequestWithContext(t.Context(), method, "http://git.example.com"+path, reader)
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	b.ServeHTTP(w, r)
	a := answer{status: w.Code, header: w.Header(), raw: w.Body.String()}
	if w.Body.Len() > 0 {
		require.Contains(t, w.Header().Get("Content-Type"), "application/json")
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &a.body), a.raw)
		require.NotContains(t, a.raw, "null", "published schemas refuse null")
	}
	return a
}

// create makes a repository and returns its internal id.
func (b *bench) create(t *testing.T, name, body string) string {
	t.Helper()
	a := b.do(t, http.MethodPost, "/api/v1/repos", b.token(t, name, access.RepoWrite), body)
	require.Equal(t, http.StatusCreated, a.status, a.raw)
	return a.body["repo_id"].(string)
}

const gitlabBody = `{"default_branch":"main","base_repo":{"provider":"gitlab","owner":"group/sub","name":"app"}}`
