package lfs

import (
	"encoding/hex"
	"fmt"
)

// OID names an object: the SHA-256 of its bytes in 64 lower-case hexadecimal
// digits. It is the only hash that the specification of pointers knows.
type OID string

// ParseOID returns an error that says what is wrong with s if it is no OID.
func ParseOID(s string) (OID, error) {
	if len(s) != 64 {
		return "", fmt.Errorf("the object id has %d characters: an LFS id is a SHA-256 of 64 hexadecimal digits", len(s))
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return "", fmt.Errorf("the object id has the character %q: an LFS id is a SHA-256 in lower-case hexadecimal digits", c)
		}
	}
	return OID(s), nil
}

// OIDOf returns the OID of a SHA-256 sum.
func OIDOf(sum [32]byte) OID { return OID(hex.EncodeToString(sum[:])) }

// Pointer is what a commit holds of an object.
type Pointer struct {
	OID OID
	// Size in bytes; not negative.
	Size int64
}
