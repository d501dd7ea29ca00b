// Package git is the one place that runs the system's git. It also reads what git
// prints: refs, objects, the results of a push. Packets are in the package pktline,
// progress in progress, and the errors of hosts in hosterror; none of them needs a
// git to run. The refs of an upstream are listed without it too, see discovery.
//
// Every call of git is built from a [Command]: a struct, not a list of words.
// The environment is an allow-list; configuration and secrets travel in
// GIT_CONFIG_* variables and never in argv or files; prompts, system and user
// configuration, hooks, helpers and redirects are off unless a call says
// otherwise.
package git
