// Package token issues short tokens for an organisation, keeps the keys that sign them,
// and revokes tokens.
//
// The server has one issuer for each organisation: an ES256 key that it made and whose
// private half never leaves the database, where it is sealed. The header "kid" of its
// tokens is reserved ([core.ReservedKeyID]). A key signs for 30 days, or until it is
// rotated; its public half verifies until the last token that it signed could have
// ended, and is listed like any other key.
//
// An issued token names the operations that it is for and opens nothing else, lives a
// day at most, and can do no more than the token whose holder asked for it: the same
// scopes or fewer, and under the same ref policy. It issues no token itself.
//
// What is revoked is written here and read by [access.Verifier].
package token
