package api

import (
	"net/http"

	"github.com/headwater-git/headwater/core/access"
)

// tokenOperations are those about keys, the tokens that the server issues, and
// revocation.
var tokenOperations = []operation{
	{
		id: "issueToken", method: http.MethodPost, preferred: "/api/tokens", legacy: "/api/v1/tokens",
		scope: access.RepoWrite, target: organisation, audit: action{word: "token.issue"},
		doc: doc{tag: "tokens", summary: "Issue a short token for some operations",
			text: "The token opens the operations that it names, in one repository or in calls about the whole organisation, and nothing else; it is valid for a day at most. It has no scope that the token which asks lacks, is under the same ref policy, and issues no other token. The answer is the only one that shows it."},
		in: input{body: issueTokenBody{}, required: true,
			example: `{"repo":"team/app","operations":["gitFetch","listFiles","getFile"],"subject":"workspace-17","expires_in":3600}`},
		out:   output{answers: made(issuedToken{}), errors: []int{http.StatusNotFound, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusNotImplemented}},
		serve: tokens((*server).issueToken),
	},
	{
		id: "listKeys", method: http.MethodGet, preferred: "/api/keys", legacy: "/api/v1/keys",
		scope: access.OrgRead, target: organisation,
		doc: doc{tag: "tokens", summary: "List the public keys that verify tokens",
			text: "Oldest first, disabled ones too: the organisation's own, and those with which the server signs the tokens that it issues."},
		out:   output{answers: done(keyList{}), errors: []int{http.StatusNotImplemented}},
		serve: tokens((*server).listKeys),
	},
	{
		id: "rotateIssuerKey", method: http.MethodPost, preferred: "/api/keys/rotate", legacy: "/api/v1/keys/rotate",
		scope: access.RepoWrite, target: organisation, audit: action{word: "issuer.rotate"},
		doc: doc{tag: "tokens", summary: "Sign issued tokens with a new key",
			text: "The server does so itself every 30 days. Tokens of the old key are good until they end; to end them now, revoke the key."},
		out:   output{answers: made(keyView{}), errors: []int{http.StatusConflict, http.StatusNotFound, http.StatusNotImplemented}},
		serve: tokens((*server).rotateIssuerKey),
	},
	{
		id: "revokeTokens", method: http.MethodPost, preferred: "/api/revocations", legacy: "/api/v1/revocations",
		scope: access.RepoWrite, target: organisation, audit: action{word: "token.revoke"},
		doc: doc{tag: "tokens", summary: "Revoke tokens",
			text: "Of the organisation, its own or issued ones: one, by the token itself, its claim `jti` or the hash that the audit shows; those of a subject that were issued until now; or those of a key, which is disabled, and those that were issued on its authority. They are refused from the answer on, by other processes within a second. Event streams end; other requests under way finish. It cannot be taken back."},
		in: input{body: revokeBody{}, required: true,
			example: `{"subject":"jo@example.com","reason":"lost a laptop"}`},
		out:   output{answers: made(revocationView{}), errors: []int{http.StatusNotFound, http.StatusRequestEntityTooLarge, http.StatusNotImplemented}},
		serve: tokens((*server).revokeTokens),
	},
	{
		id: "listRevocations", method: http.MethodGet, preferred: "/api/revocations", legacy: "/api/v1/revocations",
		scope: access.OrgRead, target: organisation,
		doc: doc{tag: "tokens", summary: "List what is revoked",
			text: "Newest first. What has ended by itself is left out some time after."},
		in:    input{query: []parameter{paramCursor, paramLimit}, sample: "limit=20"},
		out:   output{answers: done(revocationList{}), errors: []int{http.StatusNotImplemented}},
		serve: tokens((*server).listRevocations),
	},
}
