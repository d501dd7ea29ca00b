package gitlab_test

import (
	"strconv"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/plugins/gitlab"
	"github.com/headwater-git/headwater/plugins/internal/webhooktest"
	"github.com/headwater-git/headwater/providers"
)

const (
	token        = providers.Secret("s3cr3t-0123456789")
	signingToken = providers.Secret("whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
	otherToken   = providers.Secret("whsec_QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY=")
)

func suite(t testing.TB) webhooktest.Suite {
	t.Helper()
	p := gitlab.New()
	require.NoError(t, p.Configure(t.Context(), providers.Config{}))
	return webhooktest.Suite{
		Provider: p, Secrets: []providers.Secret{token}, Bodiless: true,
		Sign: func(r *providers.WebhookRequest, secret providers.Secret) {
			r.Header.Set("X-Gitlab-Token", secret.Reveal())
		},
		Push: "push", Remote: providers.Remote{Host: "example.com", Path: "Mike/diaspora", UpstreamID: "15"},
		Signatures: []string{"X-Gitlab-Token"},
	}
}

func TestProvider_ParseWebhook_recorded(t *testing.T) {
	t.Parallel()
	suite(t).Run(t)
}

// sign signs as GitLab does with a signing token, at a time.
func sign(t *testing.T, r *providers.WebhookRequest, secret providers.Secret, at time.Time) {
	t.Helper()
	const id = "msg_0123456789"
	key, err := standardwebhooks.NewWebhook(secret.Reveal())
	require.NoError(t, err)
	signature, err := key.Sign(id, at, r.Body)
	require.NoError(t, err)
	r.Header.Set("Webhook-Id", id)
	r.Header.Set("Webhook-Timestamp", strconv.FormatInt(at.Unix(), 10))
	r.Header.Set("Webhook-Signature", signature)
}

func TestProvider_ParseWebhook_signingToken(t *testing.T) {
	t.Parallel()
	s := suite(t)
	now := time.Now()
	tests := map[string]struct {
		secrets []providers.Secret
		change  func(*providers.WebhookRequest)
		ok      bool
	}{
		"signed":         {secrets: []providers.Secret{signingToken}, ok: true},
		"one of two":     {secrets: []providers.Secret{otherToken, signingToken}, ok: true},
		"beside a token": {secrets: []providers.Secret{token, signingToken}, ok: true},
		"another one":    {secrets: []providers.Secret{otherToken}},
		"empty one":      {secrets: []providers.Secret{"whsec_"}, change: func(r *providers.WebhookRequest) { sign(t, r, "whsec_", now) }},
		"not base64":     {secrets: []providers.Secret{"whsec_?"}},
		"none":           {},
		"tampered":       {secrets: []providers.Secret{signingToken}, change: func(r *providers.WebhookRequest) { r.Body = append(r.Body, ' ') }},
		"another id":     {secrets: []providers.Secret{signingToken}, change: func(r *providers.WebhookRequest) { r.Header.Set("Webhook-Id", "msg_1") }},
		"no id":          {secrets: []providers.Secret{signingToken}, change: func(r *providers.WebhookRequest) { r.Header.Del("Webhook-Id") }},
		"no time":        {secrets: []providers.Secret{signingToken}, change: func(r *providers.WebhookRequest) { r.Header.Del("Webhook-Timestamp") }},
		"old":            {secrets: []providers.Secret{signingToken}, change: func(r *providers.WebhookRequest) { sign(t, r, signingToken, now.Add(-6*time.Minute)) }},
		"of the future":  {secrets: []providers.Secret{signingToken}, change: func(r *providers.WebhookRequest) { sign(t, r, signingToken, now.Add(6*time.Minute)) }},
		"clocks apart":   {secrets: []providers.Secret{signingToken}, change: func(r *providers.WebhookRequest) { sign(t, r, signingToken, now.Add(-4*time.Minute)) }, ok: true},
		"waited here":    {secrets: []providers.Secret{signingToken}, change: func(r *providers.WebhookRequest) { waited(t, r, now) }, ok: true},
		"in two versions": {secrets: []providers.Secret{signingToken}, ok: true, change: func(r *providers.WebhookRequest) {
			r.Header.Set("Webhook-Signature", "v1a,xyz "+r.Header.Get("Webhook-Signature"))
		}},
		"right token, wrong signature": {secrets: []providers.Secret{token, otherToken}, change: func(r *providers.WebhookRequest) {
			r.Header.Set("X-Gitlab-Token", token.Reveal())
		}},
		"right token, unknown signature": {secrets: []providers.Secret{token}, ok: true, change: func(r *providers.WebhookRequest) {
			r.Header.Set("X-Gitlab-Token", token.Reveal())
		}},
		"signing token sent as a token": {secrets: []providers.Secret{signingToken}, change: func(r *providers.WebhookRequest) {
			r.Header.Del("Webhook-Signature")
			r.Header.Set("X-Gitlab-Token", signingToken.Reveal())
		}},
		"token used to sign": {secrets: []providers.Secret{"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := s.Read(t, "push")
			r.Header.Del("X-Gitlab-Token")
			r.Secrets, r.ReceivedAt = test.secrets, now
			sign(t, &r, signingToken, now)
			if test.change != nil {
				test.change(&r)
			}
			result, err := s.Provider.ParseWebhook(t.Context(), r)
			if !test.ok {
				require.Equal(t, providers.CodeSignatureInvalid, providers.CodeOf(err), "%v", err)
				return
			}
			require.NoError(t, err)
			require.True(t, result.Verified)
			if r.Header.Get("X-Gitlab-Token") == "" {
				require.Equal(t, r.Header.Get("Webhook-Id"), result.DeliveryID)
			}
		})
	}
}

// waited makes a request one that arrived an hour ago, signed then.
func waited(t *testing.T, r *providers.WebhookRequest, now time.Time) {
	t.Helper()
	r.ReceivedAt = now.Add(-time.Hour)
	sign(t, r, signingToken, r.ReceivedAt)
}

func TestProvider_ParseWebhook_deliveryID(t *testing.T) {
	t.Parallel()
	s := suite(t)
	id := func(change func(*providers.WebhookRequest)) string {
		r := s.Read(t, "push")
		change(&r)
		result, err := s.Provider.ParseWebhook(t.Context(), r)
		require.NoError(t, err)
		return result.DeliveryID
	}
	key := id(func(r *providers.WebhookRequest) { r.Header.Set("Idempotency-Key", "key-1") })
	require.Equal(t, "key-1", key)
	event := id(func(r *providers.WebhookRequest) { r.Header.Del("Idempotency-Key") })
	require.NotEmpty(t, event)
	// The refs of one push may come as the same event.
	other := id(func(r *providers.WebhookRequest) {
		r.Header.Del("Idempotency-Key")
		r.Body = append(r.Body, ' ')
	})
	require.NotEqual(t, event, other)
	require.Empty(t, id(func(r *providers.WebhookRequest) {
		r.Header.Del("Idempotency-Key")
		r.Header.Del("X-Gitlab-Event-Uuid")
	}))
}

func FuzzProvider_ParseWebhook(f *testing.F) {
	suite(f).Fuzz(f, "X-Gitlab-Event")
}
