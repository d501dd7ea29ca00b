// Package providertest is what a plugin is measured with: a fake forge that
// behaves like a real one, a conformance suite that any provider must pass,
// and a loopback provider for tests of the code that calls providers.
//
// [NewForge] starts a [Forge]: a loopback server that speaks real smart HTTP
// (by git http-backend, over real repositories in a folder) in the [Dress] of
// one host: its authentication scheme, its refusals in its own words, its API.
// It needs no testing package, so scripts use it too; [StartForge] is the same
// for tests.
//
// A forge also delivers webhooks, as its host does: registered by its API or by
// hand, signed, in the host's own form, after every push that was taken. See
// [Forge.AddWebhook], [Forge.SetInstanceWebhook], [Forge.SetWebhookFaults],
// [Forge.HoldRefs].
//
// [Run] is the conformance suite. It takes any constructor of
// [providers.Provider], so it runs over a value in this process and over a
// launched plugin alike.
package providertest
