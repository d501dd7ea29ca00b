package webhooktest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"

	"github.com/headwater-git/headwater/providers"
)

// HMAC returns a signer that writes the HMAC-SHA256 of the body, in hex after a
// prefix, into a header and removes the other ones.
func HMAC(header, prefix string, others ...string) func(*providers.WebhookRequest, providers.Secret) {
	return func(r *providers.WebhookRequest, secret providers.Secret) {
		mac := hmac.New(sha256.New, []byte(secret.Reveal()))
		mac.Write(r.Body)
		for _, name := range others {
			r.Header.Del(name)
		}
		r.Header.Set(header, prefix+hex.EncodeToString(mac.Sum(nil)))
	}
}
