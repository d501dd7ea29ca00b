package upstream

import (
	"context"
	"errors"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/providers"
)

// Condition is what a host says of an upstream, by its API.
type Condition struct {
	// Known: the host was asked, and its answer tells something. Else the rest
	// means nothing: its API cannot be asked, or not with this credential.
	Known bool
	// Unknown says why not, where host or credential tell no stable id.
	Unknown string
	State   core.UpstreamState
	// Message says why State is not active, in one sentence for a person.
	Message string
	// GitError is what its git says, of an upstream that its API calls deleted.
	GitError error
	// Upstream is the link as the host has it now, and Moved tells that this is
	// another place than the known one. Only of a repository that was found.
	Upstream core.Upstream
	Moved    bool
	// Visibility is who may read it, of a repository that was found.
	Visibility core.Visibility
}

// Check asks the host by its API what became of the repository's upstream. With
// a stable id it is found wherever it is now, and another repository that took
// its name is not mistaken for it. Providers whose hosts have no stable ids are
// not asked. An error says that the host could not be asked now.
func (s *Service) Check(ctx context.Context, repo core.Repository) (Condition, error) {
	const op = "check upstream"
	if repo.Upstream == nil {
		return Condition{}, core.Errorf(core.KindInvalid, "the repository has no upstream")
	}
	up := *repo.Upstream
	p, err := s.plugins.Instance(up.Instance)
	if err != nil {
		return Condition{}, coreError(op, err)
	}
	m, err := p.Manifest(ctx)
	if err != nil {
		return Condition{}, coreError(op, err)
	}
	if !m.Capabilities.StableIDs {
		return Condition{Unknown: "the server has no way to ask " + up.Host + " for a stable id"}, nil
	}
	stored, err := s.stored(ctx, repo, false)
	if err != nil {
		return Condition{}, err
	}
	ask := providers.ResolveRequest{
		Locator: providers.Locator{Host: up.Host, Owner: up.Owner, Name: up.Name, ID: up.ID}, Contact: true, Stored: stored,
	}
	remote, err := p.Resolve(ctx, ask)
	if err == nil {
		return found(up, remote), nil
	}
	c, known := lost(err, stored == nil && up.Mode != providers.ModeApp)
	if !known {
		return Condition{}, coreError(op, err)
	}
	if c.State != core.UpstreamDeleted {
		c.Unknown = apiClosed(up, c)
	}
	if c.State == core.UpstreamSuspended || c.State == core.UpstreamRevoked || up.ID == "" {
		return c, nil
	}
	// Not to be seen under its id. Who has its name now?
	ask.Locator.ID = ""
	other, err := p.Resolve(ctx, ask)
	if err == nil && other.UpstreamID != "" {
		return found(up, other), nil // a host that cannot be asked by id, or another repository
	}
	if err != nil && !answered(err) {
		// A stranger may have the name: that its git answers proves nothing.
		return Condition{}, coreError(op, err)
	}
	if c.State == core.UpstreamDeleted && redirected(err) && up.Mode != providers.ModeApp {
		// A host that cannot be asked by id has it at another place, which the
		// class of its git's failure says: a name that leads elsewhere is not gone.
		// An App asks by id wherever it is installed, and is not where that is.
		return Condition{Unknown: up.Host + " sends elsewhere who asks for " + up.Owner + "/" + up.Name + ", and does not answer to its id"}, nil
	}
	// Its git answers to what the API does not show: then it is the API that the
	// credential does not open, or that is not the whole of one.
	if c.State == core.UpstreamDeleted && err != nil {
		_, c.GitError = s.Refs(ctx, repo, []string{"HEAD"})
	}
	if c.GitError == nil {
		c.Unknown = apiClosed(up, c)
		if c.State == core.UpstreamDeleted {
			return Condition{Unknown: c.Unknown}, nil
		}
	}
	return c, nil
}

// answered reports whether an error is what the host said of the repository, and
// would say again, such as that its name leads elsewhere: not that it had no time.
func answered(err error) bool {
	pe, ok := errors.AsType[*providers.Error](err)
	return ok && (redirected(err) || pe.Code != providers.CodeRateLimited && pe.Code != providers.CodeUnavailable)
}

// redirected reports whether the host answered to the name of a repository by naming
// another place, as hosts do after a rename.
func redirected(err error) bool {
	pe, ok := errors.AsType[*providers.Error](err)
	return ok && pe.HTTPStatus/100 == 3
}

// apiClosed says that the credential does not open the host's API.
func apiClosed(up core.Upstream, c Condition) string {
	return "the API of " + up.Host + " does not show the repository to the credential: " + c.Message
}

func replacedMessage(up core.Upstream) string {
	return "another repository is called " + up.Owner + "/" + up.Name + " at " + up.Host + " now; it is not followed: link this one to where it went, or to that one (headwater repo repoint), or detach it"
}

// found compares what the host tells with the link.
func found(up core.Upstream, remote providers.Remote) Condition {
	if remote.UpstreamID == "" {
		// A credential that opens git alone: the API said nothing.
		return Condition{Unknown: "the stored credential opens git at " + up.Host + " and not its API"}
	}
	if up.ID != "" && remote.UpstreamID != up.ID {
		return Condition{Known: true, State: core.UpstreamReplaced, Message: replacedMessage(up)}
	}
	c := Condition{Known: true, Upstream: up, Visibility: core.Visibility(remote.Visibility)}
	c.Upstream.ID = remote.UpstreamID
	if remote.Archived {
		c.State, c.Message = core.UpstreamArchived, "the repository is archived at "+up.Host+": it can be read and takes no pushes; unarchive it there first"
	}
	owner, name, ok := cutLast(remote.Path)
	// Hosts that ignore case tell the spelling of the owner; that is no move. One
	// to another host would take the credential along.
	if ok && strings.EqualFold(remote.Host, up.Host) && !strings.EqualFold(remote.Path, up.Owner+"/"+up.Name) {
		c.Upstream.Owner, c.Upstream.Name, c.Upstream.URL = owner, name, remote.URL
		c.Moved = true
	}
	return c
}

// cutLast cuts a path at its last slash: owners may have some.
func cutLast(path string) (owner, name string, ok bool) {
	i := strings.LastIndex(path, "/")
	if i <= 0 || i == len(path)-1 {
		return "", "", false
	}
	return path[:i], path[i+1:], true
}

// lost tells what a refusal of the API means; anonymous is without a credential.
// It is false if the host could not be asked or the answer tells nothing.
func lost(err error, anonymous bool) (Condition, bool) {
	var pe *providers.Error
	if !errors.As(err, &pe) {
		return Condition{}, false
	}
	c := Condition{Known: true, Message: pe.Message}
	switch pe.Code {
	case providers.CodeNotFound:
		c.State = core.UpstreamDeleted
		if anonymous {
			// To strangers, hosts say the same of both.
			c.State = core.UpstreamPrivate
		}
	case providers.CodeRevoked, providers.CodePermissionDenied, providers.CodeUnauthenticated:
		c.State = core.UpstreamRevoked
		if anonymous {
			c.State = core.UpstreamPrivate
		}
	default:
		if pe.Reason == "" {
			return Condition{}, false
		}
		c.State = core.UpstreamRevoked
	}
	switch pe.Reason {
	case providers.ReasonSuspended:
		c.State = core.UpstreamSuspended
	case providers.ReasonUninstalled, providers.ReasonNotIncluded:
		c.State = core.UpstreamRevoked
	case providers.ReasonDeleted:
		c.State = core.UpstreamDeleted
	}
	return c, true
}

// Poll returns when the upstream is looked at unasked unless the repository
// says otherwise, in the words of [core.Settings].
func (s *Service) Poll(up core.Upstream) string {
	p, err := s.plugins.Instance(up.Instance)
	if err != nil {
		return core.PollOff // the provider is configured no more: every look would fail
	}
	return p.Poll()
}
