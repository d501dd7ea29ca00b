package api

// bearerText explains the tokens.
const bearerText = "A JSON Web Token, signed with a key of the organisation with ES256, RS256 or EdDSA. " +
	"Claims: `iss` the organisation, `repo` the repository, `scopes`, `iat`, `exp`, and `refs` for policies. `headwater token` signs one."

// overview is what holds for every operation, in Markdown.
const overview = `## Routes

Every operation below ` + "`/api/repos/{name}`" + ` has a second, legacy route below ` + "`/api/v1`" + `, where the
claim "repo" of the token alone names the repository. Requests may use the newer or the older names of fields and
parameters on either; the newer one wins. Answers have both. Fields that are not known are ignored.
HEAD works wherever GET does. Every answer has the header ` + "`X-Request-Id`" + `, which the server's log has, too.

## Tokens

Send ` + "`Authorization: Bearer TOKEN`" + `. A token is a JSON Web Token that your organisation signs (ES256, RS256 or
EdDSA) with a key whose public half the server has. It says in ` + "`iss`" + ` the organisation, in ` + "`repo`" + ` the
repository, in ` + "`scopes`" + ` what it opens, and in ` + "`refs`" + ` which refs it may not change.
` + "`headwater token --repo team/app --scope git:write --ttl 1h`" + ` signs one.

| scope | opens |
| --- | --- |
| ` + "`git:read`" + ` | everything that reads content |
| ` + "`git:write`" + ` | everything that changes content, and ` + "`git:read`" + ` |
| ` + "`repo:write`" + ` | creating, changing and deleting repositories, and credentials; with a token for the organisation, webhooks |
| ` + "`org:read`" + ` | listing repositories, providers, webhooks and events; the token names no repository, or "org" |

## Errors

Errors are JSON, the problem details of RFC 9457 with ` + "`error`" + ` and ` + "`code`" + ` beside them. Branch on the
status or on ` + "`code`" + `; the texts may change. Calls that make commits or change notes answer with ` + "`result`" + `
besides, whose ` + "`status`" + ` is one word. While the first sync of a repository runs, calls that need its content answer
409 with the code ` + "`syncing`" + ` and ` + "`Retry-After`" + `. A path that does not exist is a 404, a method that a path does
not take a 405 with ` + "`Allow`" + `. On a synced repository a write is sent to the upstream first: 422 with the code
` + "`upstream_rejected`" + ` has the host's own words.

## Pages

Lists take ` + "`limit`" + ` and ` + "`cursor`" + `. An answer with ` + "`has_more`" + ` true has ` + "`next_cursor`" + `, to be sent as
` + "`cursor`" + ` for the page that follows. A cursor that this server did not give is a 400.

## Sizes

A JSON body may have 1 MiB. The body of commit-pack and diff-commit is a stream of lines without a limit of its own;
one piece of content may have 4 MiB, the line with the metadata 32 MiB. Answers that are streamed and fail
half-way cut the connection off: what ends properly is complete.`
