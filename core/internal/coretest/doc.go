// Package coretest is what the tests of the core are based on: a data
// directory with a real store and real repositories, a fake forge as their
// upstream, and a clock that tests move. Only clock and forge are not real.
package coretest
