package hosterror

import (
	"encoding/base64"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/providers"
)

func TestRedact_shapes(t *testing.T) {
	t.Parallel()
	cases := []struct{ name, in, want string }{
		{"plain text", "fatal: repository 'https://github.com/a/b.git' not found", "fatal: repository 'https://github.com/a/b.git' not found"},
		{"words", "Basic authentication is off; no bearer token: use another", "Basic authentication is off; no bearer token: use another"},
		{"an at sign in a path", "https://example.com/@user/a", "https://example.com/@user/a"},
		{"an object id", "object 1111111111111111111111111111111111111111 missing", "object 1111111111111111111111111111111111111111 missing"},
		{"user info", "'https://user:pass@example.com/a'", "'https://[redacted]@example.com/a'"},
		{"token as user", "https://tok@example.com/a", "https://[redacted]@example.com/a"},
		{"at sign in a password", "https://u:p@ss@example.com/a", "https://[redacted]@example.com/a"},
		{"header", "Authorization: Basic dXNlcjpwYXNz\nnext", "Authorization: [redacted]\nnext"},
		{"header of GitLab", "PRIVATE-TOKEN: abc", "PRIVATE-TOKEN: [redacted]"},
		{"bearer", "with bearer abcdefghijklmnop1234==", "with bearer [redacted]"},
		{"query", "GET /x?access_token=abc&b=c", "GET /x?access_token=[redacted]&b=c"},
		{"password", `password="abc"`, `password="[redacted]"`},
		{"json", `{"token": "0123456789abcdef0123456789abcdef"}`, `{"token": "[redacted]"}`},
		{"GitHub", "x ghp_0123456789abcdefghijABCDEFGHIJ012345 y gho_0123456789 ghs_0123456789", "x [redacted] y [redacted] [redacted]"},
		{"GitHub, fine-grained", "github_pat_11AAAAAAA0abc_def", "[redacted]"},
		{"GitLab", "glpat-ABCDEFGHIJKLMNOPQRST.01", "[redacted]"},
		{"Bitbucket", "ATBBabcdefghijkl0123", "[redacted]"},
		{"Slack", "xoxb-123456789012-abc", "[redacted]"},
		{"JWT", "got eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJhIn0.c2ln-X_ here", "got [redacted] here"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, Redact(c.in))
		})
	}
}

func TestRedact_givenSecrets(t *testing.T) {
	t.Parallel()
	const secret = "p/q r+s%t"
	for _, user := range []string{"", "a", "ab", "abc", "x-access-token"} {
		for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.RawURLEncoding} {
			got := Redact("sent "+enc.EncodeToString([]byte(user+":"+secret))+" today", secret)
			require.Equal(t, "sent [redacted] today", got, user)
		}
	}
	require.Equal(t, "a [redacted] b [redacted] c [redacted]", Redact("a "+secret+" b "+url.QueryEscape(secret)+" c "+url.PathEscape(secret), secret))
	require.Equal(t, "[redacted] [redacted]", Redact("hunter2 hunter2more", "hunter2", "hunter2more"))
	require.Equal(t, "abc", Redact("abc", "", "abc"), "three bytes are no secret")
}

func FuzzRedact(f *testing.F) {
	f.Add("https://u:hunter22@example.com/ Authorization: Basic dTpodW50ZXIyMg==", "hunter22", "u")
	f.Add("token=eyJhbGciOiJub25lIn0.e30.", "p/q r+s%t", "")
	f.Add("\xff\xfe ghp_\x00", "\xff\xfe\xfd\xfc", "\x80")
	f.Fuzz(func(t *testing.T, s, secret, user string) {
		valid := utf8.ValidString(s)
		got := Redact(s, providers.Secret(secret))
		if valid && utf8.ValidString(secret) && !utf8.ValidString(got) {
			t.Fatalf("%q became %q", s, got)
		}
		// A secret that has a piece of the replacement in it may come about by
		// the replacement itself.
		if len(secret) < minSecret || strings.ContainsAny(secret, redacted) {
			return
		}
		encoded := base64.StdEncoding.EncodeToString([]byte(user + ":" + secret))
		for _, text := range []string{got, Redact(s+" "+secret+" "+url.QueryEscape(secret), providers.Secret(secret))} {
			if strings.Contains(text, secret) {
				t.Fatalf("%q holds the secret %q", text, secret)
			}
		}
		if len(secret) >= 6 && strings.Contains(Redact("x "+encoded+" y", providers.Secret(secret)), encoded) {
			t.Fatalf("%q was left", encoded)
		}
	})
}
