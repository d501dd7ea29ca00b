//go:build npm

package sdk

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core/access"
)

// plain calls the API as a client without any SDK does.
type plain struct {
	t      *testing.T
	b      *bench
	http   *http.Client
	key    access.PrivateKey
	repo   string
	legacy bool   // the routes /api/v1
	older  bool   // the names that SDK 1.17.1 uses
	path   string // of the upstream repository; "" is a local one
}

func newPlain(t *testing.T, b *bench, repo string) *plain {
	t.Helper()
	pem, err := os.ReadFile(b.key())
	require.NoError(t, err)
	key, err := access.ParsePrivateKey(pem)
	require.NoError(t, err)
	ca, err := os.ReadFile(b.ca())
	require.NoError(t, err)
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(ca))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	return &plain{t: t, b: b, http: &http.Client{Transport: transport, Timeout: time.Minute}, key: key, repo: repo}
}

// say chooses between the two names of a field or parameter.
func (p *plain) say(newer, older string) string {
	if p.older {
		return older
	}
	return newer
}

// token signs a token.
func (p *plain) token(repo string, scopes ...access.Scope) string {
	token, err := access.Sign(p.key, access.Claims{
		Issuer: "local", Subject: "plain", Repo: repo, Scopes: scopes, IssuedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour),
	})
	require.NoError(p.t, err)
	return token
}

// object is a JSON object, or the parameters of a query.
type object = map[string]any

// answer is what came back.
type answer struct {
	t      *testing.T
	status int
	header http.Header
	raw    string
	body   object
}

// at returns a field by a path of names.
func (a answer) at(path string) any {
	var value any = a.body
	for name := range strings.SplitSeq(path, ".") {
		o, ok := value.(object)
		require.True(a.t, ok, "%s in %s", path, a.raw)
		value = o[name]
	}
	return value
}

func (a answer) text(path string) string {
	a.t.Helper()
	text, ok := a.at(path).(string)
	require.True(a.t, ok, "%s in %s", path, a.raw)
	return text
}

// route returns the URL of what lies below the repository, in either family.
func (p *plain) route(suffix string) string {
	switch {
	case !p.legacy:
		return p.b.url + "/api/repos/" + url.PathEscape(p.repo) + suffix
	case suffix == "":
		return p.b.url + "/api/v1/repo"
	}
	return p.b.url + "/api/v1/repos" + suffix
}

// do sends a request. What goes into the body is the lines as NDJSON, else the
// fields as JSON; for GET and HEAD the fields go into the query.
func (p *plain) do(method, target string, fields object, lines []any, want int, shaped string) answer {
	p.t.Helper()
	var body io.Reader
	kind := "application/json"
	switch {
	case lines != nil:
		var text bytes.Buffer
		for _, line := range lines {
			require.NoError(p.t, json.NewEncoder(&text).Encode(line))
		}
		body, kind = &text, "application/x-ndjson"
	case method == http.MethodGet || method == http.MethodHead:
		query := url.Values{}
		for name, value := range fields {
			switch value := value.(type) {
			case []string:
				query[name] = value
			default:
				text, err := json.Marshal(value)
				require.NoError(p.t, err)
				query.Set(name, strings.Trim(string(text), `"`))
			}
		}
		if len(query) > 0 {
			target += "?" + query.Encode()
		}
	case fields != nil:
		text, err := json.Marshal(fields)
		require.NoError(p.t, err)
		body = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(p.t.Context(), method, target, body)
	require.NoError(p.t, err)
	request.Header.Set("Authorization", "Bearer "+p.token(p.repo, access.Scopes()...))
	if strings.HasSuffix(target, "/api/repos") && method == http.MethodGet || strings.Contains(target, "/api/repos?") || strings.Contains(target, "/api/v1/repos?") {
		request.Header.Set("Authorization", "Bearer "+p.token("", access.OrgRead))
	}
	request.Header.Set("Content-Type", kind)
	response, err := p.http.Do(request)
	require.NoError(p.t, err)
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	require.NoError(p.t, err)
	a := answer{t: p.t, status: response.StatusCode, header: response.Header, raw: string(raw)}
	require.Equal(p.t, want, a.status, "%s %s: %s", method, target, a.raw)
	if shaped != "" {
		require.Contains(p.t, a.header.Get("Content-Type"), "application/json")
		require.NoError(p.t, json.Unmarshal(raw, &a.body), a.raw)
		requireShape(p.t, shaped, a.body)
	}
	if method != http.MethodGet {
		p.agree()
	}
	return a
}

// get reads something below the repository.
func (p *plain) get(suffix string, query object, want int, shaped string) answer {
	p.t.Helper()
	return p.do(http.MethodGet, p.route(suffix), query, nil, want, shaped)
}

// send changes something below the repository.
func (p *plain) send(method, suffix string, body object, want int, shaped string) answer {
	p.t.Helper()
	return p.do(method, p.route(suffix), body, nil, want, shaped)
}

// agree checks that the upstream has the branches and tags that are served here,
// and nothing else.
func (p *plain) agree() {
	p.t.Helper()
	if p.path == "" {
		return
	}
	want := map[string]string{}
	for _, b := range p.get("/branches", object{"limit": 100}, http.StatusOK, "branches").at("branches").([]any) {
		want["refs/heads/"+b.(object)["name"].(string)] = b.(object)["head_sha"].(string)
	}
	for _, tag := range p.get("/tags", object{"limit": 100}, http.StatusOK, "tags").at("tags").([]any) {
		want["refs/tags/"+tag.(object)["name"].(string)] = tag.(object)["sha"].(string)
	}
	got, err := p.b.refs(p.t.Context(), p.path)
	require.NoError(p.t, err)
	require.Equal(p.t, want, got, "the upstream has other refs")
}
