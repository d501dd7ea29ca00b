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

// SyncFile flushes a file that somebody else wrote. The folder that names it is not
// flushed.
func SyncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// MkdirAll makes a folder and those above it that are missing, readable by their
// owner alone, so that a power cut leaves them: each is flushed, and the one that
// names it.
func MkdirAll(dir string) error {
	switch err := os.Mkdir(dir, 0o700); {
	case errors.Is(err, fs.ErrExist):
		return nil
	case errors.Is(err, fs.ErrNotExist) && filepath.Dir(dir) != dir:
		if err := MkdirAll(filepath.Dir(dir)); err != nil {
			return err
		}
		return MkdirAll(dir)
	case err != nil:
		return err
	}
	return errors.Join(SyncDir(dir), SyncDir(filepath.Dir(dir)))
}

// SyncFolders flushes a folder, the files that lie in it, and all folders below it:
// what a program made that flushes what it writes, but neither its small files nor
// the names.
func SyncFolders(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return SyncDir(path)
		case d.Type().IsRegular() && filepath.Dir(path) == dir:
			return SyncFile(path)
		}
		return nil
	})
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
