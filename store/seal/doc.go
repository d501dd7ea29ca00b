// Package seal encrypts the secrets of the database with a key outside it.
//
// The key is a Tink keyset: one primary key that seals, and older keys that
// can still open. The algorithm is XAES-256-GCM, whose 192-bit random nonces
// allow any number of secrets per key.
//
// A keyset lives in a key file ([LoadOrCreate]) or in an environment variable
// ([Parse]). The key of a file is changed in three steps, each of which may be
// repeated, while the server runs:
//
//  1. [Rotate] adds a new primary key to the file.
//  2. Store.ResealCredentials seals every row anew.
//  3. [Prune] drops the older keys.
//
// A process that has the file open notices the change by itself. The steps
// are for one operator: two who rotate at the same moment may lose one's key.
// Whoever loses the key file loses the secrets; back it up, but not next to
// the database.
package seal
