package netguard

import (
	"regexp"
	"strings"
)

// goWords are what Go's network packages say, and what it means to a person. The order
// counts: what is around a reason goes before the reasons, longer ones before those
// that they hold.
var goWords = []struct {
	said  *regexp.Regexp
	plain string
}{
	{regexp.MustCompile(`\b(?:Get|Head|Post|Put|Patch|Delete) "[^"]*": `), ""},
	{regexp.MustCompile(`\b(?:dial|read|write) (?:tcp|udp)[46]?(?: [0-9A-Fa-f.:\[\]%]+(?:->[0-9A-Fa-f.:\[\]%]+)?)?: `), ""},
	{regexp.MustCompile(`\b(?:connect|read|write): (connection|no route|network)`), "$1"},
	{regexp.MustCompile(`\blookup (\S+?)(?: on [0-9A-Fa-f.:\[\]]+)?: no such host`), "the name $1 does not exist"},
	{regexp.MustCompile(`\blookup (\S+?)(?: on [0-9A-Fa-f.:\[\]]+)?: `), "the name $1 cannot be resolved: "},
	{regexp.MustCompile(`\b(?:net/http: request canceled(?: while waiting for connection)?|context deadline exceeded) \(Client\.Timeout [^)]*\)`), "no answer came in time"},
	{regexp.MustCompile(`\(?Client\.Timeout(?: or context cancellation)? (?:exceeded )?while [a-z ]*[a-z]\)?`), "no answer came in time"},
	{regexp.MustCompile(`\b(?:net/http: )?TLS handshake timeout`), "the secure connection was not set up in time"},
	{regexp.MustCompile(`\bnet/http: timeout awaiting response headers|\bcontext deadline exceeded|\bi/o timeout|\bconnection timed out`), "no answer came in time"},
	{regexp.MustCompile(`\bcontext canceled|\bnet/http: request canceled`), "the request was given up"},
	{regexp.MustCompile(`\bconnection refused`), "it refused the connection"},
	{regexp.MustCompile(`\b(?:connection reset by peer|broken pipe|unexpected EOF|EOF$)`), "the connection was cut"},
	{regexp.MustCompile(`\bno route to host|\bnetwork is unreachable`), "there is no way to it in the network"},
	{regexp.MustCompile(`\b(?:tls: failed to verify certificate: )?x509: certificate signed by unknown authority`), "its certificate is signed by an authority that this server does not trust"},
	{regexp.MustCompile(`\b(?:tls: failed to verify certificate: )?x509: certificate has expired or is not yet valid[^;]*`), "its certificate has expired, or is not valid yet"},
	{regexp.MustCompile(`\btls: failed to verify certificate: x509: `), "its certificate is not trusted: "},
	{regexp.MustCompile(`\btls: first record does not look like a TLS handshake|\bhttp: server gave HTTP response to HTTPS client`), "it does not speak https"},
	{regexp.MustCompile(`\bno such host`), "the name does not exist"},
}

// PlainText returns a text with the words of Go's network packages in it
// ("context deadline exceeded", "i/o timeout", "EOF") in words for a person who has never
// seen them. It is for the one place where what plugins say arrives; what
// else a text says is as it was.
func PlainText(text string) string {
	for _, w := range goWords {
		text = w.said.ReplaceAllString(text, w.plain)
	}
	// A cause is often said twice around: by net/http and by net.
	const twice = "no answer came in time"
	return strings.ReplaceAll(text, twice+": "+twice, twice)
}
