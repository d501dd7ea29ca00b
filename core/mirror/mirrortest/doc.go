// Package mirrortest has a world in which mirrors run, for the tests of the packages
// that make them together: core/mirror and core/upstream.
package mirrortest
