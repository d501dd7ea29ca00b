// Package git is the one place that runs the system's git. It also reads what git
// prints of refs and of a push.
//
// The packages below it have one job each: catfile reads objects, treeobject trees,
// pktline packets, progress git's progress, and hosterror what hosts say of a
// failure; discovery lists the refs of an upstream in process.
//
// Every call of git is built from a [Command]: a struct, not a list of words.
// The environment is an allow-list; configuration and secrets travel in
// GIT_CONFIG_* variables and never in argv or files; prompts, system and user
// configuration, hooks, helpers and redirects are off unless a call says
// otherwise.
package git
