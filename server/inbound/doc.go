// Package inbound serves the addresses that hosts send their webhooks to:
//
//	POST /webhooks/{provider}               of a provider instance
//	POST /webhooks/{provider}/{token}       of one repository
//
// Anybody can reach them, and what proves a sender is the signature alone, which
// the provider's plugin verifies. So the package takes care that strangers cost
// little: an unknown address is refused before its body is read, bodies are read
// once, with a cap, into memory that is bounded in total, and only a few
// requests of one sender and of one address are at a plugin at a time. Neither a
// token nor a body is ever logged.
package inbound
