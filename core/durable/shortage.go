package durable

import (
	"os"
	"path/filepath"
	"syscall"

	"github.com/headwater-git/headwater/core"
)

// Sentence says what ran out at a folder and what to do about it. It tells a disk
// without inodes from one without space, for which the system has the same error.
// Only the folder's own name is in it: those who read it need not know its path.
func Sentence(short core.Shortage, dir string) string {
	where := "the folder " + filepath.Base(dir) + " of " + core.DataDirectory
	if short.Errno == syscall.ENOSPC && core.NoInodesLeft(dir) {
		return core.InodesSentence(where)
	}
	return short.Sentence(where)
}

// probeSize is what [Probe] writes: a block of most file systems.
const probeSize = 4 << 10

// Probe writes a small file into a folder and removes it. The error says whether that
// can be done at this time: KindResource, with what the operator has to do.
func Probe(dir string) error {
	path, err := WriteTemp(dir, "write-probe-", make([]byte, probeSize))
	if err == nil {
		err = os.Remove(path)
	}
	if err == nil {
		return nil
	}
	text := "the folder " + filepath.Base(dir) + " of " + core.DataDirectory + " cannot be written; the server's log has the reason"
	if short, ok := core.ShortageOf(err); ok {
		text = Sentence(short, dir)
	}
	return &core.Error{Kind: core.KindResource, Op: "write to the data directory", Message: text, Err: err}
}
