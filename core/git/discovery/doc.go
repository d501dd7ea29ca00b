// Package discovery asks an upstream for its refs, and for changes of very many of
// them, in process, over git's smart HTTP protocol.
//
// "What refs does the upstream have?" is asked far more often than anything
// else, once per poll, inbound webhook and push. [Discoverer] answers it with
// one or two HTTP requests over kept-alive connections instead of a
// "git ls-remote" process that starts a remote helper and a TLS session each
// time. It also gives what ls-remote cannot: HEAD's target together with
// prefixes (ls-remote --heads never lists HEAD, and asking for HEAD lists every
// pull-request ref), the HTTP status and Retry-After.
//
// [Discoverer.Push] sends ref updates. "git push" does that for a few; with
// thousands it compares each with each. Packs are made and read by git alone.
package discovery
