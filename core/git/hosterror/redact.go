package hosterror

import (
	"encoding/base64"
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/headwater-git/headwater/providers"
)

// redacted replaces what must not be seen. It is the text of [providers.Secret] too.
const redacted = "[redacted]"

// minSecret is the length from which a given secret is removed. Shorter ones
// would blot out ordinary words, and no host issues them.
const minSecret = 4

// secretPatterns find what looks like a credential of somebody: ours in a form
// that was not foreseen, or another one that a host echoes.
var secretPatterns = []struct {
	re   pattern
	with string // replacement, as for [regexp.Regexp.ReplaceAllString]
}{
	// scheme://user:password@host and scheme://token@host. Greedy up to the
	// last @ before a slash or space, because passwords with a bare @ occur.
	{lazily(`(?i)([a-z][a-z0-9+.-]*://)[^/\s]*@`), "${1}" + redacted + "@"},
	// Header lines, as GIT_CURL_VERBOSE and error pages print them.
	{lazily(`(?i)((?:authorization|private-token|job-token|x-[a-z-]*token)["']?[ \t]*[:=][ \t]*)[^\r\n]+`), "${1}" + redacted},
	// A scheme and its credential without the header name. Sixteen, so that
	// "basic authentication" stays readable.
	{lazily(`(?i)(\b(?:basic|bearer)[ \t]+)[a-z0-9+/._~-]{16,}=*`), "${1}" + redacted},
	// Assignments in queries, forms and configuration.
	{lazily(`(?i)((?:token|password|passwd|secret|api[_-]?key)["']?[ \t]*=[ \t]*["']?)[^\s&"']+`), "${1}" + redacted},
	{lazily(`(?i)((?:token|password|passwd|secret|api[_-]?key)["']?[ \t]*:[ \t]*["']?)[a-z0-9+/_.=-]{20,}`), "${1}" + redacted},
	// GitHub: personal, OAuth, user-to-server, server-to-server, refresh, fine-grained.
	{lazily(`gh[pousr]_[A-Za-z0-9]{8,}`), redacted},
	{lazily(`github_pat_[A-Za-z0-9_]{8,}`), redacted},
	// GitLab: personal, deploy, OAuth, runner, job, trigger and feed tokens.
	{lazily(`gl(?:pat|dt|oas|rt|cbt|ptt|ft|imt|agent|soat)-[A-Za-z0-9_.-]{8,}`), redacted},
	// Atlassian: app passwords, API tokens, repository access tokens.
	{lazily(`AT(?:BB|ATT|CTT)[A-Za-z0-9_=.-]{8,}`), redacted},
	{lazily(`xox[a-z]-[A-Za-z0-9-]{8,}`), redacted}, // Slack
	// A JSON Web Token: three parts, of which the first begins with {".
	{lazily(`eyJ[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]*){0,2}`), redacted},
}

// RedactError returns the text of an error for a log, as [Redact] does; "" for nil.
func RedactError(err error) string {
	if err == nil {
		return ""
	}
	return Redact(err.Error())
}

// Without returns the error without the secrets: a host may repeat in any of its words
// what it was sent. What leaves a package that talks with hosts goes through here.
func (e *Error) Without(secrets ...providers.Secret) *Error {
	clean := *e
	clean.HostText = Text(e.HostText, secrets...)
	if e.Err != nil {
		if said := e.Err.Error(); Redact(said, secrets...) != said {
			clean.Err = errors.New(Redact(said, secrets...))
		}
	}
	return &clean
}

// Redact returns s without the secrets, without what encodes them (URL
// escapes, base64 of any text that holds one, such as "user:secret"), and
// without anything that looks like a credential: user info in URLs, values of
// Authorization headers, tokens of well-known shape. Each is replaced with
// "[redacted]". Secrets of fewer than four bytes are only found by shape.
func Redact(s string, secrets ...providers.Secret) string {
	if s == "" {
		return s
	}
	for _, digits := range base64Cores(secrets) {
		s = redactRuns(s, digits)
	}
	if forms := plainForms(secrets); len(forms) > 0 {
		pairs := make([]string, 0, 2*len(forms))
		for _, f := range forms {
			pairs = append(pairs, f, redacted)
		}
		s = strings.NewReplacer(pairs...).Replace(s)
	}
	for _, p := range secretPatterns {
		s = p.re().ReplaceAllString(s, p.with)
	}
	return s
}

// plainForms returns the secrets as they are and URL-encoded, longest first,
// so that a secret that begins with another is replaced whole.
func plainForms(secrets []providers.Secret) []string {
	var forms []string
	for _, secret := range secrets {
		plain := secret.Reveal()
		if len(plain) < minSecret {
			continue
		}
		forms = append(forms, plain, url.QueryEscape(plain), url.PathEscape(plain), url.UserPassword("", plain).String()[1:])
	}
	slices.SortFunc(forms, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	return slices.Compact(forms)
}

// base64Cores returns, for each secret, what every base64 text that holds it
// must contain: base64 turns three bytes into four digits, so the digits depend
// on where in a group of three the secret begins, and those at its edges also
// on its neighbours. For each of the three positions the digits that depend on
// the secret alone are the core.
func base64Cores(secrets []providers.Secret) []string {
	// Fewer digits than this could be met by chance.
	const minCore = 5
	var cores []string
	for _, secret := range secrets {
		plain := secret.Reveal()
		if len(plain) < minSecret {
			continue
		}
		for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			for shift := range 3 {
				digits := enc.EncodeToString([]byte("\x00\x00"[:shift] + plain))
				first := (shift*8 + 5) / 6           // first digit with no bit of what is before
				last := (shift + len(plain)) * 8 / 6 // first digit with a bit of what is behind
				if last-first >= minCore {
					cores = append(cores, digits[first:last])
				}
			}
		}
	}
	slices.Sort(cores)
	return slices.Compact(cores)
}

// redactRuns replaces each run of base64 digits in s that contains digits.
func redactRuns(s, digits string) string {
	var b strings.Builder
	for {
		i := strings.Index(s, digits)
		if i < 0 {
			break
		}
		from, to := i, i+len(digits)
		for from > 0 && isBase64Digit(s[from-1]) {
			from--
		}
		for to < len(s) && (isBase64Digit(s[to]) || s[to] == '=') {
			to++
		}
		b.WriteString(s[:from])
		b.WriteString(redacted)
		s = s[to:]
	}
	b.WriteString(s)
	return b.String()
}

func isBase64Digit(c byte) bool {
	return c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || strings.IndexByte("+/-_", c) >= 0
}
