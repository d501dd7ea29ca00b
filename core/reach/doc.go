// Package reach knows which objects of a repository a ref leads to, for whoever names
// one by its id: a fetch, a read of the API, an ensure.
//
// Git serves any object of a repository to whoever knows its id, also one that no ref
// leads to any more; in version 2 of its protocol that cannot be turned off. A
// repository with strict_wants serves only what a ref leads to that is shown to its
// readers, and any repository serves what it was made to forget only then.
//
// # The set
//
// The ids are in a file of the repository's folder, sorted, so that an answer costs
// some reads of it and no memory. It says which refs it is of, by a digest. After a
// change of refs (a new version of the repository) it is brought forward: by what
// the new tips add, as long as every old tip can still be reached, else anew.
// [Service.Run] does that after each change; a question that comes first waits for
// it, and what is not known to be reachable then is refused. Tips of refs
// are known without it.
package reach
