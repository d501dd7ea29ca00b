package backup

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/durable"
	"github.com/headwater-git/headwater/providers"
)

// keyFolders are the folders of the data directory that hold private keys.
var keyFolders = []string{"keys", "tls"}

// maxKeyFile, in bytes, bounds a file of keys: both when it is sealed and when it is opened,
// so that no key is cut short.
const maxKeyFile = 1 << 20

// Recipient is who can open the copy of the keys: whoever has a passphrase or an age
// identity (https://age-encryption.org/v1).
type Recipient struct{ to []age.Recipient }

// ForPassphrase returns the recipient that has a passphrase.
func ForPassphrase(passphrase providers.Secret) (*Recipient, error) {
	r, err := age.NewScryptRecipient(string(passphrase))
	if err != nil {
		return nil, err
	}
	return &Recipient{[]age.Recipient{r}}, nil
}

// ForRecipients returns the recipients of a text, one on a line as age has them
// ("age1..."); lines that begin with # are comments.
func ForRecipients(text string) (*Recipient, error) {
	to, err := age.ParseRecipients(strings.NewReader(text))
	if err != nil {
		return nil, err
	}
	return &Recipient{to}, nil
}

// Identity opens the copy of the keys.
type Identity struct{ with []age.Identity }

// WithPassphrase returns the identity that a passphrase is.
func WithPassphrase(passphrase providers.Secret) (*Identity, error) {
	i, err := age.NewScryptIdentity(string(passphrase))
	if err != nil {
		return nil, err
	}
	return &Identity{[]age.Identity{i}}, nil
}

// WithIdentities returns the identities of a text as age-keygen writes it.
func WithIdentities(text providers.Secret) (*Identity, error) {
	with, err := age.ParseIdentities(strings.NewReader(string(text)))
	if err != nil {
		return nil, errors.New("it is not an age identity file") // whose words may hold the secret
	}
	return &Identity{with}, nil
}

// seal writes the keys of a data directory to a new file, encrypted. They are nowhere
// else in between.
func (r *Recipient) seal(dataDir, to string) (err error) {
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	sealed, err := age.Encrypt(out, r.to...)
	if err != nil {
		return err
	}
	archive := tar.NewWriter(sealed)
	for _, folder := range keyFolders {
		if err := addKeys(archive, dataDir, folder); err != nil {
			return err
		}
	}
	return errors.Join(archive.Close(), sealed.Close(), out.Sync())
}

func addKeys(archive *tar.Writer, dataDir, folder string) error {
	return filepath.WalkDir(filepath.Join(dataDir, folder), func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		name, err := filepath.Rel(dataDir, path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Size() > maxKeyFile {
			return fmt.Errorf("%s has %s, and a file of keys at most %s: move it elsewhere", path, core.ByteSize(info.Size()), core.ByteSize(maxKeyFile))
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := archive.WriteHeader(&tar.Header{Name: filepath.ToSlash(name), Mode: int64(info.Mode().Perm()), Size: int64(len(content)), Format: tar.FormatPAX}); err != nil {
			return err
		}
		_, err = archive.Write(content)
		return err
	})
}

// open writes the keys of a sealed file into a data directory, and returns their names.
// Another file of that name is an error: KindConflict.
func (i *Identity) open(from, dataDir string) (names []string, err error) {
	in, err := os.Open(from)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	plain, err := age.Decrypt(in, i.with...)
	if err != nil {
		return nil, &core.Error{Kind: core.KindPermission, Message: "the passphrase or identity does not open " + from, Err: err}
	}
	for archive := tar.NewReader(plain); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return names, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", from, err)
		}
		folder, _, _ := strings.Cut(h.Name, "/")
		if !filepath.IsLocal(h.Name) || h.Typeflag != tar.TypeReg || folder != keyFolders[0] && folder != keyFolders[1] {
			return nil, fmt.Errorf("%s has a file that is no key: %q", from, h.Name)
		}
		if h.Size > maxKeyFile {
			return nil, fmt.Errorf("%s has a file of %s, which is no key: %q", from, core.ByteSize(h.Size), h.Name)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", from, err)
		}
		path := filepath.Join(dataDir, filepath.FromSlash(h.Name))
		if err := durable.MkdirAll(filepath.Dir(path)); err != nil {
			return nil, err
		}
		if have, err := os.ReadFile(path); err == nil && !bytes.Equal(have, content) {
			return nil, core.Errorf(core.KindConflict, "%s is there already, and is not that of the backup; leave the passphrase or identity out to keep it, or move it away", path)
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if err := durable.ReplaceFile(path, content, fs.FileMode(h.Mode).Perm()); err != nil { //nolint:gosec // nine bits
			return nil, err
		}
		names = append(names, h.Name)
	}
}
