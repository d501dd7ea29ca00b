package api

// bearerText explains the tokens.
const bearerText = "A JSON Web Token, signed with a key of the organisation with ES256, RS256 or EdDSA. " +
	"Claims: `iss` the organisation, `repo` the repository, `scopes`, `iat`, `exp`, and `refs` for policies. `headwater token` signs one."

// overview is what holds for every operation, in Markdown.
const overview = `## Routes

Every operation below ` + "`/api/repos/{name}`" + ` has a second, legacy route below ` + "`/api/v1`" + `, where the
claim "repo" of the token alone names the repository. Requests may use the newer or the older names of fields and
parameters on either; the newer one wins. Answers have both. Fields that are not known are ignored.
Codes of errors and states may become more: a client takes one that it does not know for what its status says.
HEAD works wherever GET does. A GET that is answered with JSON has an ` + "`ETag`" + `: send it as ` + "`If-None-Match`" + ` to be
answered 304, without a body, while the answer would be the same. ` + "`Cache-Control`" + ` lets the reader alone keep it,
and not without asking. Every answer has the header ` + "`X-Request-Id`" + `, which the server's log has, too.

## Names and remotes

A repository's name is 1 to 255 bytes of UTF-8: letters of any script, blanks and every other printable character, in
parts joined by ` + "`/`" + `. Refused are a part that is ` + "`.`" + ` or ` + "`..`" + ` or ends with ` + "`.git`" + `, a first part ` + "`api`" + ` or
` + "`webhooks`" + `, the name ` + "`org`" + `, the form of an internal id, and the endings ` + "`+ephemeral`" + ` and ` + "`+import`" + `, which
name the other two Git remotes of a repository. In a path of this API the name is percent-encoded into one segment; in
the address of a remote each part is, and the ` + "`.git`" + ` at the end may be left out: ` + "`/team/app`" + `,
` + "`/team/app+ephemeral.git`" + `, ` + "`/c++/Gr%C3%B6%C3%9Fe%201.git`" + `.

## Times

Times are RFC 3339 with whole seconds or six digits of them. A commit of a year after 9999 is shown with the last
second of that year.

## Tokens

Send ` + "`Authorization: Bearer TOKEN`" + `; the word Bearer has no case. A token is a JSON Web Token that your organisation signs (ES256, RS256 or
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
status or on ` + "`code`" + `; the texts may change. Calls that make commits answer with ` + "`result`" + `
besides, whose ` + "`status`" + ` is one word; calls that change notes have it instead of ` + "`error`" + `. While the first sync of a repository runs, calls that need its content answer
409 with the code ` + "`syncing`" + ` and ` + "`Retry-After`" + `. A path that does not exist is a 404, a method that a path does
not take a 405 with ` + "`Allow`" + `. On a synced repository a write is sent to the upstream first: 422 with the code
` + "`upstream_rejected`" + ` has the host's own words.

## Sent again

Every POST that writes takes an ` + "`Idempotency-Key`" + `: a text that you choose, such as a UUID, new for each request. If no
answer comes, send the same request with the same key again: it is done once, and the answer is the first one, with
` + "`Idempotent-Replayed: true`" + `. Keys are those of one subject and one operation, and are remembered for 24 hours, the newest
10,000 of an organisation. While the first request is under way the answer is a 409 with ` + "`Retry-After`" + `; with another path,
query or body it is a 422. A request that failed and changed nothing is forgotten, and the key is good again. Where nobody
knows what became of the first one, because the server stopped or an upstream did not answer, it is a 409 that says so:
look whether it took effect.

## Pages

Lists take ` + "`limit`" + ` and ` + "`cursor`" + `. An answer with ` + "`has_more`" + ` true has ` + "`next_cursor`" + `, to be sent as
` + "`cursor`" + ` for the page that follows. A cursor that this server did not give is a 400.

## Sizes

A JSON body may have 1 MiB. The body of commit-pack and diff-commit is a stream of lines without a limit of its own;
one piece of content may have 4 MiB, the line with the metadata 32 MiB. Answers that are streamed and fail
half-way cut the connection off: what ends properly is complete.`
