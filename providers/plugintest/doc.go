// Package plugintest is the conformance suite that any provider must pass: see
// [Run]. It takes any constructor of [providers.Provider], so it runs over a
// value in this process and over a launched plugin alike.
//
// Our own plugins call it with one of the hosts of package forgetest. Authors of
// plugins call [github.com/headwater-git/headwater/providers/providertest.Run],
// which describes their host to it.
package plugintest
