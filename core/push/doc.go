// Package push is the way of every write into a repository: the write session,
// shared by git pushes and API writes.
//
// [Service.Write] takes a set of ref updates through its checks (namespace, mode,
// token policy; ref locks; force-push policy; paths that others have locked; preflight)
// and gives what is left to [repo.Repos.Transact], with the push to the upstream as its
// upstream part. It answers per ref, in the host's own words. What a transaction leaves open, its own
// or another's, [Service.Run] settles.
//
//   - "ok" means: the upstream has it, and the next read here shows it.
//   - What the upstream refuses moved nothing here.
//   - What is unknown (the connection broke after the updates were sent) is
//     asked from the upstream, never guessed.
//
// # How git hands over its pushes
//
// git receive-pack runs with receive.procReceiveRefs=refs, so that it stores the
// objects and then asks the proc-receive hook for the result of every ref
// (githooks(5)). The hook is three cats: git's children inherit the server's
// pipes as fd 3 to 5, and the hook only joins them to its stdin, stdout and
// stderr. So the result is made inside the server, nothing listens on a socket, no token
// is needed, and no second copy of this program starts on every push.
//
// There is no pre-receive hook. What a pre-receive could refuse for the name of
// a ref is known from the first packets of the request: when every update is
// refused on such grounds, git is not started and nothing is stored; a push
// in which only some are refused still gets its result per ref, which a
// pre-receive (one exit status for all) cannot give.
package push
