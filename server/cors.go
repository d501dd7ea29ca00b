package server

import (
	"net/http"
	"slices"
	"strings"
)

const (
	// corsMethods and corsHeaders are what a page of an allowed origin may send.
	corsMethods = "GET, HEAD, POST, PUT, PATCH, DELETE"
	corsHeaders = "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, If-Range, Range, Traceparent"
	// corsExposed are the headers of answers that it may read.
	corsExposed = "Content-Range, ETag, Idempotent-Replayed, Link, RateLimit, RateLimit-Policy, Retry-After, X-Blob-Sha, X-Commit-Sha, X-Last-Commit-Sha, X-Request-Id"
)

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
