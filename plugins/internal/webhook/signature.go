package webhook

import (
	"crypto/sha256"
	"crypto/subtle"
	"strings"

	"github.com/google/go-github/v62/github"

	"github.com/headwater-git/headwater/providers"
)

// sha256Prefix is the one algorithm that is accepted. Hosts that send several
// signatures send an older one with SHA-1, too.
const sha256Prefix = "sha256="

// VerifyHMAC verifies the body against a signature "sha256=<hex>" with one of
// the secrets. Without a secret that is not empty nothing is verified.
// Errors: [providers.CodeSignatureInvalid].
func VerifyHMAC(r providers.WebhookRequest, signature string) error {
	if !strings.HasPrefix(signature, sha256Prefix) {
		return SignatureInvalid()
	}
	return oneOf(r.Secrets, func(secret string) bool {
		return github.ValidateSignature(signature, r.Body, []byte(secret)) == nil
	})
}

// VerifyToken compares a token that came with the webhook to the secrets, in
// constant time. Errors: [providers.CodeSignatureInvalid].
func VerifyToken(token string, secrets []providers.Secret) error {
	given := sha256.Sum256([]byte(token))
	return oneOf(secrets, func(secret string) bool {
		// Digests have one length: comparing them does not tell the secret's.
		want := sha256.Sum256([]byte(secret))
		return subtle.ConstantTimeCompare(given[:], want[:]) == 1
	})
}

// oneOf tries all secrets, also after one fits, so that the time does not tell
// which. An empty secret is nobody's: everyone can sign with it.
func oneOf(secrets []providers.Secret, fits func(secret string) bool) error {
	found := false
	for _, s := range secrets {
		if s != "" && fits(s.Reveal()) {
			found = true
		}
	}
	if !found {
		return SignatureInvalid()
	}
	return nil
}

// SignatureInvalid is the one answer to whatever is wrong with a signature: it
// tells a stranger nothing.
func SignatureInvalid() error {
	return providers.Errorf(providers.CodeSignatureInvalid, "the webhook is not signed with a secret that is configured for it")
}
