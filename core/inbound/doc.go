// Package inbound takes what hosts say about upstreams: their webhooks.
//
// An inbound webhook is a hint to look, never a fact. The provider's plugin
// verifies and reads it; this package finds the repositories that it concerns
// and asks core/schedule for a look at them. Nothing else follows from it, so a webhook
// that is late, doubled, replayed or echoes our own push costs one comparison.
//
// There are two kinds of addresses. That of a provider instance serves all of
// its repositories (a GitHub App has one webhook for the whole App); it is
// verified with the secrets of providers.hcl. That of one repository holds an
// unguessable token and has secrets of its own. Where the host lets a stored
// credential do so, the package registers the latter at the host and keeps it
// correct; everywhere else a person may paste it.
//
// What is lost while this server is down, the host is asked to send again where
// it keeps such deliveries; polling finds the rest.
package inbound
