// Package githttp serves the Git remotes over smart HTTP:
//
//	/{repo}.git            reads and writes of the default namespace
//	/{repo}+ephemeral.git  the ephemeral namespace, under ordinary names
//	/{repo}+import.git     bulk pushes into the default namespace; no reads
//
// Repository names may hold slashes. A client authenticates with HTTP Basic:
// any user name, a token as password. Packs stream both ways through pipes of
// git processes; nothing of them is kept in memory.
//
// What a client asks first in protocol version 2, the capabilities, depends
// only on git's version and the object format. It is asked from git once and
// answered from memory then, which saves a process on every fetch.
package githttp
