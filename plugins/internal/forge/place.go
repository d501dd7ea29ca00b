package forge

import (
	"net/url"
	"strings"

	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/netguard"
)

// Limits on paths. Hosts allow less.
const (
	maxSegment = 255  // bytes
	maxPath    = 1024 // bytes
)

// Rules are how one kind of host names its repositories.
type Rules struct {
	Product     string // "GitLab", for messages
	Groups      bool   // an owner may be nested: "group/sub"
	OwnerPrefix string // put before an owner that lacks it: SourceHut's "~"
	BareURLs    bool   // clone URLs do not end in ".git"
	// KnownHosts admits only the default host and hosts with a block in
	// providers.hcl, for providers whose own secret goes to the host.
	KnownHosts bool
}

// Place is a repository at a host, checked and spelled as the host wants it.
type Place struct {
	Policy providers.HostPolicy // of Host
	Host   string               // host or host:port
	Owner  string
	Name   string
	bare   bool
}

// Path returns the path of the repository at its host.
func (p Place) Path() string { return p.Owner + "/" + p.Name }

// WebURL returns the URL of the repository's page.
func (p Place) WebURL() string { return p.Policy.BaseURL() + "/" + p.Path() }

// CloneURL returns the URL for git, without user info.
func (p Place) CloneURL() string {
	if p.bare {
		return p.WebURL()
	}
	return p.WebURL() + ".git"
}

// Place checks a locator. The id of the locator is not looked at.
// Errors: [providers.CodeInvalidArgument], naming the part that is wrong.
func (r Rules) Place(m providers.Manifest, c providers.Config, l providers.Locator) (Place, error) {
	host, err := r.host(m, c, l.Host)
	if err != nil {
		return Place{}, err
	}
	owner, err := r.owner(l.Owner)
	if err != nil {
		return Place{}, err
	}
	name := l.Name
	if trimmed, ok := strings.CutSuffix(name, ".git"); ok {
		name = trimmed // people paste the end of a clone URL
	}
	if err := r.segment("repository name", name); err != nil {
		return Place{}, err
	}
	p := Place{Policy: c.Host(host), Host: host, Owner: owner, Name: name, bare: r.BareURLs}
	if len(p.Path()) > maxPath {
		return Place{}, invalid("the path of the repository is longer than %d bytes", maxPath)
	}
	return p, nil
}

// PlaceOf checks the host and the path of a remote that Resolve once returned.
// Errors: [providers.CodeInvalidArgument].
func (r Rules) PlaceOf(m providers.Manifest, c providers.Config, remote providers.Remote) (Place, error) {
	owner, name := SplitPath(remote.Path)
	p, err := r.Place(m, c, providers.Locator{Host: remote.Host, Owner: owner, Name: name})
	if err != nil {
		return Place{}, err
	}
	if remote.URL == "" {
		return p, nil
	}
	// The credential is for the host that the path was checked at; a URL that
	// leads elsewhere must not get it.
	u, err := url.Parse(remote.URL)
	if err != nil || u.User != nil {
		return Place{}, invalid("the URL of the remote is malformed or has user info")
	}
	if !strings.EqualFold(u.Host, p.Host) || u.Scheme != p.Policy.Scheme || !strings.HasPrefix(u.Path, p.Policy.BasePath+"/") {
		return Place{}, invalid("the URL of the remote does not lead to %s", p.Policy.BaseURL())
	}
	return p, nil
}

// SplitPath splits the path of a repository at its last slash.
func SplitPath(path string) (owner, name string) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return "", path
	}
	return path[:i], path[i+1:]
}

func (r Rules) host(m providers.Manifest, c providers.Config, host string) (string, error) {
	if host == "" {
		if m.DefaultHost == "" {
			return "", invalid("upstream_host is required: %s has no default host", r.Product)
		}
		return m.DefaultHost, nil
	}
	host, err := netguard.ParseHost(host)
	if err != nil {
		return "", err
	}
	if !r.KnownHosts || host == m.DefaultHost {
		return host, nil
	}
	for _, policy := range c.Hosts {
		if strings.EqualFold(policy.Host, host) {
			return host, nil
		}
	}
	return "", invalid("host %s is not known to provider %q: add a host block for it to providers.hcl", host, c.Instance)
}

func (r Rules) owner(owner string) (string, error) {
	if owner == "" || owner == r.OwnerPrefix {
		return "", invalid("owner is missing")
	}
	owner = strings.TrimPrefix(owner, r.OwnerPrefix)
	segments := strings.Split(owner, "/")
	if len(segments) > 1 && !r.Groups {
		return "", invalid("owner %q has a slash, and %s has no nested owners", printable(owner), r.Product)
	}
	for _, s := range segments {
		if err := r.segment("owner", s); err != nil {
			return "", err
		}
	}
	return r.OwnerPrefix + owner, nil
}

// segment checks one segment of a path. What no host allows is refused before
// it can mean something to a URL, a shell or a file system.
func (r Rules) segment(what, s string) error {
	switch {
	case s == "":
		return invalid("%s is missing or has an empty part", what)
	case len(s) > maxSegment:
		return invalid("%s is longer than %d bytes", what, maxSegment)
	case s == "." || s == "..":
		return invalid("%s may not be %q", what, s)
	case s[0] == '-':
		return invalid("%s %q may not begin with a dash", what, printable(s))
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
		default:
			return invalid("%s %q may hold only ASCII letters, digits and \".\", \"_\", \"-\"", what, printable(s))
		}
	}
	return nil
}

func invalid(format string, args ...any) error {
	return providers.Errorf(providers.CodeInvalidArgument, format, args...)
}

// printable shortens what a user sent, so that a message stays a sentence.
func printable(s string) string {
	const most = 60
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}

// Below reports whether an owner is another one, or a group somewhere below it.
// Hosts compare owners without regard to case.
func Below(owner, top string) bool {
	owner, top = strings.ToLower(owner), strings.ToLower(top)
	return owner == top || strings.HasPrefix(owner, top+"/")
}

// Digits reports whether a text has nothing but ASCII digits; "" has.
func Digits(s string) bool { return strings.Trim(s, "0123456789") == "" }
