package pktline

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReader_Next_kindsAndErrors(t *testing.T) {
	t.Parallel()
	type packet struct {
		kind    Kind
		payload string
	}
	cases := []struct {
		name string
		in   string
		want []packet
		err  error
	}{
		{"data", "0008hey\n", []packet{{Data, "hey\n"}}, io.EOF},
		{"special", "000000010002", []packet{{Flush, ""}, {Delim, ""}, {ResponseEnd, ""}}, io.EOF},
		{"empty payload", "0004" + "0000", []packet{{Data, ""}, {Flush, ""}}, io.EOF},
		{"upper case", "000Ahello\n", []packet{{Data, "hello\n"}}, io.EOF},
		{"nothing", "", nil, io.EOF},
		{"cut length", "000", nil, io.ErrUnexpectedEOF},
		{"cut payload", "0008he", nil, io.ErrUnexpectedEOF},
		{"no payload", "0008", nil, io.ErrUnexpectedEOF},
		{"length 3", "0003", nil, ErrMalformed},
		{"sign", "+008hey\n", nil, ErrMalformed},
		{"words", "HTTP/1.1", nil, ErrMalformed},
		{"too long", "fff1" + strings.Repeat("x", 70000), nil, ErrMalformed},
		{"longest", "fff0" + strings.Repeat("x", MaxPayload), []packet{{Data, strings.Repeat("x", MaxPayload)}}, io.EOF},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := NewReader(strings.NewReader(c.in))
			var got []packet
			for {
				kind, payload, err := r.Next()
				if err != nil {
					require.ErrorIs(t, err, c.err)
					break
				}
				got = append(got, packet{kind, string(payload)})
			}
			require.Equal(t, c.want, got)
		})
	}
}

func TestReader_Next_readsNoByteBeyondThePacket(t *testing.T) {
	t.Parallel()
	in := strings.NewReader("0006ab" + "0000" + "PACK")
	r := NewReader(in)
	for range 2 {
		_, _, err := r.Next()
		require.NoError(t, err)
	}
	rest, err := io.ReadAll(in)
	require.NoError(t, err)
	require.Equal(t, "PACK", string(rest))
	require.Equal(t, int64(10), r.BytesRead())
}

func TestReader_Next_doesNotAllocatePerPacket(t *testing.T) {
	in := bytes.NewReader(bytes.Repeat(appendPacket(nil, make([]byte, 1000)), 300))
	r := NewReader(in)
	_, _, err := r.Next()
	require.NoError(t, err)
	require.Zero(t, testing.AllocsPerRun(200, func() {
		if _, _, err := r.Next(); err != nil {
			t.Error(err)
		}
	}))
}

// appendPacket appends payload as one pkt-line to dst.
func appendPacket(dst, payload []byte) []byte { return Appendf(dst, "%s", payload) }

func TestAppendf_cutsWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	require.Equal(t, "x0007abc", string(appendPacket([]byte("x"), []byte("abc"))))
	require.Equal(t, "x0009id 7\n", string(Appendf([]byte("x"), "id %d\n", 7)))
	long := strings.Repeat("y", MaxLength)
	require.Len(t, appendPacket(nil, []byte(long)), MaxLength)
	got := Appendf(nil, "%s", long)
	require.Len(t, got, MaxLength)
	require.Equal(t, "fff0yy", string(got[:6]))
}

func FuzzPkt(f *testing.F) {
	for _, s := range []string{"", "0000", "0008hey\n0000", "0004", "0003", "fff0", "00010002", "zzzz"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r := NewReader(bytes.NewReader(in))
		var out []byte
		for {
			kind, payload, err := r.Next()
			if err != nil {
				if !errors.Is(err, ErrMalformed) && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Fatalf("unknown error %v", err)
				}
				break
			}
			switch kind {
			case Data:
				out = appendPacket(out, payload)
			case Flush:
				out = append(out, FlushPacket...)
			case Delim:
				out = append(out, DelimPacket...)
			case ResponseEnd:
				out = append(out, ResponseEndPacket...)
			}
		}
		// What was read and is written again is what was there.
		if !bytes.EqualFold(out, in[:len(out)]) {
			t.Fatalf("read %q, wrote %q", in, out)
		}
	})
}
