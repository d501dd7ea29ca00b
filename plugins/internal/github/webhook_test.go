package github_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/plugins/internal/github"
	"github.com/headwater-git/headwater/providers"
)

const (
	secret   = "planted-5ecre7-of-the-webhook"
	delivery = "72d3162e-cc78-11e3-81ab-4c9367dc0958"
	folder   = "testdata/webhooks"
)

// signature returns the header that GitHub sends with a body.
func signature(key string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(key))
	_, _ = mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// request is a delivery as GitHub makes it.
func request(event string, body []byte) providers.WebhookRequest {
	return providers.WebhookRequest{
		Method: http.MethodPost,
		Header: http.Header{
			"Content-Type":        {"application/json"},
			"X-Github-Event":      {event},
			"X-Github-Delivery":   {delivery},
			"X-Hub-Signature-256": {signature(secret, body)},
		},
		Body:    body,
		Secrets: []providers.Secret{secret},
	}
}

// payloads returns GitHub's own examples by file name; the event is its first part.
func payloads(t *testing.T) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob(folder + "/*.json")
	require.NoError(t, err)
	require.Greater(t, len(files), 40)
	out := map[string][]byte{}
	for _, file := range files {
		body, err := os.ReadFile(file)
		require.NoError(t, err)
		out[filepath.Base(file)] = body
	}
	return out
}

func eventOf(file string) string {
	event, _, _ := strings.Cut(file, ".")
	return event
}

// TestParseWebhook_golden reads GitHub's own examples. Run it with
// HEADWATER_UPDATE=1 after a change that is meant.
func TestParseWebhook_golden(t *testing.T) {
	t.Parallel()
	for file, body := range payloads(t) {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			result, err := github.ParseWebhook(request(eventOf(file), body))
			require.NoError(t, err)
			require.True(t, result.Verified)
			require.Equal(t, delivery, result.DeliveryID)
			got, err := json.MarshalIndent(result, "", "  ")
			require.NoError(t, err)
			got = append(got, '\n')
			golden := filepath.Join(folder, strings.TrimSuffix(file, ".json")+".golden")
			if os.Getenv("HEADWATER_UPDATE") != "" {
				require.NoError(t, os.WriteFile(golden, got, 0o644))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			require.Empty(t, cmp.Diff(string(want), string(got)))

			again, err := github.ParseWebhook(request(eventOf(file), body))
			require.NoError(t, err)
			require.Empty(t, cmp.Diff(result, again), "the same delivery must be read alike when it is sent again")
		})
	}
}

// TestParseWebhook_forged sends every example in ways that GitHub never would.
func TestParseWebhook_forged(t *testing.T) {
	t.Parallel()
	old := hmac.New(sha1.New, []byte(secret))
	forged := map[string]func(*providers.WebhookRequest){
		"tampered":               func(r *providers.WebhookRequest) { r.Body = append(bytes.Clone(r.Body), ' ') },
		"one byte changed":       func(r *providers.WebhookRequest) { r.Body = bytes.Replace(r.Body, []byte("1"), []byte("2"), 1) },
		"unsigned":               func(r *providers.WebhookRequest) { r.Header.Del("X-Hub-Signature-256") },
		"another secret":         func(r *providers.WebhookRequest) { r.Header.Set("X-Hub-Signature-256", signature("x", r.Body)) },
		"no secret known":        func(r *providers.WebhookRequest) { r.Secrets = nil },
		"no prefix":              func(r *providers.WebhookRequest) { trimSignature(r, "sha256=") },
		"another prefix":         func(r *providers.WebhookRequest) { r.Header.Set("X-Hub-Signature-256", "sha512=00") },
		"cut short":              func(r *providers.WebhookRequest) { r.Header.Set("X-Hub-Signature-256", signature(secret, r.Body)[:50]) },
		"two signatures":         func(r *providers.WebhookRequest) { r.Header.Add("X-Hub-Signature-256", "sha256=00") },
		"empty secret":           func(r *providers.WebhookRequest) { signWith(r, "") },
		"unsigned and no secret": func(r *providers.WebhookRequest) { r.Header.Del("X-Hub-Signature-256"); r.Secrets = nil },
		"unsigned, an empty one": func(r *providers.WebhookRequest) {
			r.Header.Del("X-Hub-Signature-256")
			r.Secrets = []providers.Secret{""}
		},
		"only the older signature": func(r *providers.WebhookRequest) { r.Header.Del("X-Hub-Signature-256"); older(r) },
		"SHA-1 in the new header": func(r *providers.WebhookRequest) {
			old.Reset()
			_, _ = old.Write(r.Body)
			r.Header.Set("X-Hub-Signature-256", "sha1="+hex.EncodeToString(old.Sum(nil)))
		},
	}
	examples := payloads(t)
	for name, forge := range forged {
		t.Run(name, func(t *testing.T) {
			for file, body := range examples {
				r := request(eventOf(file), body)
				forge(&r)
				result, err := github.ParseWebhook(r)
				require.Equal(t, providers.CodeSignatureInvalid, providers.CodeOf(err), "%s: %v", file, err)
				require.Empty(t, cmp.Diff(providers.WebhookResult{}, result))
				require.NotContains(t, err.Error(), secret)
			}
		})
	}
}

func trimSignature(r *providers.WebhookRequest, prefix string) {
	r.Header.Set("X-Hub-Signature-256", strings.TrimPrefix(r.Header.Get("X-Hub-Signature-256"), prefix))
}

func signWith(r *providers.WebhookRequest, key string) {
	r.Secrets = []providers.Secret{providers.Secret(key)}
	r.Header.Set("X-Hub-Signature-256", signature(key, r.Body))
}

func older(r *providers.WebhookRequest) {
	mac := hmac.New(sha1.New, []byte(secret))
	_, _ = mac.Write(r.Body)
	r.Header.Set("X-Hub-Signature", "sha1="+hex.EncodeToString(mac.Sum(nil)))
}

func TestParseWebhook_rotation(t *testing.T) {
	t.Parallel()
	body := payloads(t)["push.0.json"]
	for name, secrets := range map[string][]providers.Secret{
		"the newer": {secret, "an older one"},
		"the older": {"a newer one", secret},
		"with void": {"", secret},
	} {
		r := request("push", body)
		r.Secrets = secrets
		_, err := github.ParseWebhook(r)
		require.NoError(t, err, name)
	}
}

func TestParseWebhook_refused(t *testing.T) {
	t.Parallel()
	push := payloads(t)["push.0.json"]
	form := []byte("payload=%7B%7D")
	for name, r := range map[string]providers.WebhookRequest{
		"form":               withHeader(request("push", form), "Content-Type", "application/x-www-form-urlencoded"),
		"no content type":    withHeader(request("push", push), "Content-Type", ""),
		"malformed type":     withHeader(request("push", push), "Content-Type", "application/json; ="),
		"too large":          request("push", bytes.Repeat([]byte(" "), 25<<20+1)),
		"no JSON":            request("push", []byte("hello")),
		"empty":              request("push", nil),
		"JSON of other kind": request("push", []byte(`[1,2]`)),
		"fields of no use":   request("push", []byte(`{"ref": {"a": 1}}`)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := github.ParseWebhook(r)
			require.Equal(t, providers.CodeInvalidArgument, providers.CodeOf(err), "%v", err)
		})
	}
}

func withHeader(r providers.WebhookRequest, name, value string) providers.WebhookRequest {
	r.Header.Set(name, value)
	return r
}

func TestParseWebhook_charset(t *testing.T) {
	t.Parallel()
	r := withHeader(request("push", payloads(t)["push.0.json"]), "Content-Type", "application/json; charset=utf-8")
	_, err := github.ParseWebhook(r)
	require.NoError(t, err)
}

func TestParseWebhook_ignored(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]providers.WebhookRequest{
		"star":                    request("star", []byte(`{"action":"created"}`)),
		"event of the future":     request("time_travel", []byte(`{}`)),
		"no event":                request("", []byte(`{}`)),
		"body that is no JSON":    request("star", []byte(`*`)),
		"repository of no use":    request("repository", []byte(`{"action":"created","repository":{"id":1}}`)),
		"description edited":      request("repository", []byte(`{"action":"edited","changes":{"description":{"from":"a"}},"repository":{"id":1}}`)),
		"installation of no use":  request("installation", []byte(`{"action":"renamed"}`)),
		"repositories of no use":  request("installation_repositories", []byte(`{"action":"counted"}`)),
		"address of a repository": forAddress(request("star", []byte(`{}`)), providers.Remote{UpstreamID: "9"}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result, err := github.ParseWebhook(r)
			require.NoError(t, err)
			require.True(t, result.Verified)
			require.Equal(t, providers.WebhookIgnored, result.Kind)
		})
	}
}

func TestParseWebhook_repositoryActions(t *testing.T) {
	t.Parallel()
	for action, kind := range map[string]providers.WebhookKind{
		"renamed": providers.WebhookRenamed, "transferred": providers.WebhookRenamed,
		"privatized": providers.WebhookRenamed, "publicized": providers.WebhookRenamed,
		"archived": providers.WebhookRenamed, "unarchived": providers.WebhookRenamed,
		"deleted": providers.WebhookDeleted, "created": providers.WebhookIgnored,
	} {
		body := fmt.Sprintf(`{"action":%q,"repository":{"id":7,"full_name":"acme/widget","html_url":"https://GitHub.com/acme/widget"}}`, action)
		result, err := github.ParseWebhook(request("repository", []byte(body)))
		require.NoError(t, err)
		require.Empty(t, cmp.Diff(providers.WebhookResult{
			Verified: true, DeliveryID: delivery, Kind: kind, Host: "github.com", RepositoryID: "7", RepositoryPath: "acme/widget",
		}, result), action)
	}
}

// TestParseWebhook_oddRefs holds that a push whose ref cannot be named still
// means that something moved.
func TestParseWebhook_oddRefs(t *testing.T) {
	t.Parallel()
	const id = "6113728f27ae82c7b1a177c8d03f9e96e0adf246"
	for name, body := range map[string]string{
		"push without a ref":     `{"before":"` + id + `","after":"` + id + `","repository":{"id":7}}`,
		"push of a short name":   `{"ref":"main","before":"` + id + `","after":"` + id + `","repository":{"id":7}}`,
		"push of no object":      `{"ref":"refs/heads/main","before":"x","after":"` + id + `","repository":{"id":7}}`,
		"push of an abbreviated": `{"ref":"refs/heads/main","before":"6113728","after":"` + id + `","repository":{"id":7}}`,
	} {
		result, err := github.ParseWebhook(request("push", []byte(body)))
		require.NoError(t, err, name)
		require.Equal(t, providers.WebhookPush, result.Kind, name)
		require.Empty(t, result.Refs, name)
		require.True(t, result.Truncated, name)
		require.Equal(t, "7", result.RepositoryID, name)
	}
	result, err := github.ParseWebhook(request("create", []byte(`{"ref":null,"ref_type":"repository","repository":{"id":7}}`)))
	require.NoError(t, err)
	require.Equal(t, providers.WebhookRef, result.Kind)
	require.True(t, result.Truncated)
}

func TestParseWebhook_deliveryID(t *testing.T) {
	t.Parallel()
	body := payloads(t)["push.0.json"]
	for given, want := range map[string]string{
		delivery:                  delivery,
		"":                        "",
		"a b":                     "",
		"a\nb":                    "",
		strings.Repeat("a", 1000): "",
	} {
		result, err := github.ParseWebhook(withHeader(request("push", body), "X-Github-Delivery", given))
		require.NoError(t, err)
		require.Equal(t, want, result.DeliveryID)
	}
}

func forAddress(r providers.WebhookRequest, remote providers.Remote) providers.WebhookRequest {
	r.Repository = &remote
	return r
}

func TestParseWebhook_addressOfARepository(t *testing.T) {
	t.Parallel()
	examples := payloads(t)
	at := func(id, path string) providers.Remote {
		return providers.Remote{Host: "github.com", UpstreamID: id, Path: path}
	}
	for name, test := range map[string]struct {
		file   string
		remote providers.Remote
		ok     bool
	}{
		"its id":                   {"push.0.json", at("186853002", "old/name"), true},
		"its path":                 {"push.0.json", at("", "codertocat/hello-world"), true},
		"another id, its path":     {"push.0.json", at("1", "Codertocat/Hello-World"), false},
		"another path":             {"push.0.json", at("", "acme/widget"), false},
		"renamed, by the old path": {"repository.renamed.9.json", at("", "Octocoders/Hello-World"), true},
		"its ping":                 {"ping.0.json", at("186853261", "x/y"), true},
		"another one's ping":       {"ping.0.json", at("1", "x/y"), false},
		"ping of an owner":         {"ping.3.json", at("1", "x/y"), true},
		"a grant":                  {"installation.suspend.5.json", at("1", "x/y"), false},
	} {
		_, err := github.ParseWebhook(forAddress(request(eventOf(test.file), examples[test.file]), test.remote))
		if test.ok {
			require.NoError(t, err, name)
			continue
		}
		require.Equal(t, providers.CodeInvalidArgument, providers.CodeOf(err), "%s: %v", name, err)
	}
}

func FuzzParseWebhook(f *testing.F) {
	f.Add("push", []byte(`{"ref":"refs/heads/main","before":"","after":"","repository":{"id":7,"full_name":"a/b"}}`))
	f.Add("repository", []byte(`{"action":"transferred","changes":{"owner":{"from":{}}}}`))
	f.Add("installation_repositories", []byte(`{"action":"added","repositories_added":[null,{"id":-1}]}`))
	f.Add("ping", []byte(`{"repository":null}`))
	f.Fuzz(func(t *testing.T, event string, body []byte) {
		result, err := github.ParseWebhook(request(event, body))
		if err != nil {
			require.Empty(t, cmp.Diff(providers.WebhookResult{}, result))
			return
		}
		for _, ref := range result.Refs {
			require.True(t, strings.HasPrefix(ref.Name, "refs/"))
		}
	})
}
