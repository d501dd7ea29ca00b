// Package server is Headwater as a library: the one place that wires store,
// providers, engine and HTTP together.
//
//	srv, err := server.New(ctx, server.Options{DataDir: "/var/lib/headwater", ...})
//	go srv.Run(ctx)                       // syncs and maintenance
//	http.ListenAndServe(addr, srv.Handler())
//	srv.Shutdown(ctx)                     // drains pushes, then stops everything
//
// There are no package variables, no init effects and no exits: several servers
// can live in one process, each in its own data directory. A program that
// embeds the built-in providers must give control to plugins/builtin first
// thing in main, since they run as processes of the same executable.
package server
