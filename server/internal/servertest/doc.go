// Package servertest runs whole servers for tests: real store, real git, real
// provider plugins as processes, and the fake forge of providers/providertest
// as upstream.
//
// A test package that uses it hands its TestMain to [Main], because the test
// binary is three programs: the tests, a provider plugin, and a server in a
// process of its own that can be killed.
package servertest
