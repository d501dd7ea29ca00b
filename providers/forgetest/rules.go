package forgetest

import (
	"net/http"
	"strings"

	"github.com/headwater-git/headwater/providers/providertest/fixture"
)

// HostKind is the host that a forge looks like.
type HostKind string

// The hosts that a forge can look like.
const (
	HostGitHub       HostKind = "github"        // with GitHub Apps
	HostGitHubPublic HostKind = "github-public" // the same host seen by somebody without an App
	HostGitLab       HostKind = "gitlab"
	HostBitbucket    HostKind = "bitbucket"
	HostGitea        HostKind = "gitea"
	HostForgejo      HostKind = "forgejo"
	HostCodeberg     HostKind = "codeberg"
	HostSourceHut    HostKind = "sourcehut"
)

// hostCustom stands for a host that [ForgeOptions.Custom] describes.
const hostCustom HostKind = "custom"

// HostKinds returns all kinds of hosts.
func HostKinds() []HostKind {
	return []HostKind{
		HostGitHub, HostGitHubPublic, HostGitLab, HostBitbucket,
		HostGitea, HostForgejo, HostCodeberg, HostSourceHut,
	}
}

// answer is a status with the plain text a host gives with it. Git prints such
// a text after "remote: ".
type answer struct {
	status int
	body   string
}

// hostRules is how one host behaves towards git clients.
type hostRules struct {
	realm       string
	challenge   string // WWW-Authenticate of a 401; "": Basic with the realm
	apiPath     string // of the API of a self-hosted instance
	bareURLs    bool   // clone URLs have no ".git"
	anyCase     bool   // paths compare without regard to case
	apps        bool   // has GitHub Apps
	noHTTPSPush bool
	pushOptions bool
	hiddenRefs  string // prefix that is advertised but refuses every push
	tokenPrefix string

	// hidden is the answer to somebody without credentials about a repository
	// that is private or absent: most hosts do not say which.
	hidden answer
	// wrong is the answer to credentials that do not verify.
	wrong answer
	// missing is the answer to somebody with good credentials about a
	// repository that is absent or that they may not see.
	missing answer
	// missingPush is the answer to a push there; that of missing if it is zero.
	missingPush answer
	// anonymousPush is the answer to a push without credentials.
	anonymousPush answer
	// readOnly is the answer to a push with credentials that only read.
	readOnly answer

	// archived is the answer to a push to an archived repository.
	archived answer

	// token finds the token in Basic credentials; "" if there is none.
	token func(user, password string) string
	// user is the user name that goes with a token.
	user string
	// protected is the refusal of a push to a protected branch.
	protected func(ref string, deletes bool) Refusal
	// always is a refusal that every repository has; none if its pattern is "".
	always Refusal
	// payloads makes the webhook requests of an event for a webhook of the
	// repository or of the whole host.
	payloads func(f *Forge, repo *forgeRepo, e Event, instance bool) []payload
	// sign adds the host's headers to a delivery, with its signature.
	sign func(f *Forge, d *Delivery, w Webhook)
	// hostKey says that webhooks are signed with a key of the host, and not
	// with a secret of the receiver.
	hostKey bool
	// eventHeader names the event of a delivery; "": the body does.
	eventHeader string
	// openBody says that a webhook's secret does not cover the body.
	openBody bool
	// hooks is the API for webhooks; nil if there is none here.
	hooks *hookAPI

	// api serves the host's API, nil if it has none here.
	api func(f *Forge, w http.ResponseWriter, r *http.Request) bool
	// custom describes a host that is none of the known ones.
	custom *fixture.Forge
}

// rulesOf returns how a kind of host behaves. The texts of Gitea were read from a
// real one. Where those of the other hosts come from is written in the fixtures of
// core/git/hosterror/testdata/classify.
func rulesOf(d HostKind) (hostRules, bool) {
	switch d {
	case HostGitHub:
		return githubRules(true), true
	case HostGitHubPublic:
		return githubRules(false), true
	case HostGitLab:
		return gitlabRules(), true
	case HostBitbucket:
		return bitbucketRules(), true
	case HostGitea:
		return giteaRules(false), true
	case HostForgejo, HostCodeberg:
		return giteaRules(true), true
	case HostSourceHut:
		return sourcehutRules(), true
	}
	return hostRules{}, false
}

func githubRules(apps bool) hostRules {
	return hostRules{
		realm:       "GitHub",
		apiPath:     "/api/v3",
		anyCase:     true,
		apps:        apps,
		pushOptions: true,
		hiddenRefs:  "refs/pull",
		tokenPrefix: "ghp_",
		hidden:      answer{http.StatusUnauthorized, "Repository not found."},
		wrong: answer{http.StatusUnauthorized,
			"Invalid username or token. Password authentication is not supported for Git operations."},
		missing:       answer{http.StatusNotFound, "Repository not found."},
		anonymousPush: answer{http.StatusUnauthorized, "No anonymous write access."},
		readOnly:      answer{http.StatusForbidden, "Write access to repository not granted."},
		archived:      answer{http.StatusForbidden, "This repository was archived so it is read-only."},
		user:          "x-access-token",
		token: func(user, password string) string {
			// Installation tokens go with this user name only; a personal
			// token goes with any.
			if strings.HasPrefix(password, installationTokenPrefix) && user != "x-access-token" {
				return ""
			}
			return password
		},
		protected: func(ref string, deletes bool) Refusal {
			lines := []string{
				"error: GH006: Protected branch update failed for " + ref + ".",
				"",
				"- Changes must be made through a pull request.",
			}
			if deletes {
				lines = []string{
					"error: GH006: Protected branch update failed for " + ref + ".",
					"error: Cannot delete this protected branch",
				}
			}
			return Refusal{Reason: "protected branch hook declined", Message: lines}
		},
		payloads:    githubPayloads,
		sign:        signGitHub,
		eventHeader: "X-GitHub-Event",
		api:         (*Forge).serveGitHubAPI,
	}
}

func gitlabRules() hostRules {
	denied := "HTTP Basic: Access denied. If a password was provided for Git authentication, the password was incorrect " +
		"or you're required to use a token instead of a password. If a token was provided, it was either incorrect, " +
		"expired, or improperly scoped. See https://gitlab.com/help/topics/git/troubleshooting_git.md#error-on-git-fetch-http-basic-access-denied"
	return hostRules{
		realm:         "GitLab",
		apiPath:       "/api/v4",
		anyCase:       true,
		pushOptions:   true,
		hiddenRefs:    "refs/merge-requests",
		tokenPrefix:   "glpat-",
		hidden:        answer{http.StatusUnauthorized, denied},
		wrong:         answer{http.StatusUnauthorized, denied},
		missing:       answer{http.StatusNotFound, "The project you were looking for could not be found or you don't have permission to view it."},
		anonymousPush: answer{http.StatusUnauthorized, denied},
		readOnly:      answer{http.StatusForbidden, "You are not allowed to push code to this project."},
		archived:      answer{http.StatusForbidden, "You can't push code to an archived project."},
		user:          "oauth2",
		token: func(user, password string) string {
			if user == "" {
				return "" // GitLab takes any user name, but wants one
			}
			return password
		},
		protected: func(_ string, deletes bool) Refusal {
			line := "GitLab: You are not allowed to push code to protected branches on this project."
			if deletes {
				line = "GitLab: You can only delete protected branches using the web interface."
			}
			return Refusal{WholePush: true, Message: []string{line}}
		},
		payloads:    gitlabPayloads,
		sign:        signGitLab,
		eventHeader: "X-Gitlab-Event",
		openBody:    true,
		hooks:       gitlabHooks(),
		api:         (*Forge).serveGitLabAPI,
	}
}

func bitbucketRules() hostRules {
	return hostRules{
		realm:       "Bitbucket.org HTTP",
		apiPath:     "/2.0",
		anyCase:     true,
		tokenPrefix: "ATCTT3xFfGN0",
		hidden:      answer{http.StatusUnauthorized, ""},
		wrong: answer{http.StatusUnauthorized, "You may not have access to this repository or it no longer exists in this workspace. " +
			"If you think this repository exists and you have access, make sure you are authenticated."},
		missing: answer{http.StatusForbidden, "The requested repository either does not exist or you do not have access. " +
			"If you believe this repository exists and you have access, make sure you're authenticated."},
		anonymousPush: answer{http.StatusUnauthorized, ""},
		readOnly:      answer{http.StatusForbidden, "Your credentials lack one or more required privilege scopes."},
		user:          "x-token-auth",
		token: func(user, password string) string {
			// An access token has its own user name; an app password goes
			// with the account's.
			if user == "x-token-auth" && strings.HasPrefix(password, appPasswordPrefix) {
				return ""
			}
			if user != "x-token-auth" && !strings.HasPrefix(password, appPasswordPrefix) {
				return ""
			}
			return password
		},
		protected: func(ref string, deletes bool) Refusal {
			verb := "update"
			if deletes {
				verb = "delete"
			}
			branch := strings.TrimPrefix(ref, "refs/heads/")
			return Refusal{WholePush: true, Message: []string{"Permission denied to " + verb + " branch " + branch + "."}}
		},
		payloads:    bitbucketPayloads,
		sign:        signBitbucket,
		eventHeader: "X-Event-Key",
		hooks:       bitbucketHooks(),
		api:         (*Forge).serveBitbucketAPI,
	}
}

// giteaRules is Gitea and its fork Forgejo, which kept the realm and put its
// name before its messages. The answers are those of Gitea 1.26.
func giteaRules(forgejo bool) hostRules {
	// What the git hooks of the two print around a refusal.
	frame := func(line string) []string { return []string{"", "error:", "error: " + line, "error:"} }
	if forgejo {
		frame = func(line string) []string { return []string{"", "Forgejo: " + line} }
	}
	return hostRules{
		realm:         "Gitea",
		apiPath:       "/api/v1",
		anyCase:       true,
		pushOptions:   true,
		hidden:        answer{http.StatusUnauthorized, "Unauthorized"},
		wrong:         answer{http.StatusUnauthorized, "Failed to authenticate user"},
		missing:       answer{http.StatusNotFound, "Repository not found\n"},
		missingPush:   answer{http.StatusForbidden, "Push to create is not enabled for users."},
		anonymousPush: answer{http.StatusUnauthorized, "Unauthorized"},
		readOnly:      answer{http.StatusForbidden, "Forbidden"},
		archived:      answer{http.StatusForbidden, "This repo is archived. You can view files and clone it, but cannot push or open issues/pull-requests."},
		user:          User,
		token: func(user, password string) string {
			if password == "" || password == "x-oauth-basic" {
				return user
			}
			return password
		},
		protected: func(ref string, deletes bool) Refusal {
			branch := strings.TrimPrefix(ref, "refs/heads/")
			line := "Not allowed to push to protected branch " + branch
			if deletes {
				line = "branch " + branch + " is protected from deletion"
			}
			return Refusal{WholePush: true, Message: frame(line)}
		},
		always: Refusal{Pattern: "refs/pull/*", words: func(ref string, _ bool) Refusal {
			return Refusal{Reason: "hook declined", Message: []string{"error: hook declined to update " + ref}}
		}},
		payloads:    giteaPayloads,
		sign:        signGitea,
		eventHeader: "X-Gitea-Event",
		hooks:       giteaHooks(),
		api:         (*Forge).serveGiteaAPI,
	}
}

// sourcehutRules is git.sr.ht, which serves fetches only over HTTPS: its web
// server has no path to receive-pack, and private repositories are for SSH.
func sourcehutRules() hostRules {
	return hostRules{
		realm:         "sr.ht",
		bareURLs:      true,
		noHTTPSPush:   true,
		hidden:        answer{http.StatusNotFound, "404 Not Found"},
		wrong:         answer{http.StatusNotFound, "404 Not Found"},
		missing:       answer{http.StatusNotFound, "404 Not Found"},
		anonymousPush: answer{http.StatusForbidden, "Service not enabled: 'receive-pack'"},
		readOnly:      answer{http.StatusForbidden, "Service not enabled: 'receive-pack'"},
		user:          User,
		token:         func(_, _ string) string { return "" },
		protected:     func(string, bool) Refusal { return Refusal{WholePush: true} },
		payloads:      sourcehutPayloads,
		sign:          signSourceHut,
		hostKey:       true,
	}
}
