package api

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

func TestDecodeJSON_texts(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{ // "": it is refused
		`{"s":"\ud83d\ude00 \u00e9 \\ud83d \\\\ \" \n"}`: "\U0001f600 \u00e9 \\ud83d \\\\ \" \n",
		`{"s":"\uD83D\uDE00"}`:                           "\U0001f600",
		"{\"s\":\"\U0001f600\ufffd\"}":                   "\U0001f600\ufffd",
		`{"s":"\ufffd"}`:                                 "\ufffd",
		`{"s":"\ud83d"}`:                                 "",
		`{"s":"\ude00"}`:                                 "",
		`{"s":"\ude00\ud83d"}`:                           "",
		`{"s":"\ud83d\u0041"}`:                           "",
		`{"s":"\ud83d\\ude00"}`:                          "",
		`{"s":"\ud83d\ud83d\ude00"}`:                     "",
		`{"\udfff":"x"}`:                                 "",
		"{\"s\":\"\xff\"}":                               "",
		"{\"s\":\"\xed\xa0\xbd\"}":                       "",
		`{"s":"\u12"}`:                                   "",
		`{"s":"\`:                                        "",
	} {
		var got struct {
			S string `json:"s"`
		}
		err := decodeJSON([]byte(text), &got)
		if want == "" {
			require.Equal(t, core.KindInvalid, core.KindOf(err), text)
			continue
		}
		require.NoError(t, err, text)
		require.Equal(t, want, got.S, text)
	}
}

func TestDecodeJSON_keepsTheWordsOfAField(t *testing.T) {
	t.Parallel()
	var body settingsBody
	err := decodeJSON([]byte(`{"max_staleness":"5x"}`), &body)
	require.Equal(t, core.KindInvalid, core.KindOf(err))
	require.ErrorContains(t, err, `"5x" is not a duration with its unit`)
	require.ErrorContains(t, decodeJSON([]byte(`{"max_staleness":`), &body), "is not valid JSON")
}
