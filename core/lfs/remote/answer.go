package remote

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"mime"
	"net/http"
	"regexp"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git/hosterror"
	"github.com/headwater-git/headwater/core/lfs"
	"github.com/headwater-git/headwater/providers"
)

const (
	mediaType = "application/vnd.git-lfs+json"

	maxRefusal = 16 << 10 // bytes read of an answer that is an error
	maxAnswer  = 16 << 20 // bytes of an answer of the API
)

// answer is a whole answer of the API.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// readAnswer reads an answer, of an error only its beginning, and closes it.
func readAnswer(resp *http.Response) (answer, error) {
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode, header: resp.Header}
	limit := int64(maxAnswer)
	if !a.ok() {
		limit = maxRefusal
	}
	var err error
	a.body, err = io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil && a.ok() {
		return a, err
	}
	if int64(len(a.body)) > limit {
		if a.ok() {
			return a, &hosterror.Error{Class: core.ClassProtocol, Status: a.status, HostText: fmt.Sprintf("the upstream's LFS answered with more than %d bytes", limit)}
		}
		a.body = a.body[:limit]
	}
	return a, nil
}

// ok reports whether the status is one of success.
func (a answer) ok() bool { return a.status >= 200 && a.status < 300 }

func (a answer) media() string {
	media, _, _ := mime.ParseMediaType(a.header.Get("Content-Type"))
	return media
}

// decode reads the JSON of an answer. place is where it came from, for a person.
func (a answer) decode(place string, into any) error {
	if a.media() == "text/html" {
		return &hosterror.Error{Class: core.ClassProtocol, Status: a.status, HostText: "a page of HTML answers at " + place + ", not an LFS server"}
	}
	if err := json.Unmarshal(a.body, into); err != nil {
		return &hosterror.Error{Class: core.ClassProtocol, Status: a.status, HostText: "what answers at " + place + " is not an LFS server", Err: err}
	}
	return nil
}

// words returns what the host says, "" if it says nothing that a person can read.
func (a answer) words(secrets []providers.Secret) string {
	var text string
	switch media := a.media(); {
	case media == "application/json", strings.HasSuffix(media, "+json"):
		var said struct {
			Message string          `json:"message"`
			Error   json.RawMessage `json:"error"`
		}
		_ = json.Unmarshal(a.body, &said)
		if text = said.Message; text == "" {
			_ = json.Unmarshal(said.Error, &text)
		}
	case media == "application/xml", media == "text/xml": // of storage services
		var said struct {
			Code    string `xml:"Code"`
			Message string `xml:"Message"`
		}
		_ = xml.Unmarshal(a.body, &said)
		if text = said.Message; text == "" {
			text = said.Code
		}
	case media == "text/plain":
		text = string(a.body)
	}
	return hosterror.Text(queries.ReplaceAllString(text, "$1?[redacted]"), secrets...)
}

// queries finds the queries of addresses, which hold signatures.
var queries = regexp.MustCompile(`(https?://[^\s?"'<>]+)\?[^\s"'<>]*`)

// refusal makes the error of an answer that is not a success.
func (a answer) refusal(about string, secrets []providers.Secret) *hosterror.Error {
	e := &hosterror.Error{Status: a.status, HostText: a.words(secrets), RetryAfter: hosterror.RetryAfter(a.header)}
	e.Class = classOf(a.status, e.HostText)
	switch {
	case a.status == http.StatusProxyAuthRequired:
		e.HostText = hosterror.ProxyWantsLogin // a proxy says that, and never the host
	case e.HostText == "":
		e.HostText = strings.TrimSpace(fmt.Sprintf("the host answered %d %s", a.status, http.StatusText(a.status)))
		fallthrough
	default:
		if about != "" {
			e.HostText = about + ": " + e.HostText
		}
	}
	if a.status == http.StatusServiceUnavailable && e.RetryAfter > 0 {
		e.Class = core.ClassRateLimited // it says when to come again
	}
	return e
}

// quotas finds what hosts say when there is no room for large files any more.
var quotas = regexp.MustCompile(`(?i)(?:data|bandwidth|storage|lfs|size) (?:quota|limit)|over (?:its|the|your) [a-z ]*quota|quota (?:was |is |has been )?exceeded`)

// classOf returns the class of a status in the words of the LFS specification.
func classOf(status int, text string) core.ErrorClass {
	switch {
	case status == http.StatusInsufficientStorage, status == 509: // 509: the bandwidth is used up
		return core.ClassTooLarge
	case status == http.StatusNotImplemented, status == http.StatusMethodNotAllowed:
		return core.ClassRefused
	case status >= 400 && status < 500 && status != http.StatusTooManyRequests && quotas.MatchString(text):
		return core.ClassTooLarge
	}
	return hosterror.ClassOfStatus(status, text)
}

// object returns the name of an object in a sentence.
func object(p lfs.Pointer) string { return "LFS object " + string(p.OID) }
