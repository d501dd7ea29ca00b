package hosterror

// damaged matches what git says when objects, packs or refs on this machine are
// missing or are not what they were. Each is a message of git's own source that no
// request and no host can cause:
//
//   - object-file.c: "loose object X (stored in Y) is corrupt", and the same of
//     packed ones, "object file X is empty", "unable to unpack X header", "corrupt
//     loose object", "garbage at end of loose object"
//   - packfile.c: "file X is not a GIT packfile", "... is far too short to be a
//     packfile", "packfile X does not match index" and its like, "index file X is too
//     small", "failed to read delta base object", "bad packed object CRC", "cannot
//     unpack packed object at offset"
//   - setup.c: "not a git repository", of a folder that is named to git and so was one;
//     builtin/upload-pack.c and builtin/receive-pack.c say the same of '.', in it
//   - refs/packed-backend.c: "unexpected line in X", "packed-refs: ..." and
//     refs.c: "ignoring broken ref"
//   - diff.c: "unable to read ID", of a blob that a tree names; builtin/cat-file.c:
//     "unable to stream ID to stdout", of one that it has found
//   - ref-filter.c: "missing object ID for REF"
//   - commit.c, tree-walk.c, list-objects.c, revision.c: "Could not read ID", "unable
//     to read tree", "missing tree object", "Failed to traverse parents"
//
// "bad object" and "missing blob" are none of them: a client may name what there is
// not. Nor is "aborting due to possible repository corruption" of upload-pack.c, which
// says it of every failure, such as one for want of memory.
var damaged = lazily(`(?m)^(?:fatal|error|warning): (?:` +
	`(?:loose|packed) object [0-9a-f]+ \(stored in .*\) is corrupt|` +
	`object file .* is empty|unable to unpack .{1,200} header|corrupt loose object .*|garbage at end of loose object .*|` +
	`file .* is (?:not a GIT packfile|far too short to be a packfile)|` +
	`packfile .* (?:does not match index|signature is unavailable|claims to have .* objects.*|cannot be accessed)|` +
	`(?:index file|wrong index v[12] file size in|non-monotonic index) .*\.idx.*|` +
	`failed to read delta base object .*|bad packed object CRC for .*|cannot unpack packed object at offset .*|` +
	`not a git repository: .*|'\.' does not appear to be a git repository|` +
	`unexpected line in .*packed-refs.*|unterminated line in .*packed-refs.*|packed-refs: .*|ignoring broken ref .*|bad ref for .*|` +
	`Could not read [0-9a-f]{40,64}|unable to read tree (?:object )?\(?[0-9a-f]{40,64}\)?|missing (?:tree|commit) object '?[0-9a-f]{40,64}'?|` +
	`unable to read [0-9a-f]{40,64}|unable to stream [0-9a-f]{40,64} to stdout|missing object [0-9a-f]{40,64} for refs/.*|` +
	`Failed to traverse parents of commit .*|hash mismatch for .*` +
	`)$`)

// FindDamaged returns the first message in a text of git on this machine that says
// that the repository is damaged; nil if there is none. It is a suspicion: a text
// that also says what git ran out of, see [FindExhausted], is none.
func FindDamaged(text []byte) []byte {
	if FindExhausted(text) != nil {
		return nil
	}
	return damaged().Find(text)
}

// unreadable matches the errors of the operating system that end a message of git:
// they say that the disk could not be asked, not what is on it. What ran out is found
// by [FindExhausted].
var unreadable = lazily(`(?m)^(?:fatal|error): .*: (?:Permission denied|Input/output error|Read-only file system|Stale file handle|Transport endpoint is not connected|Interrupted system call)$`)

// FindUnreadable returns the first message in a text of git that the operating
// system could not read or write a file; nil if there is none.
func FindUnreadable(text []byte) []byte { return unreadable().Find(text) }
