package gitea_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/plugins/gitea"
	"github.com/headwater-git/headwater/plugins/internal/webhooktest"
	"github.com/headwater-git/headwater/providers"
)

func suite(t testing.TB) webhooktest.Suite {
	t.Helper()
	p := gitea.New()
	require.NoError(t, p.Configure(t.Context(), providers.Config{}))
	return webhooktest.Suite{
		Provider: p, Secrets: []providers.Secret{"s3cr3t"}, Recorded: true,
		Sign: webhooktest.HMAC("X-Hub-Signature-256", "sha256=", "X-Gitea-Signature"),
		Push: "7-push", Remote: providers.Remote{Host: "127.0.0.1:3001", Path: "Root1/SRC", UpstreamID: "1"},
		Signatures: []string{"X-Hub-Signature-256", "X-Gitea-Signature"},
	}
}

func TestProvider_ParseWebhook_recorded(t *testing.T) {
	t.Parallel()
	suite(t).Run(t)
}

func TestProvider_ParseWebhook_signatures(t *testing.T) {
	t.Parallel()
	s := suite(t)
	const signature = "d7c1a0edb5b5b258606ab7a633eeb72439fd5b7980cfc7e13e122bfb22d45d04" // of 6-push
	tests := map[string]struct {
		headers map[string]string
		ok      bool
	}{
		"GitHub's header":                {map[string]string{"X-Hub-Signature-256": "sha256=" + signature}, true},
		"its own header":                 {map[string]string{"X-Gitea-Signature": signature}, true},
		"its own with another algorithm": {map[string]string{"X-Gitea-Signature": "sha1=" + signature}, false},
		"GitHub's without algorithm":     {map[string]string{"X-Hub-Signature-256": signature}, false},
		"SHA-1":                          {map[string]string{"X-Hub-Signature-256": "sha1=e3315f4b7e4484dd9758595119098601c5431d22"}, false},
		"SHA-512":                        {map[string]string{"X-Hub-Signature-256": "sha512=" + signature}, false},
		"the header of SHA-1":            {map[string]string{"X-Hub-Signature": "sha256=" + signature}, false},
		"of another product":             {map[string]string{"X-Forgejo-Signature": signature}, false},
		"a wrong one before a right one": {map[string]string{"X-Hub-Signature-256": "sha256=" + strings.Repeat("0", 64), "X-Gitea-Signature": signature}, false},
		"cut short":                      {map[string]string{"X-Hub-Signature-256": "sha256=" + signature[:32]}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := s.Read(t, "6-push")
			for _, header := range []string{"X-Hub-Signature-256", "X-Gitea-Signature", "X-Hub-Signature"} {
				r.Header.Del(header)
			}
			for header, value := range test.headers {
				r.Header.Set(header, value)
			}
			_, err := s.Provider.ParseWebhook(t.Context(), r)
			if test.ok {
				require.NoError(t, err)
				return
			}
			require.Equal(t, providers.CodeSignatureInvalid, providers.CodeOf(err), "%v", err)
		})
	}
}

func TestProvider_ParseWebhook_nonsense(t *testing.T) {
	t.Parallel()
	s := suite(t)
	tests := map[string]string{
		"no repository":    `{"ref":"refs/heads/main","before":"","after":""}`,
		"no ref":           `{"repository":{"id":1,"full_name":"root1/src"}}`,
		"short ref":        `{"ref":"main","repository":{"id":1,"full_name":"root1/src"}}`,
		"no object id":     `{"ref":"refs/heads/main","before":"HEAD","after":"","repository":{"id":1,"full_name":"root1/src"}}`,
		"ref of two lines": `{"ref":"refs/heads/a\nb","before":"","after":"","repository":{"id":1,"full_name":"root1/src"}}`,
		"id of text":       `{"ref":"refs/heads/main","repository":{"id":"1","full_name":"root1/src"}}`,
	}
	for name, body := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := s.Read(t, "7-push")
			r.Body = []byte(body)
			s.Sign(&r, "s3cr3t")
			_, err := s.Provider.ParseWebhook(t.Context(), r)
			require.Equal(t, providers.CodeInvalidArgument, providers.CodeOf(err), "%v", err)
		})
	}
}

func FuzzProvider_ParseWebhook(f *testing.F) {
	suite(f).Fuzz(f, "X-Gitea-Event")
}
