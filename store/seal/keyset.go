package seal

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/providers"
)

// A Tink ciphertext starts with a version byte and the id of its key.
const (
	prefixVersion = 1
	prefixSize    = 5
)

// Keyset seals with its primary key and opens with any of its keys. It does
// not change and is safe for concurrent use.
type Keyset struct {
	handle *keyset.Handle
	aead   tink.AEAD
}

// New makes a keyset of one new random key, that lives in memory only until it
// is stored with [Keyset.Encode].
func New() (*Keyset, error) {
	handle, err := keyset.NewHandle(aead.XAES256GCM192BitNonceKeyTemplate())
	if err != nil {
		return nil, failed("make a sealing key", err)
	}
	return fromHandle(handle)
}

// Parse reads a keyset as [Keyset.Encode] writes it, which is Tink's JSON in
// base64, or the JSON itself. KindInvalid: it is neither. The error does not
// hold the value.
func Parse(value providers.Secret) (*Keyset, error) {
	text := []byte(strings.TrimSpace(value.Reveal()))
	if len(text) == 0 {
		return nil, core.Errorf(core.KindInvalid, "the sealing keyset is empty")
	}
	if text[0] != '{' {
		decoded, err := base64.StdEncoding.DecodeString(string(text))
		if err != nil {
			return nil, core.Errorf(core.KindInvalid, "the sealing keyset is neither JSON nor base64")
		}
		text = decoded
	}
	// The cause is left out on purpose: a parser's error may quote its input,
	// and the input is the key.
	handle, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(text)))
	if err != nil {
		return nil, core.Errorf(core.KindInvalid, "the sealing keyset is damaged or cut short: it is not a Tink keyset in JSON")
	}
	return fromHandle(handle)
}

func fromHandle(handle *keyset.Handle) (*Keyset, error) {
	primitive, err := aead.New(handle)
	if err != nil {
		return nil, &core.Error{Kind: core.KindInvalid, Message: "the sealing keyset is not one of authenticated encryption", Err: err}
	}
	return &Keyset{handle: handle, aead: primitive}, nil
}

// Encode returns the keyset as text for [Parse]: the keys themselves.
func (k *Keyset) Encode() (providers.Secret, error) {
	text, err := k.json()
	if err != nil {
		return "", err
	}
	return providers.Secret(base64.StdEncoding.EncodeToString(text)), nil
}

func (k *Keyset) json() ([]byte, error) {
	var text bytes.Buffer
	if err := insecurecleartextkeyset.Write(k.handle, keyset.NewJSONWriter(&text)); err != nil {
		return nil, failed("encode the sealing keyset", err)
	}
	return text.Bytes(), nil
}

// Rotated returns a keyset with a new primary key that can open all that k can.
func (k *Keyset) Rotated() (*Keyset, error) {
	manager := keyset.NewManagerFromHandle(k.handle)
	id, err := manager.Add(aead.XAES256GCM192BitNonceKeyTemplate())
	if err != nil {
		return nil, failed("add a sealing key", err)
	}
	if err := manager.SetPrimary(id); err != nil {
		return nil, failed("add a sealing key", err)
	}
	return fromManager(manager, "add a sealing key")
}

// Pruned returns a keyset of k's primary key alone.
func (k *Keyset) Pruned() (*Keyset, error) {
	manager := keyset.NewManagerFromHandle(k.handle)
	for i := range k.handle.Len() {
		entry, err := k.handle.Entry(i)
		if err != nil {
			return nil, failed("drop old sealing keys", err)
		}
		if entry.IsPrimary() {
			continue
		}
		if err := manager.Delete(entry.KeyID()); err != nil {
			return nil, failed("drop old sealing keys", err)
		}
	}
	return fromManager(manager, "drop old sealing keys")
}

func fromManager(manager *keyset.Manager, doing string) (*Keyset, error) {
	handle, err := manager.Handle()
	if err != nil {
		return nil, failed(doing, err)
	}
	return fromHandle(handle)
}

// Len returns the number of keys.
func (k *Keyset) Len() int { return k.handle.Len() }

// Seal implements store.Sealer.
func (k *Keyset) Seal(plaintext, associatedData []byte) ([]byte, error) {
	sealed, err := k.aead.Encrypt(plaintext, associatedData)
	if err != nil {
		return nil, failed("seal", err)
	}
	return sealed, nil
}

// Open implements store.Sealer. KindInternal in every case; the message tells
// a ciphertext that is cut short, one of a key that is not here, and one that
// was changed or belongs elsewhere.
func (k *Keyset) Open(ciphertext, associatedData []byte) ([]byte, error) {
	plain, err := k.aead.Decrypt(ciphertext, associatedData)
	if err == nil {
		return plain, nil
	}
	failure := &core.Error{Kind: core.KindInternal, Op: "open sealed secret", Err: err}
	id, ok := sealedWith(ciphertext)
	switch {
	case !ok:
		failure.Message = "it is cut short or was never sealed"
	case !k.has(id):
		failure.Message = fmt.Sprintf("it was sealed with key %d, which is not in the keyset", id)
	default:
		failure.Message = "it was changed, or moved here from another row"
	}
	return nil, failure
}

// has reports whether k has the key.
func (k *Keyset) has(id uint32) bool {
	for i := range k.handle.Len() {
		if entry, err := k.handle.Entry(i); err == nil && entry.KeyID() == id {
			return true
		}
	}
	return false
}

// sealedWith returns the id of the key that ciphertext says it was sealed with.
func sealedWith(ciphertext []byte) (id uint32, ok bool) {
	if len(ciphertext) <= prefixSize || ciphertext[0] != prefixVersion {
		return 0, false
	}
	return binary.BigEndian.Uint32(ciphertext[1:prefixSize]), true
}

// failed wraps an error of Tink or of the file system.
func failed(doing string, err error) error {
	if _, ok := errors.AsType[*core.Error](err); ok {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return &core.Error{Kind: core.KindInternal, Op: doing, Err: err}
}
