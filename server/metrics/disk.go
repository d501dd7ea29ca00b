package metrics

import (
	"context"
	"io/fs"
	"maps"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/headwater-git/headwater/core"
)

// measureEvery is how long the data directory is left alone between two walks over
// it. A walk reads the inode of every file: with five hundred repositories that is a
// second. Where nobody asks there is none.
const measureEvery = 15 * time.Minute

// Disk is what is known of the disk of the data directory, in bytes.
type Disk struct {
	Size, Free int64            // of the file system; 0: unknown
	Used       map[string]int64 // by class; nil before the first walk has ended
}

// DiskMeter measures the data directory.
type DiskMeter struct {
	dir   string
	clock core.Clock
	asked chan struct{} // holds one question

	mu   sync.Mutex
	used map[string]int64
}

// NewDiskMeter returns a meter that knows nothing of what is used before it was asked.
func NewDiskMeter(dir string, clock core.Clock) *DiskMeter {
	return &DiskMeter{dir: dir, clock: clock, asked: make(chan struct{}, 1)}
}

// Run measures when [DiskMeter.Disk] asks, from time to time, until ctx ends.
func (d *DiskMeter) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.asked:
		}
		d.measure(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-d.clock.After(measureEvery):
		}
	}
}

// Disk returns what was measured last, and has it measured anew if that is long ago;
// what is free, as of now.
func (d *DiskMeter) Disk() Disk {
	select {
	case d.asked <- struct{}{}:
	default: // somebody has asked
	}
	var out Disk
	var fs unix.Statfs_t
	if unix.Statfs(d.dir, &fs) == nil {
		block := int64(fs.Bsize) //nolint:unconvert // of another type on other systems
		// Bavail: what is kept for root is none for us.
		out.Size, out.Free = int64(fs.Blocks)*block, int64(fs.Bavail)*block
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	out.Used = maps.Clone(d.used)
	return out
}

// measure walks over the data directory. Files that go meanwhile are none.
func (d *DiskMeter) measure(ctx context.Context) {
	used := map[string]int64{"repositories": 0, "quarantine": 0, "database": 0, "other": 0}
	err := filepath.WalkDir(d.dir, func(path string, e fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil || !e.Type().IsRegular() {
			return nil //nolint:nilerr // it went, or cannot be read: it is not counted
		}
		info, err := e.Info()
		if err != nil {
			return nil //nolint:nilerr // it went
		}
		rel, err := filepath.Rel(d.dir, path)
		if err == nil {
			used[class(rel)] += info.Size()
		}
		return nil
	})
	if err != nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.used = used
}

// class is what a file of the data directory counts as.
func class(rel string) string {
	first, _, below := strings.Cut(filepath.ToSlash(rel), "/")
	switch {
	case below && first == "repos":
		return "repositories"
	case below && first == "quarantine":
		return "quarantine"
	case !below && strings.HasPrefix(first, "headwater.db"):
		return "database"
	}
	return "other"
}
