// Package wire carries the Go contract of package providers over gRPC: the
// handshake, the conversions between Go values and messages, and the two ends,
// [Client] in the server and the service of [Plugin] in a plugin's process.
//
// It is shared by the packages sdk and host, and not for authors of plugins.
package wire
