// Package lfshttp serves Git LFS below the Git remotes, as git-lfs expects it there
// without any configuration:
//
//	POST /{repo}.git/info/lfs/objects/batch        what may be downloaded or uploaded, and where
//	GET  /{repo}.git/info/lfs/objects/{oid}        an object, whole or in part; HEAD, too
//	PUT  /{repo}.git/info/lfs/objects/{oid}        an object's bytes
//	POST /{repo}.git/info/lfs/objects/{oid}/verify whether an upload has come
//	GET  /{repo}.git/info/lfs/locks                locks
//	POST /{repo}.git/info/lfs/locks                lock a path
//	POST /{repo}.git/info/lfs/locks/verify         locks, by who holds them
//	POST /{repo}.git/info/lfs/locks/{id}/unlock    unlock
//
// and the same below {repo}+ephemeral.git and, but for reading, {repo}+import.git.
// Tokens are those of the Git remotes, and so are their ref policies: the ref that a
// batch names must be one that the token may push.
//
// Sources: docs/api of github.com/git-lfs/git-lfs.
package lfshttp
