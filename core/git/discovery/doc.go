// Package discovery asks an upstream for its refs in process, over git's smart HTTP
// protocol, and carries large pushes of git send-pack to it.
//
// "What refs does the upstream have?" is asked far more often than anything
// else, once per poll, inbound webhook and push. [Discoverer] answers it with
// one or two HTTP requests over kept-alive connections instead of a
// "git ls-remote" process that starts a remote helper and a TLS session each
// time. It also gives what ls-remote cannot: HEAD's target together with
// prefixes (ls-remote --heads never lists HEAD, and asking for HEAD lists every
// pull-request ref), the HTTP status and Retry-After.
//
// [Discoverer.Push] takes the place of git-remote-http between a host and git
// send-pack. "git push" does for a few refs; with thousands it compares each with each.
package discovery
