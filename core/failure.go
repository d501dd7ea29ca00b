package core

import "strings"

// Classes returns every class of failure, for tables that must be complete.
func Classes() []ErrorClass {
	return []ErrorClass{
		ClassAuth, ClassRevoked, ClassNotFound, ClassMoved, ClassProtocol, ClassRateLimited, ClassNetwork, ClassTimeout,
		ClassTooLarge, ClassRefused, ClassDiverged, ClassCorrupt, ClassUnavailable, ClassResource, ClassInternal,
	}
}

// ourWords begin the sentences of this server, which say by themselves who failed.
var ourWords = []string{
	"the host", "the upstream", "upstream", "this server", "the server", "the repository's", "the GitHub App", "the installation", "internal error", "held back",
}

// noPublic is in what plugins say of a repository that strangers do not see, where no
// credential is stored.
const noPublic = " has no public repository "

// Describe returns a sentence for a person about a failure of the class: whose words
// text is, and text. Each surface that shows a text without its class shows this. A
// text of ours stays as it is, so that describing twice says nothing twice; but a
// bare status of HTTP does not say what it means.
func (c ErrorClass) Describe(text string) string {
	who := c.who()
	if text == "" {
		return who
	}
	if at := strings.Index(text, noPublic); c == ClassAuth && at >= 0 {
		// No credential was refused: there is none.
		if cut := strings.LastIndex(text[:at], "; "); cut >= 0 {
			text = text[cut+len("; "):]
		}
		return text
	}
	if c == ClassAuth {
		text = strings.Replace(text, "the host does not accept the credential", who, 1)
	}
	bare := strings.HasPrefix(text, "the host answered with HTTP status") && who != whoUpstream
	for _, ours := range ourWords {
		if !bare && strings.HasPrefix(text, ours) {
			return text
		}
	}
	return who + ": " + text
}

// Explain returns [ErrorClass.Describe] and what to do.
func (c ErrorClass) Explain(text string) string {
	return strings.TrimSuffix(c.Describe(text), ".") + "; next: " + c.NextStep(text)
}

// whoUpstream says that the upstream failed, and no more.
const whoUpstream = "upstream"

// who says who failed.
func (c ErrorClass) who() string {
	switch c {
	case ClassAuth, ClassRevoked:
		return "upstream refused the credential"
	case ClassNotFound:
		return "upstream repository not found"
	case ClassRateLimited:
		return "upstream says slow down"
	case ClassProtocol:
		return "upstream: what answers there is no git server"
	case ClassCorrupt:
		return "upstream's objects are not taken here"
	case ClassDiverged:
		return "held back by this server"
	case ClassResource, ClassInternal:
		return "this server failed"
	}
	return whoUpstream
}

// NextStep says what whoever meets a failure of the class does about it, in words that
// hold without the command line of this server: for git's output and REST. text is
// that of the failure: some causes tell more than their class. docs/errors.md has the
// longer form.
func (c ErrorClass) NextStep(text string) string {
	switch {
	case strings.Contains(text, "certificate"):
		return "if it is the right host, have this server's operator trust its authority (ca_file)"
	case c == ClassNetwork && strings.Contains(text, "resolve"):
		return "check the spelling of the upstream's host"
	case c == ClassRefused && strings.Contains(text, "archived"):
		return "unarchive it at the host"
	case c == ClassRefused && strings.Contains(text, "is private"):
		return "if the host is inside your network, have this server's operator set allow_private for it"
	case c == ClassTooLarge && strings.Contains(text, "pack exceeds"):
		return "push less at once, or have the host raise its limit"
	case c == ClassResource && strings.Contains(text, "--git-memory"):
		return "have this server's operator raise that, then try again"
	case strings.Contains(text, "server's own proxy"):
		return "have this server's operator look at the proxy to that host"
	case TellsOperator(text):
		return "have this server's operator do that"
	case strings.Contains(text, "--tolerate"):
		return "do that, or tell the owner of the upstream"
	}
	switch c {
	case ClassAuth:
		return "give the mirror a credential that the host accepts, or its App access to the repository"
	case ClassRevoked:
		return "once the App's access is restored at the host, sync the mirror"
	case ClassNotFound:
		return "check the mirror's address, and that its credential can see the repository"
	case ClassMoved:
		return "re-point the mirror to the repository's address of now"
	case ClassProtocol:
		return "open the upstream's address in a browser to see what answers there"
	case ClassTooLarge:
		return "make room at the host or here, or raise the limit"
	case ClassRefused:
		return "do what the sentence says, then try again"
	case ClassDiverged:
		return "look at the upstream's branches; if their loss is meant, sync the mirror"
	case ClassCorrupt:
		return "tell the owner of the upstream"
	case ClassResource, ClassInternal:
		return "tell the operator of this server, whose log has the details"
	}
	return "try again later"
}

// isOutage reports whether the class says that the upstream cannot be reached.
func (c ErrorClass) isOutage() bool {
	switch c {
	case "", ClassNetwork, ClassTimeout, ClassUnavailable:
		return true
	}
	return false
}
