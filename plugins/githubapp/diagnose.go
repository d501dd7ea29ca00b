package githubapp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	api "github.com/google/go-github/v62/github"

	"github.com/headwater-git/headwater/plugins/internal/forge"
	"github.com/headwater-git/headwater/plugins/internal/github"
	"github.com/headwater-git/headwater/providers"
)

// maxSkew is how far the clocks may be apart before it is worth a word: the
// App's tokens are dated a minute back.
const maxSkew = 30 * time.Second

// refusal is why a repository was not opened.
type refusal struct {
	err error
	at  *api.Installation // that refused; nil: none was found
}

// diagnose finds out why no installation opens a repository. GitHub answers
// "not found" to an App for everything that it may not see, so the same words
// stand for an App that was never installed, one that was removed, a repository
// that was taken out of the installation, and one that is gone. What tells them
// apart is the owner's installation.
//
// It may find that the repository is open after all, and returns that.
func (s session) diagnose(ctx context.Context, key tokenKey, r refusal) (grant, error) {
	if s.installation != 0 && r.at == nil {
		return grant{}, s.refuse(providers.CodeInvalidConfig, "", r.err,
			"the GitHub App has no installation %d at %s: correct or remove installation_id", s.installation, s.place.Host)
	}
	if r.at == nil {
		var e *providers.Error
		if key.id == 0 && errors.As(r.err, &e) && e.HTTPStatus/100 == 3 {
			return grant{}, r.err // the new address is for a person to tell
		}
		at, err := s.ownersInstallation(ctx)
		if err != nil {
			return grant{}, err
		}
		if at == nil {
			return grant{}, s.uninstalled(ctx, key, r.err)
		}
		opened, err := s.mint(ctx, at, key)
		if err == nil {
			return grant{token: opened, installation: at}, nil
		}
		if !elsewhere(err) {
			return grant{}, err
		}
		r = refusal{err: err, at: at}
	}
	if providers.ReasonOf(r.err) == providers.ReasonSuspended {
		return grant{}, r.err
	}
	return grant{}, s.missing(ctx, key, r)
}

// ownersInstallation returns the installation on the owner of the place, nil if
// there is none.
func (s session) ownersInstallation(ctx context.Context) (*api.Installation, error) {
	for _, ask := range []lookup{
		func() (*api.Installation, *api.Response, error) {
			return s.api.Apps.FindOrganizationInstallation(ctx, s.place.Owner)
		},
		func() (*api.Installation, *api.Response, error) {
			return s.api.Apps.FindUserInstallation(ctx, s.place.Owner)
		},
	} {
		at, answer, err := s.ask(ctx, ask)
		if err == nil {
			return at, nil
		}
		if !elsewhere(err) {
			return nil, s.explain(err, answer)
		}
	}
	return nil, nil
}

// uninstalled explains that the App is not on the owner. It makes sure of the
// App first: one that was deleted at the host is not found anywhere.
func (s session) uninstalled(ctx context.Context, key tokenKey, cause error) error {
	begin := time.Now()
	self, response, err := s.api.Apps.Get(ctx, "")
	if err != nil {
		answer := github.Answer(response, begin)
		err = github.Error(ctx, s.place, answer, err, s.signed)
		if providers.CodeOf(err) == providers.CodeNotFound {
			return s.refuse(providers.CodeInvalidConfig, "", err,
				"%s has no GitHub App %d: check app_id, or make a new App", s.place.Host, s.id)
		}
		return s.explain(err, answer)
	}
	page := ""
	if self.GetHTMLURL() != "" {
		page = " at " + self.GetHTMLURL() + "/installations/new"
	}
	if key.id == 0 {
		return s.refuse(providers.CodePermissionDenied, providers.ReasonUninstalled, cause,
			"the GitHub App is not installed for %s at %s, or there is no such repository: install the App on %s%s and give it access to the repository",
			s.place.Path(), s.place.Host, s.place.Owner, page)
	}
	if moved := s.publicPath(ctx, key.id); moved != "" && moved != s.place.Path() {
		owner, _ := forge.SplitPath(moved)
		return s.refuse(providers.CodeRevoked, providers.ReasonUninstalled, cause,
			"%s is %s now, and the GitHub App is not installed there: install the App on %s%s", s.place.Path(), moved, owner, page)
	}
	return s.refuse(providers.CodeRevoked, providers.ReasonUninstalled, cause,
		"the GitHub App is no longer installed on %s at %s: install it again%s", s.place.Owner, s.place.Host, page)
}

// missing explains that a working installation does not have the repository.
func (s session) missing(ctx context.Context, key tokenKey, r refusal) error {
	settings := "the installation's settings"
	if page := r.at.GetHTMLURL(); page != "" {
		settings += " at " + page
	}
	code := providers.CodeRevoked
	if key.id == 0 {
		code = providers.CodePermissionDenied // nothing says that it was ever granted
	} else if path := s.publicPath(ctx, key.id); path != "" {
		// The host shows it to everybody: it is there.
		owner, _ := forge.SplitPath(path)
		if holder := cmp.Or(r.at.GetAccount().GetLogin(), s.place.Owner); !strings.EqualFold(owner, holder) {
			// The settings of the installation that was found are the former owner's:
			// nothing there gives access to a repository of another's.
			return s.refuse(code, providers.ReasonNotIncluded, r.err,
				"the GitHub App has no access to %s, which belongs to %s now: install the App on %s and give it access to the repository", path, owner, owner)
		}
		return s.refuse(code, providers.ReasonNotIncluded, r.err,
			"the GitHub App has no access to %s: install it on %s, or add the repository in %s", path, owner, settings)
	}
	if r.at.GetRepositorySelection() != "all" {
		return s.refuse(code, providers.ReasonNotIncluded, r.err,
			"the installation of the GitHub App on %s does not include %s, or there is no such repository: add it in %s",
			s.place.Owner, s.place.Path(), settings)
	}
	if key.id == 0 {
		return s.refuse(providers.CodeNotFound, "", r.err, "%s has no repository %s", s.place.Host, s.place.Path())
	}
	return s.refuse(providers.CodeNotFound, providers.ReasonDeleted, r.err,
		"%s was deleted at %s, or transferred to an owner that the GitHub App is not installed on: the App sees all repositories of %s, and this is none of them",
		s.place.Path(), s.place.Host, s.place.Owner)
}

// publicPath returns the path of a repository that everybody may see, "" if
// there is none or the host does not say. It is asked without a credential: a
// token of the App opens one repository, and this one it does not open.
func (s session) publicPath(ctx context.Context, id int64) string {
	client, err := github.Client(s.http, s.place)
	if err != nil {
		return ""
	}
	repository, _, err := github.Repository(ctx, client, s.place, id)
	if err != nil {
		return ""
	}
	return repository.GetFullName()
}

// suspended explains that an installation is suspended.
func (s session) suspended(at *api.Installation) error {
	owner := at.GetAccount().GetLogin()
	if owner == "" {
		owner = s.place.Owner
	}
	return &providers.Error{
		Code: providers.CodeRevoked, Reason: providers.ReasonSuspended,
		Message: fmt.Sprintf("the GitHub App is suspended for %s: its owner can unsuspend it in the installation's settings at %s",
			owner, s.place.Host),
	}
}

// refuse makes an error that keeps the host's status.
func (s session) refuse(code providers.Code, reason providers.Reason, cause error, format string, args ...any) error {
	e := providers.Errorf(code, format, args...)
	e.Reason = reason
	var was *providers.Error
	if errors.As(cause, &was) {
		e.HTTPStatus = was.HTTPStatus
	}
	return e
}

// explain says what to do when the host does not take the App's own signature.
func (s session) explain(err error, answer forge.Answer) error {
	var e *providers.Error
	if !errors.As(err, &e) || e.Code != providers.CodeUnauthenticated {
		return err
	}
	advice := "check app_id and the private key"
	if skew := forge.Skew(answer); skew.Abs() >= maxSkew {
		side := "behind"
		if skew < 0 {
			side = "ahead of"
		}
		advice = fmt.Sprintf("the clock of this machine is %s %s that of %s: set it right", skew.Abs(), side, s.place.Host)
	}
	return s.refuse(providers.CodeInvalidConfig, "", err, "%s; %s", e.Message, advice)
}
