// Package coretest is the ground that the tests of the core stand on: a data
// directory with a real store and real repositories, a fake forge as their
// upstream, and a clock that tests move. Only clock and forge are not real.
package coretest
