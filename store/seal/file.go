package seal

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/durable"
	"github.com/headwater-git/headwater/providers"
)

// maxFileSize, in bytes, bounds what is read as a key file. A key takes about 250.
const maxFileSize = 1 << 20

// File is a sealer over a key file. It follows changes of the file: before it
// seals, since after a [Rotate] nothing new may be sealed with an old key, and
// when something does not open. It is safe for concurrent use.
type File struct {
	path string

	mu   sync.Mutex
	keys *Keyset
}

// LoadOrCreate opens the key file at path. If it is missing, it is made with a
// new key and mode 0600; its folder must exist. Of several processes that make
// it at the same time one wins, and all use its key.
//
// KindInvalid: the file is no keyset. KindInternal: the file system failed.
func LoadOrCreate(path string) (*File, error) {
	keys, err := read(path)
	if errors.Is(err, fs.ErrNotExist) {
		keys, err = create(path)
	}
	if err != nil {
		return nil, err
	}
	return &File{path: path, keys: keys}, nil
}

// Seal implements store.Sealer.
func (f *File) Seal(plaintext, associatedData []byte) ([]byte, error) {
	keys, err := f.reload()
	if err != nil {
		return nil, err
	}
	return keys.Seal(plaintext, associatedData)
}

// Open implements store.Sealer.
func (f *File) Open(ciphertext, associatedData []byte) ([]byte, error) {
	f.mu.Lock()
	keys := f.keys
	f.mu.Unlock()
	if id, ok := sealedWith(ciphertext); ok && !keys.has(id) {
		reloaded, err := f.reload()
		if err != nil {
			return nil, err
		}
		keys = reloaded
	}
	return keys.Open(ciphertext, associatedData)
}

// reload reads the file again.
func (f *File) reload() (*Keyset, error) {
	keys, err := read(f.path)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.keys = keys
	return keys, nil
}

// Rotate adds a new primary key to the key file at path and keeps the others.
// Errors are those of [LoadOrCreate]; a missing file is KindNotFound.
func Rotate(path string) error { return change(path, (*Keyset).Rotated) }

// Prune drops all keys but the primary one from the key file at path. What was
// sealed with them and not sealed anew since is lost. Errors are those of [Rotate].
func Prune(path string) error { return change(path, (*Keyset).Pruned) }

func change(path string, edit func(*Keyset) (*Keyset, error)) error {
	keys, err := read(path)
	if err != nil {
		return err
	}
	if keys, err = edit(keys); err != nil {
		return err
	}
	text, err := fileText(keys)
	if err == nil {
		err = durable.ReplaceFile(path, text, 0o600)
	}
	if err != nil {
		return failed("write key file", err)
	}
	return nil
}

// read returns the keyset of the file at path.
func read(path string) (*Keyset, error) {
	const doing = "read key file"
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &core.Error{Kind: core.KindNotFound, Op: doing, Subject: path, Message: "there is no such key file", Err: err}
	}
	if err != nil {
		return nil, failed(doing, err)
	}
	text, err := io.ReadAll(io.LimitReader(file, maxFileSize))
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, failed(doing, err)
	}
	keys, err := Parse(providers.Secret(text))
	if err != nil {
		return nil, &core.Error{Kind: core.KindOf(err), Op: doing, Subject: path, Message: core.MessageOf(err)}
	}
	return keys, nil
}

// create makes the file at path with a new key. If another process was faster,
// it returns that one's.
func create(path string) (*Keyset, error) {
	const doing = "create key file"
	keys, err := New()
	if err != nil {
		return nil, err
	}
	text, err := fileText(keys)
	if err != nil {
		return nil, failed(doing, err)
	}
	temp, err := durable.WriteTemp(filepath.Dir(path), ".key-", text)
	if err != nil {
		return nil, failed(doing, err)
	}
	// A link and not a rename, which would replace the key file of a process
	// that was faster.
	linked := os.Link(temp, path)
	if err := os.Remove(temp); err != nil {
		return nil, failed(doing, err)
	}
	if errors.Is(linked, fs.ErrExist) {
		return read(path)
	}
	if linked != nil {
		return nil, failed(doing, linked)
	}
	if err := durable.SyncDir(filepath.Dir(path)); err != nil {
		return nil, failed(doing, err)
	}
	return keys, nil
}

// fileText returns what a key file with the keys holds.
func fileText(keys *Keyset) ([]byte, error) {
	text, err := keys.json()
	return append(text, '\n'), err
}
