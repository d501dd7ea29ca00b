// Package repotest has a second commit point for the tests of the core and of the
// server: what they promise must not depend on which of SQL and the disk comes
// first.
package repotest
