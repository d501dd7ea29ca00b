// Package builtin names the providers that Headwater comes with.
package builtin

import (
	"github.com/headwater-git/headwater/plugins/bitbucket"
	"github.com/headwater-git/headwater/plugins/codeberg"
	"github.com/headwater-git/headwater/plugins/forgejo"
	"github.com/headwater-git/headwater/plugins/gitea"
	"github.com/headwater-git/headwater/plugins/githubapp"
	"github.com/headwater-git/headwater/plugins/githubpublic"
	"github.com/headwater-git/headwater/plugins/gitlab"
	"github.com/headwater-git/headwater/plugins/sourcehut"
	"github.com/headwater-git/headwater/providers"
)

// All returns the constructors of the built-in providers by plugin name. The
// map is the caller's.
func All() map[string]func() providers.Provider {
	return map[string]func() providers.Provider{
		"github-app":    githubapp.New,
		"github-public": githubpublic.New,
		"gitlab":        gitlab.New,
		"bitbucket":     bitbucket.New,
		"gitea":         gitea.New,
		"forgejo":       forgejo.New,
		"codeberg":      codeberg.New,
		"sourcehut":     sourcehut.New,
	}
}
