// Package forgetest is a fake forge that behaves like a real one: a loopback
// server that speaks real smart HTTP (by git upload-pack and receive-pack, over
// real repositories in a folder) in the manner of one of eight hosts or of a
// one that package fixture describes: its authentication scheme, its refusals in its own words, its
// API.
//
// [NewForge] starts a [Forge] and needs no testing package, so scripts use it
// too; [StartForge] is the same for tests.
//
// A forge also delivers webhooks, as its host does: registered by its API or by
// hand, signed, in the host's own form, after every push that was taken. See
// [Forge.AddWebhook], [Forge.SetInstanceWebhook], [Forge.SetWebhookFaults],
// [Forge.HoldRefs].
//
// It is for the tests of this repository, and changes without notice: authors of
// plugins describe their forge to package providertest, whose suite runs on it.
// (It is no internal folder because core, plugins, server and scripts, which share
// no parent but the top, all test with it.)
package forgetest
