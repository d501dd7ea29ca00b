// Package sdk is what the author of a provider plugin imports, beside package
// providers, which is the contract.
//
// A plugin is a program of a few lines:
//
//	func main() { sdk.Serve(acme.New()) }
//
// The server starts it with the checksum from providers.hcl, one process per
// provider instance, and stops it. The process inherits almost nothing: a few
// harmless environment variables, no working directory worth reading, no
// terminal. Its log is what it writes with [Logger] or to standard error.
//
// Plugins must not start processes of their own, must not write to disk, and
// must speak to their host through [HTTPClient], which keeps to the address
// policy of the operator.
package sdk
