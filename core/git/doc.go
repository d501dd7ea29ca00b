// Package git is the one place that runs the system's git. It also reads what git
// prints: refs, objects, the results of a push. Packets are in the package pktline,
// progress in progress, and the errors of hosts in hosterror; none of them needs a
// git to run.
//
// Every call of git is built from a [Command]: a struct, not a list of words.
// The environment is an allow-list; configuration and secrets travel in
// GIT_CONFIG_* variables and never in argv or files; prompts, system and user
// configuration, hooks, helpers and redirects are off unless a call says
// otherwise.
//
// # Reference discovery runs in process
//
// "What refs does the upstream have?" is asked far more often than anything
// else, once per poll, inbound webhook and push. [Discoverer] answers it with
// one or two HTTP requests over kept-alive connections instead of a
// "git ls-remote" process that starts a remote helper and a TLS session each
// time. It also gives what ls-remote cannot: HEAD's target together with
// prefixes (ls-remote --heads never lists HEAD, and asking for HEAD lists every
// pull-request ref), the HTTP status and Retry-After. Objects move by
// "git fetch" and "git push" alone.
package git
