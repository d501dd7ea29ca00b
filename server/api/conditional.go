package api

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
)

// Reads have an ETag and take If-None-Match, so that who asks again and again is
// answered in a few bytes. There are two sorts:
//
//   - of an answer that is in memory as a whole, the hash of its bytes: strong;
//   - of one that is made piece by piece of what commits hold, the hash of their
//     ids and of what was asked: weak, and known before the work begins.

// isRead reports whether a method asks for what is there.
func isRead(method string) bool { return method == http.MethodGet || method == http.MethodHead }

// cacheable writes the head of an answer that may be kept if it is asked for each time
// whether it still holds, by the one reader whose token it was made for.
func cacheable(header http.Header, etag string) {
	header.Set("ETag", etag)
	header.Set("Cache-Control", "private, no-cache")
	header.Add("Vary", "Authorization")
}

// unchanged is for a read whose answer depends on the commits of these ids and on the
// query alone. It reports that the reader has it already, and has answered then. Else it
// has set the ETag, and the answer is still to be made.
func (s *server) unchanged(c *call, ids ...string) bool {
	sum := sha256.New()
	for _, part := range append([]string{s.Version, c.r.URL.RawQuery}, ids...) {
		_, _ = sum.Write([]byte(strconv.Itoa(len(part)) + ":" + part))
	}
	etag := `W/"` + hex.EncodeToString(sum.Sum(nil)[:16]) + `"`
	if matches(c.r, etag) {
		cacheable(c.w.Header(), etag)
		c.w.WriteHeader(http.StatusNotModified)
		return true
	}
	c.etag = etag
	return false
}

// conditionally answers a read with JSON that is in memory as a whole.
func (c *call) conditionally(text []byte) {
	header := c.w.Header()
	etag := c.etag
	if etag == "" {
		sum := sha256.Sum256(text)
		etag = `"` + hex.EncodeToString(sum[:16]) + `"`
	}
	jsonHeader(header)
	cacheable(header, etag)
	if matches(c.r, etag) {
		header.Del("Content-Type")
		c.w.WriteHeader(http.StatusNotModified)
		return
	}
	header.Set("Content-Length", strconv.Itoa(len(text)))
	c.w.WriteHeader(http.StatusOK)
	// A failed write means that the client is gone.
	_, _ = c.w.Write(text)
}

// matches reports whether If-None-Match names an ETag of ours, by the weak comparison of
// RFC 9110, 13.1.2. Ours have no comma in them.
func matches(r *http.Request, etag string) bool {
	for _, line := range r.Header.Values("If-None-Match") {
		for one := range strings.SplitSeq(line, ",") {
			one = strings.TrimSpace(one)
			if one == "*" || strings.TrimPrefix(one, "W/") == strings.TrimPrefix(etag, "W/") {
				return true
			}
		}
	}
	return false
}
