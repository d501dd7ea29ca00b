package main

import (
	"net/url"
	"strings"
)

// upstreamRef is a repository at a host, as read from what a person typed.
type upstreamRef struct {
	Host  string // lower case, with port if one was given
	Owner string // may hold slashes
	Name  string
	User  string // user name in the URL, if any
}

// knownHosts are the hosts that need no configuration. The names on the right
// are the wire's words for base_repo.provider.
func knownHosts() map[string]string {
	return map[string]string{
		"github.com":    "github",
		"gitlab.com":    "gitlab",
		"bitbucket.org": "bitbucket",
		"codeberg.org":  "codeberg",
		"git.sr.ht":     "sourcehut",
	}
}

// wireName returns the wire's word for a provider name of providers.hcl or of
// the --provider flag, and whether the public mode is meant.
func wireName(provider string) (name string, public bool) {
	switch p := strings.ToLower(provider); p {
	case "github-public":
		return "github", true
	case "github-app":
		return "github", false
	case "sr.ht":
		return "sourcehut", false
	default:
		return p, false
	}
}

// parseUpstream reads a repository address: a web or clone URL, an scp-like
// address (git@host:owner/name.git) or host/owner/name. Headwater itself
// speaks HTTPS to the host whatever the form; the server's configuration of
// the host decides about plain HTTP.
func parseUpstream(address string) (upstreamRef, error) {
	next := "give the address of a repository, like https://github.com/octocat/Hello-World"
	raw := strings.TrimSpace(address)
	if !strings.Contains(raw, "://") {
		raw = "https://" + scpToPath(raw)
	}
	u, err := url.Parse(raw)
	if err != nil {
		// The parser's error repeats its input, which may hold a password.
		return upstreamRef{}, usagef(next, "the address is not a URL")
	}
	if _, has := u.User.Password(); has {
		return upstreamRef{}, usagef("take the password out of the URL, put it in a file and pass --password-file FILE",
			"the address holds a password, which every user of this machine can see")
	}
	switch u.Scheme {
	case "http", "https", "ssh", "git":
	default:
		return upstreamRef{}, usagef(next, "cannot mirror from a %q address", u.Scheme)
	}
	if u.Host == "" || u.RawQuery != "" || u.Fragment != "" || strings.ContainsAny(u.Path, ": \t\r\n\\") {
		return upstreamRef{}, usagef(next, "the address does not name a repository")
	}
	host := strings.ToLower(u.Host)
	user := u.User.Username()
	if u.Scheme == "ssh" || u.Scheme == "git" {
		host = strings.ToLower(u.Hostname()) // the port is not the one of HTTPS
	}
	if user == "git" {
		user = "" // the login of every host's SSH service, not an account
	}
	owner, name, err := splitPath(host, u.Path)
	if err != nil {
		return upstreamRef{}, err
	}
	return upstreamRef{Host: host, Owner: owner, Name: name, User: user}, nil
}

// scpToPath turns git@host:owner/name into git@host/owner/name and leaves
// host:8080/owner/name alone.
func scpToPath(s string) string {
	host, path, ok := strings.Cut(s, ":")
	if !ok || strings.Contains(host, "/") {
		return s
	}
	if first, _, _ := strings.Cut(path, "/"); strings.Trim(first, "0123456789") == "" {
		return s // a port
	}
	return host + "/" + path
}

// splitPath splits the path of a repository into owner and name.
func splitPath(host, path string) (owner, name string, err error) {
	// GitLab puts pages of a repository behind "/-/".
	path, _, _ = strings.Cut(path, "/-/")
	path = strings.TrimSuffix(strings.Trim(path, "/"), ".git")
	parts := strings.Split(path, "/")
	for _, p := range parts {
		if p == "" || p == "." || p == ".." {
			return "", "", usagef("give owner and name, like https://"+host+"/owner/name", "the address does not name a repository")
		}
	}
	if len(parts) < 2 {
		return "", "", usagef("give owner and name, like https://"+host+"/owner/name", "the address names no owner or no repository")
	}
	if wire, ok := knownHosts()[host]; ok && wire != "gitlab" && len(parts) > 2 {
		return "", "", usagef("did you mean https://"+host+"/"+parts[0]+"/"+parts[1]+" ?",
			"%s has no repositories inside folders", host)
	}
	return strings.Join(parts[:len(parts)-1], "/"), parts[len(parts)-1], nil
}

// DefaultID is the name that the mirror of the repository gets here.
func (u upstreamRef) DefaultID() string {
	return strings.TrimPrefix(u.Owner, "~") + "/" + u.Name
}

// String is the address for messages.
func (u upstreamRef) String() string { return u.Host + "/" + u.Owner + "/" + u.Name }
