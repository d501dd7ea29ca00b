package core

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Shortage is something that the machine of this server has run out of, so that files
// cannot be written or opened. It says nothing about a repository, a request or a host.
type Shortage struct {
	Errno syscall.Errno
	// Text is what strerror(3) says of it in the C locale, which git runs in: git ends
	// its own message with that.
	Text string
	// what ran out, with a place for where, and next is what to do.
	what, next string
}

// shortages is the one table of them. Meanings: errno(3), open(2), write(2), and
// setrlimit(2) for the limits; texts: glibc's sysdeps/gnu/errlist.h, which musl
// (src/errno/__strerror.h) shares but for the three that are named twice.
var shortages = []Shortage{
	{syscall.ENOSPC, "No space left on device", "no space is left on the disk of %s", "free space there, then try again"},
	{syscall.EDQUOT, "Disk quota exceeded", "the disk quota of the server's user is used up in %s", "raise it or free space there, then try again"},
	{syscall.EDQUOT, "Quota exceeded", "the disk quota of the server's user is used up in %s", "raise it or free space there, then try again"},
	{syscall.EFBIG, "File too large", "a file in %s reached the largest size that the system allows", "raise the limit of file sizes of the server (ulimit -f), then try again"},
	{syscall.EMFILE, "Too many open files", "too many open files: a process reached its limit in %s", "raise the limit of open files of the server (ulimit -n), or try again later"},
	{syscall.EMFILE, "No file descriptors available", "too many open files: a process reached its limit in %s", "raise the limit of open files of the server (ulimit -n), or try again later"},
	{syscall.ENFILE, "Too many open files in system", "too many open files: the whole machine reached its limit in %s", "raise that limit (fs.file-max), or try again later"},
}

// DataDirectory is where something ran out if nothing is known but that it was a file of
// the server's.
const DataDirectory = "the data directory"

// Shortages returns the table, for those who read messages of programs.
func Shortages() []Shortage { return append([]Shortage(nil), shortages...) }

// ShortageOf returns what the machine ran out of according to a chain of errors; false
// if none of them says that.
func ShortageOf(err error) (Shortage, bool) {
	errno, ok := errors.AsType[syscall.Errno](err)
	if !ok {
		return Shortage{}, false
	}
	for _, s := range shortages {
		if s.Errno == errno {
			return s, true
		}
	}
	return Shortage{}, false
}

// operatorHasTo stands in sentences about a shortage between what ran out and what to do.
const operatorHasTo = "; the operator has to "

// TellsOperator reports whether a text says itself what the operator of this server has
// to do: the sentence of a shortage does.
func TellsOperator(text string) bool { return strings.Contains(text, operatorHasTo) }

// Sentence says what ran out, where, and what to do. Where names a folder as an
// operator knows it, and not a path: others read it, too.
func (s Shortage) Sentence(where string) string {
	return fmt.Sprintf(s.what, where) + operatorHasTo + s.next
}

// InodesSentence is the sentence of a disk with space but without a free inode, which
// the system reports like one without space.
func InodesSentence(where string) string {
	return fmt.Sprintf("no inodes are left on the disk of %s, so that no file can be made", where) +
		operatorHasTo + "remove files there or make the file system anew with more inodes, then try again"
}

// UnwritableSentence is the sentence of a file that the system refused to write without
// its error being known.
func UnwritableSentence(what string) string {
	return what + " cannot be written: a disk quota or the largest size of a file is reached, or the disk has a fault" +
		operatorHasTo + "look at the quota of the server's user, its limit of file sizes (ulimit -f) and the system's log, then try again"
}

// NoInodesLeft reports whether the file system of a path, or of the nearest folder above
// it that is there, counts inodes and has none left: statfs(2).
func NoInodesLeft(path string) bool {
	var at syscall.Statfs_t
	for {
		err := syscall.Statfs(path, &at)
		if err == nil {
			return at.Files > 0 && at.Ffree == 0
		}
		above := filepath.Dir(path)
		if !errors.Is(err, fs.ErrNotExist) || above == path {
			return false
		}
		path = above
	}
}

// sentenceOf says what ran out according to a chain of errors. The file that could not be
// made, if they name one, tells a disk without inodes from one without space.
func sentenceOf(err error, short Shortage) string {
	path := ""
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		path = e.Path
	} else if e, ok := errors.AsType[*os.LinkError](err); ok {
		path = e.New
	}
	if short.Errno == syscall.ENOSPC && filepath.IsAbs(path) && NoInodesLeft(path) {
		return InodesSentence(DataDirectory)
	}
	return short.Sentence(DataDirectory)
}
