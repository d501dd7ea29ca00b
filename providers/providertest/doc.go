// Package providertest is what a plugin is measured with.
//
// [Run] is the conformance suite: it checks that a provider keeps the contract
// of package providers. The author describes the host of the provider as a
// [Forge]: how it authenticates, what its API answers, how it signs webhooks,
// with what words it refuses. The suite serves real repositories in that manner
// on loopback, and breaks them on purpose: limits, outages, redirects, clocks
// that differ, forged webhooks, tokens that were revoked.
//
// [Run] takes any constructor of [providers.Provider], so it runs over a value in
// this process and over a launched plugin alike. It needs git.
//
// [Loopback] is a provider for tests of the code that calls providers.
package providertest
