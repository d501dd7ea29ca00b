package server

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/headwater-git/headwater/core"
)

const (
	// corsMethods and corsHeaders are what a page of an allowed origin may send.
	corsMethods = "GET, HEAD, POST, PUT, PATCH, DELETE"
	corsHeaders = "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, If-Range, Range, Traceparent"
	// corsExposed are the headers of answers that it may read.
	corsExposed = "Content-Range, ETag, Idempotent-Replayed, Link, RateLimit, RateLimit-Policy, Retry-After, X-Blob-Sha, X-Commit-Sha, X-Last-Commit-Sha, X-Request-Id"
)

// CheckCORSOrigin returns KindInvalid, with a sentence that says why, if no browser ever
// sends a text as the origin of a page: a setting that never matches would look as if it
// were one. "*" is every origin.
func CheckCORSOrigin(text string) error {
	u, err := url.Parse(text)
	switch {
	case text == "*":
		return nil
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.Scheme+"://"+u.Host != text:
		return core.Errorf(core.KindInvalid, "%q is not an origin: write it like https://app.example.org, without a path, or *", text)
	case strings.Contains(u.Host, "*"):
		return core.Errorf(core.KindInvalid, "%q is a pattern, and origins are compared as they are: name each one, or write * for every one", text)
	case text != strings.ToLower(text):
		return core.Errorf(core.KindInvalid, "%q is never sent by a browser, which writes origins in lower case: use %q", text, strings.ToLower(text))
	case !hostOfOrigin.MatchString(u.Hostname()):
		return core.Errorf(core.KindInvalid, "%q has a host that no browser sends: write it in ASCII (of an international name, the form that begins with xn--)", text)
	case u.Port() == "" && strings.HasSuffix(u.Host, ":"), u.Scheme == "https" && u.Port() == "443", u.Scheme == "http" && u.Port() == "80":
		return core.Errorf(core.KindInvalid, "%q is never sent by a browser, which leaves out the usual port: use %q", text, u.Scheme+"://"+strings.TrimSuffix(u.Host, ":"+u.Port()))
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
			return core.Errorf(core.KindInvalid, "%q has a port that there is not", text)
		}
	}
	return nil
}

// hostOfOrigin is a name in ASCII or an address.
var hostOfOrigin = regexp.MustCompile(`^(?:[0-9a-z_-]+(?:\.[0-9a-z_-]+)*\.?|[0-9a-f:.]*:[0-9a-f:.]*)$`)

// cors lets web pages of the origins call the API. Credentials of a browser, such as
// cookies, are never allowed: a page sends the token that it has. "*" is every origin.
func cors(next http.Handler, origins []string) http.Handler {
	if len(origins) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/api/") {
			next.ServeHTTP(w, r)
			return
		}
		header := w.Header()
		header.Add("Vary", "Origin")
		origin := r.Header.Get("Origin")
		if origin == "" || !slices.Contains(origins, "*") && !slices.Contains(origins, origin) {
			next.ServeHTTP(w, r)
			return
		}
		if slices.Contains(origins, "*") {
			origin = "*"
		}
		header.Set("Access-Control-Allow-Origin", origin)
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			header.Set("Access-Control-Allow-Methods", corsMethods)
			header.Set("Access-Control-Allow-Headers", corsHeaders)
			header.Set("Access-Control-Max-Age", "600")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		header.Set("Access-Control-Expose-Headers", corsExposed)
		next.ServeHTTP(w, r)
	})
}
