package hosterror

import "regexp"

// exhausted matches the messages of git for memory, processes and open files that it
// cannot get: those of wrapper.c, packfile.c, git-zlib.c, run-command.c and
// thread-utils.c, and all that end with strerror(errno). The patterns hold on to both ends of the
// line, because names and patterns of callers stand in others. Lines of an
// upstream begin with "remote: " and do not count. "packed object is corrupt"
// is none of them: for want of memory it comes after "Out of memory", and alone
// it is true.
var exhausted = regexp.MustCompile(`(?m)^(?:fatal|error): (?:` +
	`Out of memory, .*|mmap failed.*|packfile .* cannot be mapped.*|(?:in|de)flate\w*: out of memory.*|` +
	`.{0,200} died of signal (?:6|9|11)|` +
	`command line, .*: Memory exhausted|` + // regcomp(3) in git grep
	`.*: (?:Cannot allocate memory|Too many open files(?: in system)?|Resource temporarily unavailable))$`)

// FindExhausted returns the first message in a text of git on this machine that says
// what it ran out of; nil if there is none.
func FindExhausted(text []byte) []byte { return exhausted.Find(text) }
