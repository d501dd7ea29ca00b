package hosterror

import (
	"bytes"
	"regexp"
	"strings"

	"github.com/headwater-git/headwater/core"
)

// exhausted matches the messages of git for memory, processes, open files and disk space
// that it cannot get: those of wrapper.c, packfile.c, git-zlib.c, run-command.c and
// thread-utils.c, and all that end with strerror(errno) of a [core.Shortage]. The patterns
// hold on to both ends of the line, because names and patterns of callers stand in others. Lines of an
// upstream begin with "remote: " and do not count. "packed object is corrupt"
// is none of them: for want of memory it comes after "Out of memory", and alone
// it is true.
var exhausted = lazily(`(?m)^(?:fatal|error): (?:` +
	`Out of memory, .*|mmap failed.*|packfile .* cannot be mapped.*|(?:in|de)flate\w*: out of memory.*|` +
	`.{0,200} died of signal (?:6|9|11)|` +
	`command line, .*: Memory exhausted|` + // regcomp(3) in git grep
	`.*: (?:Cannot allocate memory|Resource temporarily unavailable|` + shortageTexts() + `))$`)

// fullDisk are the texts of a disk that takes no more, which also stand in the midst of
// messages of git, with "remote: " before them if the host's disk is meant.
var fullDisk = lazily(`No space left on device|Disk quota exceeded`)

// shortageNamed returns the shortage with the text.
func shortageNamed(text string) (core.Shortage, bool) {
	for _, s := range core.Shortages() {
		if s.Text == text {
			return s, true
		}
	}
	return core.Shortage{}, false
}

// shortageTexts returns the texts of [core.Shortages] as alternatives of a pattern.
func shortageTexts() string {
	var texts []string
	for _, s := range core.Shortages() {
		texts = append(texts, regexp.QuoteMeta(s.Text))
	}
	return strings.Join(texts, "|")
}

// FindExhausted returns the first message in a text of git on this machine that says
// what it ran out of; nil if there is none.
func FindExhausted(text []byte) []byte { return exhausted().Find(text) }

// FindShortage returns what the first message that [FindExhausted] finds says that the
// disk or the table of files ran out of; false: there is none, or it is about memory or
// processes.
func FindShortage(text []byte) (core.Shortage, bool) {
	line := FindExhausted(text)
	for _, s := range core.Shortages() {
		if bytes.HasSuffix(line, []byte(": "+s.Text)) {
			return s, true
		}
	}
	return core.Shortage{}, false
}
