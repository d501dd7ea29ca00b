// Package webhooktest holds the tests that every plugin's ParseWebhook has to
// pass, over recorded webhooks: a folder with a body <case>.json, byte for byte
// as it was sent, its headers in <case>.headers, and in <case>.golden what the
// plugin makes of it. HEADWATER_UPDATE=1 writes the golden files anew.
package webhooktest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/providers"
)

// folder holds the recordings of a plugin.
const folder = "testdata/webhooks"

// Suite says how the webhooks of one plugin are made.
type Suite struct {
	// Provider is configured.
	Provider providers.Provider
	// Secrets verify the recordings.
	Secrets []providers.Secret
	// Sign signs a request as the host does, with one of its secrets where it
	// has any. It replaces a signature that is there.
	Sign func(r *providers.WebhookRequest, secret providers.Secret)
	// Recorded says that the recordings have their own signatures, which are
	// verified as they are; without it Sign makes them.
	Recorded bool
	// Push is the case that the tests of refusals start from, and Remote the
	// repository that it is about.
	Push   string
	Remote providers.Remote
	// Signatures are the headers that prove who sent a webhook.
	Signatures []string
	// Bodiless says that what proves the sender says nothing about the body.
	Bodiless bool
	// OwnKeys says that the host signs with a key of its own, so that the
	// request's secrets do not matter.
	OwnKeys bool
}

// Run runs all tests.
func (s Suite) Run(t *testing.T) {
	t.Run("golden", s.golden)
	t.Run("refused", s.refusals)
	t.Run("secrets", s.secrets)
	t.Run("repository", s.repository)
	t.Run("replayed", s.replayed)
	t.Run("headers", s.headers)
}

// Read returns a recorded webhook.
func (s Suite) Read(t *testing.T, name string) providers.WebhookRequest {
	t.Helper()
	body, err := os.ReadFile(filepath.Join(folder, name+".json"))
	require.NoError(t, err)
	header, err := os.ReadFile(filepath.Join(folder, name+".headers"))
	require.NoError(t, err)
	parsed, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(append(header, '\n')))).ReadMIMEHeader()
	require.NoError(t, err)
	r := providers.WebhookRequest{
		Method: http.MethodPost, Path: "/webhooks/x", Header: http.Header(parsed), Body: body, Secrets: s.Secrets,
		ReceivedAt: time.Now(),
	}
	if !s.Recorded {
		s.Sign(&r, s.first())
	}
	return r
}

func (s Suite) first() providers.Secret {
	if len(s.Secrets) == 0 {
		return ""
	}
	return s.Secrets[0]
}

func (s Suite) golden(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(folder, "*.json"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result, err := s.Provider.ParseWebhook(t.Context(), s.Read(t, name))
			require.NoError(t, err)
			require.True(t, result.Verified)
			got, err := json.MarshalIndent(result, "", "  ")
			require.NoError(t, err)
			got = append(got, '\n')
			golden := strings.TrimSuffix(file, ".json") + ".golden"
			if os.Getenv("HEADWATER_UPDATE") != "" {
				require.NoError(t, os.WriteFile(golden, got, 0o600))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("%s differs, -want +got:\n%s", golden, diff)
			}
		})
	}
}

func (s Suite) refusals(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*providers.WebhookRequest)
		want   providers.Code
	}{
		"tampered": {func(r *providers.WebhookRequest) {
			r.Body = bytes.Replace(r.Body, []byte(`"`), []byte(`" `), 1)
		}, providers.CodeSignatureInvalid},
		"unsigned": {func(r *providers.WebhookRequest) {
			for _, name := range s.Signatures {
				r.Header.Del(name)
			}
		}, providers.CodeSignatureInvalid},
		"empty signature": {func(r *providers.WebhookRequest) {
			for _, name := range s.Signatures {
				r.Header.Set(name, "")
			}
		}, providers.CodeSignatureInvalid},
		"signature of something else": {func(r *providers.WebhookRequest) {
			for _, name := range s.Signatures {
				r.Header.Set(name, strings.Repeat("00", 32))
			}
		}, providers.CodeSignatureInvalid},
		"two signatures": {func(r *providers.WebhookRequest) {
			for _, name := range s.Signatures {
				r.Header[http.CanonicalHeaderKey(name)] = append(r.Header.Values(name), "x")
			}
		}, providers.CodeSignatureInvalid},
		"malformed and unsigned": {func(r *providers.WebhookRequest) {
			r.Body = []byte("{")
			for _, name := range s.Signatures {
				r.Header.Del(name)
			}
		}, providers.CodeSignatureInvalid},
		"malformed and signed": {func(r *providers.WebhookRequest) {
			r.Body = []byte(`{"ref":`)
			s.Sign(r, s.first())
		}, providers.CodeInvalidArgument},
		"signed list": {func(r *providers.WebhookRequest) {
			r.Body = []byte(`[]`)
			s.Sign(r, s.first())
		}, providers.CodeInvalidArgument},
		"form and signed": {func(r *providers.WebhookRequest) {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}, providers.CodeInvalidArgument},
		"oversized": {func(r *providers.WebhookRequest) {
			r.Body = append(r.Body, bytes.Repeat([]byte(" "), 25<<20)...)
			s.Sign(r, s.first())
		}, providers.CodeInvalidArgument},
		"GET": {func(r *providers.WebhookRequest) { r.Method = http.MethodGet }, providers.CodeInvalidArgument},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if s.Bodiless && name == "tampered" {
				return
			}
			r := s.Read(t, s.Push)
			test.change(&r)
			_, err := s.Provider.ParseWebhook(t.Context(), r)
			require.Equal(t, test.want, providers.CodeOf(err), "%v", err)
			if name == "form and signed" {
				require.ErrorContains(t, err, "set its content type to application/json at the host")
			}
			for _, secret := range s.Secrets {
				require.NotContains(t, err.Error(), secret.Reveal())
			}
		})
	}
}

func (s Suite) secrets(t *testing.T) {
	t.Parallel()
	if s.OwnKeys {
		return
	}
	const older, newer = providers.Secret("older-0123456789"), providers.Secret("newer-0123456789")
	tests := map[string]struct {
		with    providers.Secret
		secrets []providers.Secret
		ok      bool
	}{
		"older of two":       {older, []providers.Secret{newer, older}, true},
		"newer of two":       {newer, []providers.Secret{newer, older}, true},
		"another":            {"another-0123456789", []providers.Secret{newer, older}, false},
		"none configured":    {older, nil, false},
		"empty one":          {"", []providers.Secret{""}, false},
		"empty among others": {"", []providers.Secret{"", newer}, false},
		"right beside empty": {newer, []providers.Secret{"", newer}, true},
		"prefix":             {newer[:8], []providers.Secret{newer}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := s.Read(t, s.Push)
			r.Secrets = test.secrets
			s.Sign(&r, test.with)
			result, err := s.Provider.ParseWebhook(t.Context(), r)
			if test.ok {
				require.NoError(t, err)
				require.True(t, result.Verified)
				return
			}
			require.Equal(t, providers.CodeSignatureInvalid, providers.CodeOf(err), "%v", err)
			require.False(t, result.Verified)
		})
	}
}

func (s Suite) repository(t *testing.T) {
	t.Parallel()
	r := s.Read(t, s.Push)
	other := func(change func(*providers.Remote)) *providers.Remote {
		remote := s.Remote
		change(&remote)
		return &remote
	}
	tests := map[string]struct {
		remote *providers.Remote
		ok     bool
	}{
		"of the instance":            {nil, true},
		"the one":                    {&s.Remote, true},
		"without id":                 {other(func(r *providers.Remote) { r.UpstreamID = "" }), true},
		"another":                    {other(func(r *providers.Remote) { r.UpstreamID, r.Path = "", r.Path+"2" }), false},
		"another at the path":        {other(func(r *providers.Remote) { r.UpstreamID = "4711" }), false},
		"the one under another name": {other(func(r *providers.Remote) { r.Path += "2" }), s.Remote.UpstreamID != ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := r
			r.Repository = test.remote
			_, err := s.Provider.ParseWebhook(t.Context(), r)
			if test.ok {
				require.NoError(t, err)
				return
			}
			require.Equal(t, providers.CodeInvalidArgument, providers.CodeOf(err), "%v", err)
		})
	}
}

// replayed checks that a delivery which comes again has the same id, so that
// the server knows it: a plugin keeps nothing by which it could.
func (s Suite) replayed(t *testing.T) {
	t.Parallel()
	r := s.Read(t, s.Push)
	first, err := s.Provider.ParseWebhook(t.Context(), r)
	require.NoError(t, err)
	require.NotEmpty(t, first.DeliveryID)
	second, err := s.Provider.ParseWebhook(t.Context(), r)
	require.NoError(t, err)
	if diff := cmp.Diff(first, second); diff != "" {
		t.Error(diff)
	}
}

// headers checks that the plugin reads no header that its manifest does not
// name: the server hands over no other.
func (s Suite) headers(t *testing.T) {
	t.Parallel()
	all := s.Read(t, s.Push)
	named := all
	named.Header = http.Header{}
	for _, name := range s.Provider.Manifest().WebhookHeaders {
		if values := all.Header.Values(name); len(values) > 0 {
			named.Header[http.CanonicalHeaderKey(name)] = values
		}
	}
	want, err := s.Provider.ParseWebhook(t.Context(), all)
	require.NoError(t, err)
	got, err := s.Provider.ParseWebhook(t.Context(), named)
	require.NoError(t, err)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// RunAlone requires that each of the headers is enough by itself: hosts that
// came from others send several signatures, and may drop the oldest one day.
func (s Suite) RunAlone(t *testing.T, headers ...string) {
	for _, header := range headers {
		r := s.Read(t, s.Push)
		signature := r.Header.Get(header)
		for _, name := range s.Signatures {
			r.Header.Del(name)
		}
		r.Header.Set(header, signature)
		_, err := s.Provider.ParseWebhook(t.Context(), r)
		require.NoError(t, err, header)
	}
}
