package commit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/headwater-git/headwater/core"
)

// spoolMemory is how much of a spool stays in memory, in bytes.
const spoolMemory = 1 << 20

// spool keeps what is written to it: in memory while it is small, then in a
// file without a name, which is gone with the process at the latest.
type spool struct {
	dir   string
	limit int64 // 0 is none
	mem   bytes.Buffer
	file  *os.File
	size  int64
}

// Write appends. Errors: KindTooLarge over the limit, and those of the disk.
func (s *spool) Write(p []byte) (int, error) {
	if s.limit > 0 && s.size+int64(len(p)) > s.limit {
		return 0, core.Errorf(core.KindTooLarge, "the request brings more than %d bytes", s.limit)
	}
	s.size += int64(len(p))
	if s.file == nil {
		if s.size <= spoolMemory {
			return s.mem.Write(p)
		}
		if err := s.spill(); err != nil {
			return 0, err
		}
	}
	return s.file.Write(p)
}

// spill moves what is in memory to a file.
func (s *spool) spill() error {
	f, err := os.CreateTemp(s.dir, "api-")
	if err != nil {
		return fmt.Errorf("spool a request: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return errors.Join(fmt.Errorf("spool a request: %w", err), f.Close())
	}
	s.file = f
	_, err = f.Write(s.mem.Bytes())
	s.mem = bytes.Buffer{}
	return err
}

// reader reads everything from the start. It may be called again.
func (s *spool) reader() io.Reader { return s.section(0, s.size) }

// section reads a part of it. It may be called again, also after more was written.
func (s *spool) section(from, size int64) io.Reader {
	if s.file == nil {
		return bytes.NewReader(s.mem.Bytes()[from : from+size])
	}
	return io.NewSectionReader(s.file, from, size)
}

// reset forgets everything.
func (s *spool) reset() error {
	s.mem.Reset()
	s.size = 0
	return s.close()
}

// close frees the file. The spool may be written to again.
func (s *spool) close() error {
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	return err
}
