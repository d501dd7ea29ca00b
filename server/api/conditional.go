package api

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
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

// matches reports whether If-None-Match names an ETag, by the weak comparison of RFC 9110,
// 13.1.2. A line that is not a list of tags (8.8.3) names none: whoever sent it must not
// take an answer for one that it has.
func matches(r *http.Request, etag string) bool {
	for _, line := range r.Header.Values("If-None-Match") {
		if strings.Trim(line, " \t") == "*" {
			return true
		}
		if tags, ok := etags(line); ok && slices.Contains(tags, strings.TrimPrefix(etag, "W/")) {
			return true
		}
	}
	return false
}

// etags reads the tags of a line, without the mark of weak ones. It reports false if the
// line is not a list of them. A comma within quotes is part of a tag.
func etags(line string) ([]string, bool) {
	var tags []string
	for {
		line = strings.TrimLeft(line, " \t,") // empty elements are allowed
		if line == "" {
			return tags, true
		}
		line = strings.TrimPrefix(line, "W/")
		if line == "" || line[0] != '"' {
			return nil, false
		}
		end := 1 + strings.IndexByte(line[1:], '"')
		if end == 0 || strings.ContainsFunc(line[1:end], func(c rune) bool { return c <= ' ' || c == 0x7f }) {
			return nil, false
		}
		tags = append(tags, line[:end+1])
		if line = strings.TrimLeft(line[end+1:], " \t"); line != "" && line[0] != ',' {
			return nil, false
		}
	}
}
