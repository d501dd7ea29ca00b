// Package durable writes files that a power cut leaves whole: as they were, or as
// they are to be.
package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// SyncDir flushes a folder, so that a name that was made, renamed or removed in it
// survives a power cut.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// WriteTemp writes data to a new file in dir, readable by its owner alone, flushes
// it and returns its path. Its name begins with prefix. If it fails it leaves
// nothing behind.
func WriteTemp(dir, prefix string, data []byte) (path string, err error) {
	f, err := os.CreateTemp(dir, prefix+"*") // mode 0600
	if err != nil {
		return "", err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// ReplaceFile writes data to path with the mode, by way of a file beside it that
// takes its name: who reads path finds the old content or the new one. The name is
// durable when it returns.
func ReplaceFile(path string, data []byte, mode fs.FileMode) error {
	temp, err := WriteTemp(filepath.Dir(path), "."+filepath.Base(path)+".", data)
	if err != nil {
		return err
	}
	err = os.Chmod(temp, mode)
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return SyncDir(filepath.Dir(path))
}
