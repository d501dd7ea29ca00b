## providers.hcl: which Git hosts the server may mirror from, and how.
##
##   headwater serve --config providers.hcl
##   headwater provider check --config providers.hcl
##
## Without this file every built-in provider runs with its defaults: HTTPS to
## public addresses only. A block changes that. Lines with two hash marks are
## explanations; take one hash mark off the others to use them.
##
## The first label is the provider. A second one names the instance, when there
## are several of one kind. A block holds
##
##   attributes of the provider itself (github-app and sourcehut have some),
##   poll: when upstreams are looked at unasked; "auto" (by how often they change,
##     15 s to 8 h), "off", or a duration of at least 5 s. Default "auto", and "off"
##     for public providers,
##   host blocks: how one host may be spoken to,
##   command, args and sha256, for a provider plugin of your own.
##
## env("NAME") reads an environment variable that must be set, file("PATH") a
## file without its last newline. Paths are relative to this file. Never write a
## secret in here: use env() or file(). The server reads the file at start
## and on SIGHUP.

## --- GitHub through a GitHub App: private repositories, reads and pushes -----
##
## "headwater github-app create" makes the App and prints this block; what it
## needs and what its states mean is in docs/github-app.md. Install the App on the
## owners of the repositories. No credential is stored per repository.

# provider "github-app" {
#   app_id           = 123456               ## from the App's settings page
#   private_key_file = "github-app.pem"     ## PEM, as GitHub gives it
#   ## private_key   = env("GITHUB_APP_KEY")  the PEM text, instead of a file
#   ## installation_id = 7890                 use one installation for everything
#
#   host "github.com" {
#     webhook_secret = file("github-app.webhook-secret")  ## of the App's webhook
#   }
#
#   ## GitHub Enterprise Server: every host beside github.com needs a block, so
#   ## that what the App signs reaches nobody else.
#   host "github.example.org" {
#     api_url = "https://github.example.org/api/v3"  ## the default for this host
#   }
# }

## --- GitHub without credentials: public repositories, read-only ---------------
##
## Nothing to configure; the block is for limits and polling. Pushes to the
## mirror's own branches are refused ("upstream is read-only in public mode").

# provider "github-public" {
#   poll = "15m"           ## default "off": nobody asked for public repositories to be watched
#   host "github.com" {
#     max_concurrent = 4   ## git operations at this host at once
#   }
# }

## --- GitLab: gitlab.com and your own -------------------------------------------
##
## Credential of a repository: a personal, group or project access token with
## the scopes read_repository and write_repository, or a user name with it.

# provider "gitlab" {
#   host "gitlab.example.org" {
#     ca_file        = "internal-ca.pem"           ## PEM, trusted beside the system's
#     webhook_secret = env("GITLAB_WEBHOOK_SECRET")  ## what inbound webhooks are signed with
#   }
# }

## --- Bitbucket Cloud --------------------------------------------------------------
##
## Credential: a repository, project or workspace access token alone, an API
## token with the account's e-mail address, or an app password with the user name.

# provider "bitbucket" {
#   host "bitbucket.org" {
#     ## Several secrets are accepted at once, so that one can be rotated.
#     webhook_secrets = [env("BITBUCKET_WEBHOOK_SECRET"), env("BITBUCKET_WEBHOOK_SECRET_OLD")]
#   }
# }

## --- Gitea: no default host, so requests name it (upstream_host) ----------------
##
## Credential: an access token with the scope write:repository, alone or with
## the account's name.

# provider "gitea" {
#   host "127.0.0.1:3000" {
#     scheme        = "http"   ## default "https"; http sends tokens in the clear
#     allow_private = true     ## default false: private, loopback and link-local
#                              ## addresses are refused at every contact
#   }
# }

## --- Forgejo: like Gitea -----------------------------------------------------------

# provider "forgejo" {
#   host "git.example.org" {
#     allow_private = true
#     api_url       = "https://git.example.org/forge/api/v1"  ## if not /api/v1 of the host
#   }
# }

## --- Codeberg ------------------------------------------------------------------------

# provider "codeberg" {
#   host "codeberg.org" {
#     max_concurrent = 2
#   }
# }

## --- SourceHut: public repositories, read-only ------------------------------------
##
## git.sr.ht takes no push over HTTPS, only over SSH; the server says so early.
## Its webhooks are signed with a key of the host, whose public half goes here.

# provider "sourcehut" {
#   webhook_public_key = env("SOURCEHUT_WEBHOOK_KEY")  ## Ed25519, base64
#   ## webhook_public_keys = [env("KEY_ONE"), env("KEY_TWO")]  several, during a rotation
#   poll = "10m"
#   host "git.example.net" {
#     allow_private = true
#   }
# }

## --- A plugin of your own -------------------------------------------------------------
##
## Any program that serves the contract of package providers; see
## docs/providers.md. The checksum binds your trust to the bytes that run: take
## it with sha256sum. Attributes of the plugin follow, as its manifest has them.

# provider "acme" "acme-main" {
#   command = "/usr/lib/headwater/provider-acme"
#   args    = ["-quiet"]
#   sha256  = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#
#   host "git.acme.example" {
#     max_concurrent = 8
#   }
# }
