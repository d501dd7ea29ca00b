// Package providers is the contract between Headwater and the plugins that
// know the hosts it mirrors from. It imports only the standard library.
//
// A provider answers four questions and holds no state: where is this
// repository (Resolve), what credential opens it now (Credential), what does
// this inbound webhook say (ParseWebhook), and how is the host doing (Probe).
// Where its hosts can, it also registers webhooks ([WebhookRegistrar]) and has
// lost ones sent again ([DeliveryReplayer]).
// The core runs git; a provider never does, sees no disk, and knows nothing of
// other providers. Providers run out of process; package sdk serves one, and
// package host launches and supervises it.
//
// # What happens in one push
//
// A client pushes to a synced repository. The core asks Resolve (cached) where
// the upstream is, and Credential with operation [OpPush] for what opens it.
// The core runs git push with that credential. If the host answers 401, the
// core asks Credential once more with Fresh set, and tries again. The host's
// results for each ref go to the client; the provider is not asked about them.
//
// # What happens with one inbound webhook
//
// The core gives the host an address and a secret for one repository, by
// EnsureWebhook if the provider can. A request to that address goes to
// ParseWebhook, raw, with the secrets that may have signed it and the
// repository that the address belongs to. The provider verifies, then parses.
// What it says is a hint: the core lists the refs of the upstream and believes
// only those, so a forged, repeated or lost webhook changes nothing but when
// the core looks.
//
// # Rules
//
// Every method may be called concurrently and may be retried: all are
// idempotent. Manifest works before Configure, offline and without secrets.
// Errors are [*Error]; any other error is taken as [CodeUnavailable].
package providers
