package seal_test

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/store"
	"github.com/headwater-git/headwater/store/seal"
)

var (
	_ store.Sealer = (*seal.Keyset)(nil)
	_ store.Sealer = (*seal.File)(nil)
)

const planted = "PLANTED-plaintext-7f3a"

func newKeyset(t *testing.T) *seal.Keyset {
	t.Helper()
	k, err := seal.New()
	require.NoError(t, err)
	return k
}

func TestKeyset_Open_tellsWhatIsWrong(t *testing.T) {
	t.Parallel()
	k := newKeyset(t)
	sealed, err := k.Seal([]byte(planted), []byte("ggc_1"))
	require.NoError(t, err)
	changed := append([]byte(nil), sealed...)
	changed[len(changed)-1] ^= 1

	for _, tt := range []struct {
		name       string
		keys       *seal.Keyset
		ciphertext []byte
		data       string
		want       string
	}{
		{"wrong key", newKeyset(t), sealed, "ggc_1", "not in the keyset"},
		{"wrong row", k, sealed, "ggc_2", "moved here from another row"},
		{"changed", k, changed, "ggc_1", "it was changed"},
		{"cut within the text", k, sealed[:20], "ggc_1", "it was changed"},
		{"cut within the prefix", k, sealed[:4], "ggc_1", "cut short"},
		{"empty", k, nil, "ggc_1", "cut short"},
		{"never sealed", k, []byte(planted), "ggc_1", "never sealed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			plain, err := tt.keys.Open(tt.ciphertext, []byte(tt.data))
			require.Nil(t, plain)
			require.Equal(t, core.KindInternal, core.KindOf(err))
			require.Contains(t, core.MessageOf(err), tt.want)
			require.NotContains(t, err.Error(), planted)
		})
	}

	plain, err := k.Open(sealed, []byte("ggc_1"))
	require.NoError(t, err)
	require.Equal(t, planted, string(plain))
	require.NotContains(t, string(sealed), planted)
}

func TestKeyset_Rotated_opensOldAndPrunedDoesNot(t *testing.T) {
	t.Parallel()
	first := newKeyset(t)
	old, err := first.Seal([]byte(planted), nil)
	require.NoError(t, err)

	second, err := first.Rotated()
	require.NoError(t, err)
	require.Equal(t, 2, second.Len())
	require.Equal(t, 1, first.Len(), "the first one has not changed")
	plain, err := second.Open(old, nil)
	require.NoError(t, err)
	require.Equal(t, planted, string(plain))
	fresh, err := second.Seal([]byte(planted), nil)
	require.NoError(t, err)
	_, err = first.Open(fresh, nil)
	require.ErrorContains(t, err, "not in the keyset")

	third, err := second.Pruned()
	require.NoError(t, err)
	require.Equal(t, 1, third.Len())
	_, err = third.Open(fresh, nil)
	require.NoError(t, err)
	_, err = third.Open(old, nil)
	require.ErrorContains(t, err, "not in the keyset")
}

func TestParse_readsWhatEncodeWrites(t *testing.T) {
	t.Parallel()
	k := newKeyset(t)
	sealed, err := k.Seal([]byte(planted), nil)
	require.NoError(t, err)
	encoded, err := k.Encode()
	require.NoError(t, err)
	text, err := base64.StdEncoding.DecodeString(encoded.Reveal())
	require.NoError(t, err)

	for name, value := range map[string]providers.Secret{
		"base64":           encoded,
		"base64, new line": encoded + "\n",
		"JSON":             providers.Secret(text),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parsed, err := seal.Parse(value)
			require.NoError(t, err)
			plain, err := parsed.Open(sealed, nil)
			require.NoError(t, err)
			require.Equal(t, planted, string(plain))
		})
	}
}

func TestParse_refuses(t *testing.T) {
	t.Parallel()
	encoded, err := newKeyset(t).Encode()
	require.NoError(t, err)
	text, err := base64.StdEncoding.DecodeString(encoded.Reveal())
	require.NoError(t, err)
	for name, value := range map[string]string{
		"nothing":          "",
		"a word":           planted,
		"cut JSON":         string(text[:len(text)/2]),
		"JSON of no key":   `{"primaryKeyId":1,"key":[]}`,
		"JSON of a secret": `{"` + planted + `":1}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := seal.Parse(providers.Secret(value))
			require.Equal(t, core.KindInvalid, core.KindOf(err))
			require.NotContains(t, err.Error(), planted)
		})
	}
}

func TestLoadOrCreate_makesOnePrivateFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "seal.key")
	const processes = 8
	files := make([]*seal.File, processes)
	errs := make([]error, processes)
	var wg sync.WaitGroup
	for i := range processes {
		wg.Go(func() { files[i], errs[i] = seal.LoadOrCreate(path) })
	}
	wg.Wait()
	for i := range processes {
		require.NoError(t, errs[i])
		sealed, err := files[i].Seal([]byte(planted), nil)
		require.NoError(t, err)
		plain, err := files[0].Open(sealed, nil)
		require.NoError(t, err)
		require.Equal(t, planted, string(plain))
	}
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1, "no temporary file is left")
}

func TestLoadOrCreate_refusesCutFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "seal.key")
	_, err := seal.LoadOrCreate(path)
	require.NoError(t, err)
	info, err := os.Stat(path)
	require.NoError(t, err)
	for _, size := range []int64{info.Size() / 2, 0} {
		require.NoError(t, os.Truncate(path, size))
		_, err = seal.LoadOrCreate(path)
		require.Equal(t, core.KindInvalid, core.KindOf(err))
		require.ErrorContains(t, err, path)
	}
}

func TestFile_followsRotation(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "seal.key")
	server, err := seal.LoadOrCreate(path)
	require.NoError(t, err)
	old, err := server.Seal([]byte(planted), nil)
	require.NoError(t, err)

	require.NoError(t, seal.Rotate(path))
	other, err := seal.LoadOrCreate(path)
	require.NoError(t, err)
	fresh, err := other.Seal([]byte(planted), nil)
	require.NoError(t, err)
	plain, err := server.Open(fresh, nil)
	require.NoError(t, err, "the server sees the new key without a restart")
	require.Equal(t, planted, string(plain))
	afterwards, err := server.Seal([]byte(planted), nil)
	require.NoError(t, err)

	require.NoError(t, seal.Prune(path))
	pruned, err := seal.LoadOrCreate(path)
	require.NoError(t, err)
	_, err = pruned.Open(afterwards, nil)
	require.NoError(t, err, "what is sealed after a rotation uses the new key")
	_, err = pruned.Open(old, nil)
	require.ErrorContains(t, err, "not in the keyset")
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
}

func TestRotate_needsAFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "seal.key")
	require.Equal(t, core.KindNotFound, core.KindOf(seal.Rotate(path)))
	require.Equal(t, core.KindNotFound, core.KindOf(seal.Prune(path)))
}
