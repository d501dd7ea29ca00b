// Package access decides who may do what: it verifies the tokens that
// organisations sign themselves and those that the server issues for them, and reads
// from them the scopes, the repository, the ref policy and the operations.
//
// Nothing here is remembered between requests but parsed public keys, for one
// second, and what is revoked, which is in memory whole and compared with the database
// twice a second: a disabled key and a revoked token stop working at once. No token that
// verified is remembered.
//
// The algorithms are ES256, RS256 and EdDSA. Each key is pinned to the one it
// was registered with, so that the header of a token, which its sender
// chooses, never picks how it is verified.
package access
