// Package fsck sorts the checks that git makes of objects (git-fsck(1), "FSCK
// MESSAGES") by what this server does about an object that fails one: nothing,
// what the repository's settings say, or always a refusal. Syncs, pushes and writes
// by API take it from the one list here. It also reads from git's messages which
// object was refused and why.
package fsck
