// Package access decides who may do what: it verifies the tokens that
// organisations sign themselves, and reads from them the scopes, the
// repository and the ref policy.
//
// Nothing here is remembered between requests but parsed public keys, for one
// second: a disabled key stops working at once, and a token cannot be revoked
// in any other way.
//
// The algorithms are ES256, RS256 and EdDSA. Each key is pinned to the one it
// was registered with, so that the header of a token, which its sender
// chooses, never picks how it is verified.
package access
