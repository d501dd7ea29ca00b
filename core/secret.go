package core

import (
	"crypto/rand"
	"encoding/base64"

	"github.com/headwater-git/headwater/providers"
)

// NewSecret returns 32 random bytes in base64url (RFC 4648, section 5), which
// fits headers, paths and forms as it is.
func NewSecret() providers.Secret {
	var random [32]byte
	_, _ = rand.Read(random[:]) // never fails: it ends the process if the system has no entropy
	return providers.Secret(base64.RawURLEncoding.EncodeToString(random[:]))
}
