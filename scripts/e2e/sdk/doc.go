// Package sdk proves that the published SDK works against the server as it is:
// @pierre/storage from npm, unpatched, over TLS with a certificate that Node is
// configured to trust. With the build tag npm it runs; scripts/test installs the SDK
// and sets HEADWATER_NODE_MODULES. With the tag peers, too, a real Gitea is one
// of the upstream hosts.
//
// The scenarios are in the scripts *.mjs, one file per subject; harness.mjs
// says what is watched while they run. All of them run on local repositories,
// and again on synced ones. Further tests speak the preferred routes and the
// newer vocabulary with a plain HTTP client, since the SDK of today uses
// neither, and compare every answer with what clients accept.
//
// Whatever a test has done, it ends in a look at the data directory: git must
// find every repository whole, and no temporary file may be left.
package sdk
