package durable

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

// CopyFile copies a file to a new one with the mode, and flushes it. The folder that
// names it is not flushed. It is [fs.ErrExist] if there is something at to.
func CopyFile(from, to string, mode fs.FileMode) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err == nil {
		err = out.Sync()
	}
	return errors.Join(err, out.Close())
}
