// Package server is Headwater as a library: the one place that connects store,
// providers, engine and HTTP.
//
// [New] opens a data directory and returns a [Server]. Its [Server.Handler] belongs
// into the program's own http.Server or mux, at the root: Git remotes and API have
// fixed paths. [Server.Run] does the work in the background, [Server.Shutdown] waits
// for running pushes and then stops everything. [Options] takes a logger (of slog,
// through [SlogLogger]), an authentication hook, and the built-in providers, which
// run as processes of the same executable: main begins with builtin.Serve of
// plugins/builtin. The example is a complete program; docs/embedding.md explains it.
//
// There are no package variables, no init effects and no exits: several servers
// can live in one process, each in its own data directory.
package server
