package forge

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/providers"
)

func TestSentence(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ body, want string }{
		"message":           {`{"message":"Not Found"}`, "Not Found"},
		"error_description": {`{"error":"insufficient_scope","error_description":"More is needed."}`, "More is needed"},
		"nested error":      {`{"type":"error","error":{"message":"No such thing"}}`, "No such thing"},
		"error":             {`{"error":"invalid_token"}`, "invalid_token"},
		"message object":    {`{"message":{"base":["x"]},"error":"e"}`, "e"},
		"faults of fields":  {`{"message":{"url":["is blocked","is odd"],"name":["is too long"]}}`, "name is too long, url is blocked, url is odd"},
		"nested faults":     {`{"type":"error","error":{"message":"Bad request","fields":{"url":["Enter a valid URL."]}}}`, "Bad request: url Enter a valid URL"},
		"plain text":        {"Repository not found\n", "Repository not found"},
		"lines":             {"one\r\n two\x1b[31m", "one two [31m"},
		"page":              {"<html><body>502</body></html>", ""},
		"secret":            {`{"message":"bad token s3cret!"}`, "bad token [redacted]!"},
		"long":              {strings.Repeat("a", 300), strings.Repeat("a", 200) + "..."},
		"not UTF-8":         {"a\xffb", "a?b"},
		"nothing":           {"", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, Sentence([]byte(test.body), "s3cret", ""))
		})
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	header := func(pairs ...string) http.Header {
		h := http.Header{}
		for i := 0; i < len(pairs); i += 2 {
			h.Set(pairs[i], pairs[i+1])
		}
		return h
	}
	tests := map[string]struct {
		header http.Header
		want   time.Duration
	}{
		"seconds":       {header("Retry-After", "17"), 17 * time.Second},
		"date":          {header("Retry-After", "Sun, 22 Nov 2026 10:01:00 GMT"), time.Minute},
		"date gone by":  {header("Retry-After", "Sun, 22 Nov 2026 09:00:00 GMT"), 0},
		"nonsense":      {header("Retry-After", "soon"), 0},
		"negative":      {header("Retry-After", "-5"), 0},
		"window, spent": {header("X-RateLimit-Limit", "60", "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "1795341630"), 30 * time.Second},
		"window, open":  {header("RateLimit-Limit", "60", "RateLimit-Remaining", "4", "RateLimit-Reset", "1795341630"), 0},
		"nothing":       {header(), 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, RetryAfter(test.header, now))
		})
	}
}

func TestSkew(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	for date, want := range map[string]time.Duration{
		"Sun, 22 Nov 2026 10:00:01 GMT": 0, // within the grain of the header
		"Sun, 22 Nov 2026 10:05:00 GMT": 5 * time.Minute,
		"Sun, 22 Nov 2026 09:59:00 GMT": -time.Minute,
		"":                              0,
	} {
		require.Equal(t, want, Skew(Answer{At: at, Header: http.Header{"Date": {date}}}), date)
	}
}

func TestClient_Error_codes(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		answer Answer
		want   providers.Code
	}{
		"401":                    {Answer{Status: 401}, providers.CodeUnauthenticated},
		"403":                    {Answer{Status: 403}, providers.CodePermissionDenied},
		"403, no requests left":  {Answer{Status: 403, Header: http.Header{"X-Ratelimit-Remaining": {"0"}}}, providers.CodeRateLimited},
		"403, come back later":   {Answer{Status: 403, Header: http.Header{"Retry-After": {"60"}}}, providers.CodeRateLimited},
		"404":                    {Answer{Status: 404}, providers.CodeNotFound},
		"410":                    {Answer{Status: 410}, providers.CodeNotFound},
		"429":                    {Answer{Status: 429}, providers.CodeRateLimited},
		"400":                    {Answer{Status: 400}, providers.CodeUnavailable},
		"500":                    {Answer{Status: 500}, providers.CodeUnavailable},
		"503 with a page in it":  {Answer{Status: 503, Body: []byte("<p>")}, providers.CodeUnavailable},
		"451 for legal reasons":  {Answer{Status: 451, Body: []byte("gone")}, providers.CodeUnavailable},
		"202 where 200 is meant": {Answer{Status: 202}, providers.CodeUnavailable},
	}
	for name, test := range tests {
		e := Client{Host: "git.example.com"}.Error(test.answer, "acme/widget")
		require.Equal(t, test.want, e.Code, name)
		require.Equal(t, test.answer.Status, e.HTTPStatus, name)
		require.Contains(t, e.Message, "git.example.com", name)
	}
}
