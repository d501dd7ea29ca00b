package forge

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/headwater-git/headwater/providers"
)

// Limits on what a host may make us do.
const (
	maxBody     = 4 << 20 // bytes of an answer that are read
	maxSentence = 200     // bytes of a host's message that are quoted
)

// Client speaks to one host.
type Client struct {
	HTTP *http.Client
	Host string // for messages
}

// Answer is what a host said.
type Answer struct {
	Status  int
	Header  http.Header
	Body    []byte
	Latency time.Duration // of the last request
	At      time.Time     // when the answer arrived, by our clock
}

// Get asks for a URL and returns the answer, whatever its status. The header
// may carry a credential. Errors: those of [Client.Do].
func (c Client) Get(ctx context.Context, address string, header http.Header) (Answer, error) {
	return c.Do(ctx, http.MethodGet, address, header, nil)
}

// Do sends a request, with a body if it is not nil, and returns the answer,
// whatever its status. The header may carry a credential.
// Errors: [providers.CodeUnavailable] if there is no answer or if it is a
// redirect, [providers.CodeInvalidArgument] if the policy forbids the address,
// and the context's error when it ended.
func (c Client) Do(ctx context.Context, method, address string, header http.Header, body []byte) (Answer, error) {
	var content io.Reader
	if body != nil {
		content = bytes.NewReader(body)
	}
	request, err := http.NewRequestWithContext(ctx, method, address, content)
	if err != nil {
		return Answer{}, providers.Errorf(providers.CodeInvalidConfig, "the API URL of %s is malformed", c.Host)
	}
	for name, values := range header {
		request.Header[name] = values
	}
	request.Header.Set("User-Agent", "headwater")
	begin := time.Now()
	response, err := c.HTTP.Do(request)
	if err != nil {
		return Answer{}, c.NetworkError(ctx, err)
	}
	defer response.Body.Close()
	answer := Answer{Status: response.StatusCode, Header: response.Header, Latency: time.Since(begin), At: time.Now()}
	answer.Body, err = io.ReadAll(io.LimitReader(response.Body, maxBody))
	if err != nil {
		return Answer{}, c.NetworkError(ctx, err)
	}
	return answer, nil
}

// NetworkError turns an error of the HTTP client into one of the contract. What
// the client itself refuses, an address or a redirect, keeps its own words.
func (c Client) NetworkError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var untrusted *tls.CertificateVerificationError
	if errors.As(err, &untrusted) {
		return providers.Errorf(providers.CodeUnavailable,
			"the certificate of %s is not trusted; if it is the right host, set ca_file in its host block in providers.hcl", c.Host)
	}
	var typed *providers.Error
	if errors.As(err, &typed) {
		return typed
	}
	return providers.Errorf(providers.CodeUnavailable, "%s cannot be reached", c.Host)
}

// Error turns an answer that is not a success into an error of the contract.
// Secrets are cut out of what the host said.
func (c Client) Error(a Answer, subject string, secrets ...providers.Secret) *providers.Error {
	said := Sentence(a.Body, secrets...)
	if said != "" {
		said = ": " + said
	}
	e := &providers.Error{HTTPStatus: a.Status}
	switch {
	case Limited(a):
		e.Code, e.RetryAfter = providers.CodeRateLimited, RetryAfter(a.Header, a.At)
		e.Message = c.Host + " limits requests at the moment" + said
	case a.Status == http.StatusUnauthorized:
		e.Code, e.Message = providers.CodeUnauthenticated, c.Host+" does not accept the credential"+said
	case a.Status == http.StatusForbidden:
		e.Code, e.Message = providers.CodePermissionDenied, c.Host+" does not permit it"+said
	case a.Status == http.StatusNotFound, a.Status == http.StatusGone:
		e.Code = providers.CodeNotFound
		e.Message = c.Host + " has no repository " + subject + ", or does not show it to this credential"
	default:
		e.Code = providers.CodeUnavailable
		e.RetryAfter = RetryAfter(a.Header, a.At)
		e.Message = c.Host + " answers with status " + strconv.Itoa(a.Status) + said
	}
	return e
}

// Limited reports whether an answer says that there were too many requests.
// GitHub says so with 403, too.
func Limited(a Answer) bool {
	if a.Status == http.StatusTooManyRequests {
		return true
	}
	return a.Status == http.StatusForbidden &&
		(a.Header.Get("X-RateLimit-Remaining") == "0" || a.Header.Get("Retry-After") != "")
}

// RetryAfter returns how long a host wants to be left alone, zero if it does
// not say.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	value := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil && at.After(now) {
		return at.Sub(now)
	}
	if rate := RateOf(h); rate.Remaining == 0 && rate.ResetAt.After(now) {
		return rate.ResetAt.Sub(now)
	}
	return 0
}

// Rate is the state of a host's request limit.
type Rate struct {
	Limit     int // requests per window; 0 if the host does not say
	Remaining int
	ResetAt   time.Time
}

// RateOf reads the rate headers of GitHub ("X-RateLimit-") and GitLab
// ("RateLimit-").
func RateOf(h http.Header) Rate {
	for _, prefix := range []string{"X-Ratelimit-", "Ratelimit-"} {
		limit, err := strconv.Atoi(h.Get(prefix + "Limit"))
		if err != nil {
			continue
		}
		rate := Rate{Limit: limit}
		rate.Remaining, _ = strconv.Atoi(h.Get(prefix + "Remaining"))
		if reset, err := strconv.ParseInt(h.Get(prefix+"Reset"), 10, 64); err == nil && reset > 0 {
			rate.ResetAt = time.Unix(reset, 0)
		}
		return rate
	}
	return Rate{}
}

// Skew returns how far the host's clock is ahead of ours. The Date header has
// whole seconds, so less than two of them mean nothing and count as zero.
func Skew(a Answer) time.Duration {
	date, err := http.ParseTime(a.Header.Get("Date"))
	if err != nil {
		return 0
	}
	skew := date.Sub(a.At.Add(-a.Latency / 2))
	if skew.Abs() < 2*time.Second {
		return 0
	}
	return skew.Round(time.Second)
}

// Sentence returns what a host said in an error body, JSON or plain text, as
// one short line without the secrets.
func Sentence(body []byte, secrets ...providers.Secret) string {
	text := said(body)
	for _, s := range secrets {
		if s != "" {
			text = strings.ReplaceAll(text, s.Reveal(), s.String())
		}
	}
	text = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(text, "?"), func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r)
	}), " ")
	text = strings.TrimSuffix(text, ".")
	if len(text) > maxSentence {
		text = strings.ToValidUTF8(text[:maxSentence], "") + "..."
	}
	return text
}

// said finds what a person may read in an error body, "" if there is nothing.
func said(body []byte) string {
	var fields struct {
		Message     json.RawMessage `json:"message"`
		Description json.RawMessage `json:"error_description"`
		Error       json.RawMessage `json:"error"`
	}
	if json.Unmarshal(body, &fields) != nil {
		if strings.Contains(string(body), "<") {
			return "" // a page
		}
		return string(body)
	}
	var inner struct { // Bitbucket nests it; elsewhere error is a string
		Message json.RawMessage `json:"message"`
		Fields  json.RawMessage `json:"fields"`
	}
	_ = json.Unmarshal(fields.Error, &inner)
	for _, raw := range []json.RawMessage{fields.Message, fields.Description, inner.Message, fields.Error} {
		text := ""
		if json.Unmarshal(raw, &text) == nil && text != "" {
			if faults := faultsOf(inner.Fields); faults != "" {
				text += ": " + faults
			}
			return text
		}
	}
	return faultsOf(fields.Message)
}

// faultsOf reads what GitLab and Bitbucket say of the fields of a request that
// they refuse: a list of faults for each.
func faultsOf(raw json.RawMessage) string {
	var byField map[string][]string
	if json.Unmarshal(raw, &byField) != nil {
		return ""
	}
	var faults []string
	for _, field := range slices.Sorted(maps.Keys(byField)) {
		for _, fault := range byField[field] {
			faults = append(faults, field+" "+fault)
		}
	}
	return strings.Join(faults, ", ")
}

// Basic returns a header with Basic credentials, an empty one without any.
func Basic(c providers.Credential) http.Header {
	header := http.Header{}
	if c.Kind == providers.CredentialBasic {
		request := http.Request{Header: header}
		request.SetBasicAuth(c.Username, c.Secret.Reveal())
	}
	return header
}

// Discover asks a host, in git's own protocol, whether a repository can be
// fetched with a credential. Its errors are those of [Client.Get] and
// [Client.Error].
func (c Client) Discover(ctx context.Context, p Place, credential providers.Credential) (Answer, error) {
	header := Basic(credential)
	header.Set("Git-Protocol", "version=2") // so that nothing is listed
	answer, err := c.Get(ctx, p.CloneURL()+"/info/refs?service=git-upload-pack", header)
	if err != nil {
		return Answer{}, err
	}
	if answer.Status != http.StatusOK {
		return answer, c.Error(answer, p.Path(), credential.Secret)
	}
	return answer, nil
}
