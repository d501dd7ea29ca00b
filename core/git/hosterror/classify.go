// Package hosterror reads what hosts, and git on their behalf, say of a failure: it
// tells the class of an error, makes the host's words fit to be shown, and removes
// secrets from them. The sentences that it knows, with their sources, are in
// testdata/classify.
package hosterror

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git/fsck"
	"github.com/headwater-git/headwater/core/git/progress"
)

// source says in whose messages a pattern is looked for.
type source int

const (
	fromGit  source = iota // git on this machine: lines without "remote: "
	fromHost               // the upstream: lines with it
	fromAny
)

// notGit finds what git says of a host that answers with something else (remote-curl.c and
// fetch-pack.c).
var notGit = lazily(`not valid: is this a git repository|expected ACK/NAK, got|expected shallow/unshallow, got|unexpected acknowledgment line`)

// remoteErrors tell the class of a failed fetch or push. The first that
// matches wins: what the host says about the cause stands before the HTTP
// status it came with, and that before what git says of the consequences
// ("early EOF" follows almost everything). Each has a fixture in
// testdata/classify that names where the text comes from.
var remoteErrors = []struct {
	class core.ErrorClass
	from  source
	re    pattern
}{
	// What this machine is short of; see git.ResourceError. The disk's also in the midst
	// of a message: the repository may be fine and the upstream too.
	{core.ClassResource, fromGit, exhausted},
	{core.ClassResource, fromGit, fullDisk},
	{core.ClassInternal, fromGit, lazily(`Read-only file system`)},

	{core.ClassRefused, fromGit, proxyRefused},
	{core.ClassRateLimited, fromAny, lazily(`(?i)rate[- ]?limit|too many requests|abuse detection|returned error: 429`)},
	// What a host says of a while stands before what it says for good: GitLab
	// calls a repository that is being moved "temporarily read-only".
	{core.ClassUnavailable, fromHost, lazily(`(?i)temporarily (?:read-only|unavailable)|under maintenance|maintenance mode`)},
	{core.ClassTooLarge, fromAny, lazily(`(?i)pack exceeds maximum allowed size|exceeds? .{0,40}(?:size|storage) (?:limit|quota)|exceed the [0-9.]+ ?[KMGT]i?B limit|(?:exceeded|over) .{0,40}(?:size|storage) (?:limit|quota)|above (?:its|the) size limit|large files? detected|file size limit|(?:storage|disk|repository) quota|quota exceeded|over quota|returned error: 413`)},

	// Verification of objects by git on this machine (transfer.fsckObjects).
	{core.ClassCorrupt, fromGit, lazily(`fsck error in |error: object [0-9a-f]{40,64}: [A-Za-z0-9]+: |(?:pack|object|packfile) .{0,120}(?:is corrupt|corrupt or missing)|inflate: data stream error|inflate returned|pack has bad object|SHA1 COLLISION|SHA1 mismatch|hash mismatch|did not send all necessary objects|bad object [0-9a-f]{40}|unresolved deltas?|confused by unstable object source|unable to parse object|mismatched algorithms`)},

	// Redirects are never followed.
	{core.ClassMoved, fromGit, lazily(`unable to update url base from redirection|returned error: 30[12378]|redirected you|maximum redirects`)},
	{core.ClassMoved, fromHost, lazily(`(?i)repository (?:has )?moved|project '.*' was moved`)},

	{core.ClassRefused, fromAny, lazily(hostRefuses)},

	// Gitea's answer to a push to a repository that is not there.
	{core.ClassNotFound, fromHost, lazily(`(?i)push to create is not enabled`)},
	// "not found" before "auth": GitHub and GitLab answer a private repository
	// and a missing one alike, and their sentence names both causes.
	{core.ClassNotFound, fromHost, lazily(`(?i)repository .{0,200}not found|project you were looking for could not be found|not found or you do(?:n't| not) have (?:permission|access)|does not exist|repository unavailable`)},
	{core.ClassAuth, fromAny, lazily(`(?i)authentication failed|could not read (?:username|password)|terminal prompts disabled|returned error: 40[13]|HTTP basic: access denied|invalid (?:username|credentials|token)|bad credentials|permission to .{0,200} denied|user permission denied|access denied|not authori[sz]ed|unauthori[sz]ed|password authentication (?:was|is)|not (?:allowed|permitted) to (?:push|pull|download|upload|access|write)|write access to (?:the )?repository not granted|token .{0,40}(?:expired|revoked)|SAML SSO`)},
	{core.ClassNotFound, fromGit, lazily(`repository '[^']*' not found|returned error: 4(?:04|10)|couldn't find remote ref|does not appear to be a git repository`)},
	{core.ClassProtocol, fromGit, notGit},

	{core.ClassTimeout, fromGit, lazily(`(?i)operation too slow|operation timed out|connection timed out|timeout was reached|timed out after|returned error: 408`)},
	{core.ClassUnavailable, fromAny, lazily(`(?i)returned error: 5\d\d|internal server error|service (?:temporarily )?unavailable|bad gateway|gateway time-?out|internal API (?:error|unreachable)|HTTP (?:code = )?5\d\d`)},
	{core.ClassNetwork, fromGit, lazily(`(?i)could not resolve|failed to connect|couldn't connect|connection (?:refused|reset|was reset|closed|died)|no route to host|network is unreachable|SSL|TLS|certificate|handshake|empty reply from server|RPC failed|early EOF|hung up|unexpected disconnect|unexpected EOF|expected flush|expected 'packfile'|bad pack header|bad line length|protocol error|transfer closed|HTTP/2 stream|invalid server response|not our ref|unable to access '`)},

	// "remote error: text" is an ERR packet: a refusal for a reason of the host's own.
	{core.ClassRefused, fromGit, lazily(`fatal: remote error: `)},
}

// hostRefuses finds refusals that another credential would not help against.
const hostRefuses = archivedWords + `|(?i:IP (?:address )?allow[- ]?list|must whitelist your IP|account (?:is |has been )?(?:suspended|blocked|disabled|deactivated|pending approval)|accept the Terms of Service|repository .{0,60}(?:disabled|read-only)|repository cannot be accessed|read-only GitLab instance|(?:pulling|pushing|git access) over HTTPS? is not allowed|by HTTP protocol is not allowed|DMCA|returned error: 451|unavailable (?:for|due to) legal)`

// archivedWords finds what hosts say of a push to an archived repository.
const archivedWords = `(?i:(?:repo|repository|project) (?:is|was|has been) archived|archived (?:repo|repository|project)\b|archived so it is read-only)`

var hostArchived = lazily(archivedWords)

// IsArchived reports whether an upstream said that it is archived: a state of
// the repository, not of the credential.
func IsArchived(text string) bool { return hostArchived().MatchString(text) }

// ClassOfStatus returns the class of an HTTP answer that is not 2xx. Hosts give
// 403 many meanings: it says auth unless their words tell another.
func ClassOfStatus(status int, Text string) core.ErrorClass {
	switch {
	case status >= 300 && status < 400:
		return core.ClassMoved
	case status == http.StatusTooManyRequests:
		return core.ClassRateLimited
	case status == http.StatusForbidden:
		if class, ok := wordsClass(Text); ok {
			return class
		}
		return core.ClassAuth
	case status == http.StatusUnavailableForLegalReasons:
		return core.ClassRefused
	case status == http.StatusUnauthorized:
		return core.ClassAuth
	case status == http.StatusNotFound, status == http.StatusGone:
		return core.ClassNotFound
	case status == http.StatusRequestTimeout:
		return core.ClassTimeout
	case status == http.StatusRequestEntityTooLarge:
		return core.ClassTooLarge
	case status >= 500:
		return core.ClassUnavailable
	}
	return core.ClassRefused
}

// ClassOfWords returns the class of a refusal of which only the host's words are
// known.
func ClassOfWords(text string) core.ErrorClass {
	if class, ok := wordsClass(text); ok {
		return class
	}
	return core.ClassRefused
}

// wordsClass returns the class that a host's words tell; false: none.
func wordsClass(text string) (core.ErrorClass, bool) {
	for _, e := range remoteErrors {
		if e.from != fromGit && e.re().MatchString(text) {
			return e.class, true
		}
	}
	return "", false
}

// Classify returns, from the stderr of a failed git fetch or push, the class of
// the failure and the sentence worth showing: the host's own message if there is
// one, else git's line about the cause; redacted, on one line, at
// most 500 bytes, without paths of this machine. It is [core.ClassInternal]
// when no message is known. For an exit code of 0 class and sentence are
// empty.
func Classify(stderr string, exitCode int) (core.ErrorClass, string) {
	if exitCode == 0 {
		return "", ""
	}
	found := splitSources(stderr)
	for _, e := range remoteErrors {
		for _, part := range found.of(e.from) {
			if loc := e.re().FindStringIndex(part); loc != nil {
				if refusal, ok := fsck.FindRefusal(found.local); ok && e.class == core.ClassCorrupt {
					return e.class, truncate(Redact(refusal.Sentence()), MaxText)
				}
				return e.class, sentence(found, lineAround(part, loc[0]))
			}
		}
	}
	// Git failed without a message that is known.
	if text := sentence(found, found.fatal()); text != "" {
		return core.ClassInternal, text
	}
	return core.ClassInternal, "git failed with exit status " + strconv.Itoa(exitCode)
}

// FindRefusal returns the object that git on this machine refused, from the stderr of a
// failed git fetch.
func FindRefusal(stderr string) (fsck.Refusal, bool) {
	return fsck.FindRefusal(splitSources(stderr).local)
}

// withoutEffect finds the words of git for a request that the host turned away,
// and for one that failed while git was still asking what refs there are.
var withoutEffect = lazily(`returned error: (?:30[12378]|40[0-7]|409|41\d|42\d|451)|unable to access '|Authentication failed for |could not read (?:Username|Password) for |repository '[^']*' not found|unable to update url base from redirection|fatal: remote error: `)

// IsWithoutEffect reports whether a failed git push ended before the host did
// any of the work. Only git's own words count: what the host said beside them
// may come from after the work.
func IsWithoutEffect(stderr string) bool {
	return withoutEffect().MatchString(splitSources(stderr).local)
}

// IsStatusWithoutEffect is [IsWithoutEffect] for the status of an answer that this process
// got from the host itself.
func IsStatusWithoutEffect(status int) bool {
	switch {
	case status >= 300 && status < 400,
		status >= 400 && status < 430 && status != http.StatusRequestTimeout,
		status == http.StatusUnavailableForLegalReasons:
		return true
	}
	return false
}

// IsAtomicUnsupported reports whether git push --atomic failed because the
// upstream has no such capability; nothing was sent then.
func IsAtomicUnsupported(stderr string) bool {
	return strings.Contains(stderr, "the receiving end does not support --atomic push")
}

// IsPushOptionsUnsupported reports whether git push --push-option failed
// because the upstream has no such capability; nothing was sent then.
func IsPushOptionsUnsupported(stderr string) bool {
	return strings.Contains(stderr, "the receiving end does not support push options")
}

// messages are the lines of a standard error by their source, cleaned.
type messages struct{ local, host string }

func splitSources(stderr string) messages {
	var local, host []string
	for line := range strings.FieldsFuncSeq(stderr, func(r rune) bool { return r == '\n' || r == '\r' }) {
		if _, ok := progress.Parse(line); ok {
			continue
		}
		if text, ok := remoteText(line); ok {
			host = append(host, text)
		} else if text := strings.TrimSpace(cleanText(line)); text != "" {
			local = append(local, text)
		}
	}
	return messages{local: strings.Join(local, "\n"), host: strings.Join(host, "\n")}
}

func (s messages) of(from source) []string {
	switch from {
	case fromGit:
		return []string{s.local}
	case fromHost:
		return []string{s.host}
	}
	return []string{s.host, s.local}
}

// fatal returns the line in which git on this machine says why it gave up. The
// first is the cause; those behind it are consequences.
func (s messages) fatal() string {
	for _, prefix := range []string{"fatal: ", "error: "} {
		for line := range strings.SplitSeq(s.local, "\n") {
			if strings.HasPrefix(line, prefix) {
				return line
			}
		}
	}
	return lineAround(s.local, len(s.local))
}

var (
	// machinePath finds absolute paths of at least two elements. What stands
	// before the first slash keeps the paths of URLs out.
	machinePath = lazily(`(^|[\s'"(=])/[^\s'":]+/[^\s'":]*`)
	// noise at the start of a line of git's, without meaning to a person.
	gitPrefix = lazily(`^(?:(?:fatal|error|ERROR): )?(?:remote error: )?`)
	// decoration finds the rulers that hosts put around their messages, and the
	// empty lines of Gitea's hooks.
	decoration = lazily(`[=*_-]{4,}|(?m:^error:$)`)
)

// proxyRefused finds git's words for it, and curl's for a tunnel.
var proxyRefused = lazily(`(?:returned error:|HTTP code|response) 407`)

// ProxyWantsLogin says that the operator's forward proxy refused its user and password.
const ProxyWantsLogin = "the server's own proxy answered 407 Proxy Authentication Required"

// ours replaces lines of git and curl that tell a person nothing by what they mean;
// the first that matches does. Where there is a group, its text ends the sentence.
var ours = []struct {
	re   pattern
	text string
}{
	{lazily(`could not read (?:Username|Password) for |terminal prompts disabled`), "the host does not accept the credential, or wants one and none is stored"},
	{lazily(`(?i)operation too slow|timeout was reached|operation timed out|connection timed out|timed out after`), "the host did not answer in time"},
	{lazily(`Could not resolve (?:host|proxy)`), "the host's name could not be resolved"},
	{lazily(`SSL certificate problem: (.+)`), "the host's certificate is not trusted: "},
	{lazily(`(?i)certificate`), "the host's certificate is not trusted"},
	// Proxies alone say 407 (RFC 9110 section 15.5.8), and none but the operator's is
	// between here and the host that could want something of us.
	{proxyRefused, ProxyWantsLogin},
	{lazily(`unable to update url base from redirection|returned error: 30[12378]`), "the host answered with a redirect, which is not followed"},
	{notGit, "the host's answer is not git's protocol"},
	{lazily(`returned error: (\d{3})`), "the host answered with HTTP status "},
	{lazily(`Failed to connect|[Cc]ouldn't connect|Connection refused`), "the host cannot be connected to"},
	{lazily(`hung up|early EOF|transfer closed|HTTP/2 stream|unexpected disconnect|[Ee]mpty reply|Connection (?:was )?reset`), "the host ended the connection early"},
}

// sentence returns what to show: the host's words, else what the line of git's means.
func sentence(found messages, cause string) string {
	text := found.host
	if strings.Trim(text, "\n =*-") == "" {
		if at := fullDisk().FindString(cause); at != "" {
			short, _ := shortageNamed(at)
			return short.Sentence(core.DataDirectory)
		}
		for _, o := range ours {
			if m := o.re().FindStringSubmatch(cause); m != nil {
				return o.text + strings.Join(m[1:], "")
			}
		}
		text = machinePath().ReplaceAllString(gitPrefix().ReplaceAllString(cause, ""), "${1}[path]")
	}
	// A host's git says "fatal" of what it refuses; to whoever reads it, it is a refusal.
	text = strings.TrimPrefix(decoration().ReplaceAllString(text, " "), "fatal: ")
	text = Redact(strings.Join(strings.Fields(text), " "))
	return truncate(strings.TrimSuffix(text, ":"), MaxText)
}

// lineAround returns the line of text that holds the byte at offset.
func lineAround(text string, offset int) string {
	start := strings.LastIndexByte(text[:offset], '\n') + 1
	if end := strings.IndexByte(text[offset:], '\n'); end >= 0 {
		return text[start : offset+end]
	}
	return text[start:]
}
