// Package lfs keeps the Git LFS objects of repositories: large files whose
// commits hold only a pointer of three lines to them.
//
// An object is named by the SHA-256 of its bytes ([OID]) and stored once,
// whatever number of repositories have it. That a repository *has* an object
// is a row of its own: to know an id opens nothing, and a row is made only
// after the bytes were proven, by whoever sent them or by the upstream.
//
// A synced repository has the objects of its upstream too. They are fetched
// when they are asked for, and an upload goes to the upstream first, like
// every push: [Upstream] is that side, which core/lfs/remote implements.
//
// Sources: the specifications in docs/spec.md and docs/api of
// github.com/git-lfs/git-lfs.
package lfs
