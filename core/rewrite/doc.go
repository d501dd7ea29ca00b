// Package rewrite is what people do about rewrites: forced moves and deletions
// of mirrored refs, which core/repo records (the old tip under a hidden ref in
// the same ref transaction, the row in the same SQL transaction), and those that
// a policy holds back, which core/mirror records.
//
//	retained  -> restored    by Restore: the old tip is a branch again
//	          -> dismissed   by Dismiss: the old tip is let go
//	          -> expired     when its time is over, or the size limit wants it
//	held      -> approved    by Approve: the ref moves as the upstream moved it
//	          -> dismissed   by Dismiss: the ref stays, and nobody asks again
//	          -> replaced    when the upstream moves the ref again, or back
//	frozen    -> dismissed or replaced likewise; only another policy moves it
//
// Approving makes a rewrite of its own, whose old tip is retained: a wrong
// decision can be taken back.
//
// Hidden refs lie below refs/internal/, so they are never advertised and never
// pushed, and like all refs they keep their objects through any maintenance. A
// client that knows the id of a retained commit can fetch it by that id in
// protocol version 2, which git allows for every object of a repository; whoever
// may read the repository may read what it retains.
package rewrite
