package content

import (
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/headwater-git/headwater/core"
)

// maxCursor is the length limit of a cursor in bytes. The longest holds a path,
// and a repository may hold longer ones than a caller may name.
const maxCursor = 8 * maxPath

// cursor is a place in a listing. Its text is opaque to callers, but no secret
// and no proof of anything: whatever comes back is checked like other input.
type cursor struct {
	kind   string        // of listing
	commit core.ObjectID // the listing began with; "" for listings of refs
	after  string        // last item of the page before
}

func (c cursor) String() string {
	return base64.RawURLEncoding.EncodeToString([]byte(c.kind + ":" + string(c.commit) + ":" + c.after))
}

// parseCursor reads a cursor of the kind; "" gives the zero cursor. Errors:
// KindInvalid.
func parseCursor(kind, text string) (cursor, error) {
	if text == "" {
		return cursor{}, nil
	}
	bad := core.Errorf(core.KindInvalid, `the parameter "cursor" is not one that this listing gave`)
	if len(text) > maxCursor {
		return cursor{}, bad
	}
	// Strict: one place has one text.
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return cursor{}, bad
	}
	word, rest, _ := strings.Cut(string(raw), ":")
	commit, after, ok := strings.Cut(rest, ":")
	if !ok || word != kind || after == "" || strings.ContainsRune(after, 0) {
		return cursor{}, bad
	}
	if commit != "" && !core.ObjectID(commit).Valid() {
		return cursor{}, bad
	}
	return cursor{kind, core.ObjectID(commit), after}, nil
}

// parseOffset is parseCursor for listings that count.
func parseOffset(kind, text string) (core.ObjectID, int, error) {
	c, err := parseCursor(kind, text)
	if err != nil || text == "" {
		return "", 0, err
	}
	offset, err := strconv.Atoi(c.after)
	if err != nil || offset < 0 || c.commit == "" {
		return "", 0, core.Errorf(core.KindInvalid, `the parameter "cursor" is not one that this listing gave`)
	}
	return c.commit, offset, nil
}

// offsetCursor is the other way.
func offsetCursor(kind string, commit core.ObjectID, offset int) string {
	return cursor{kind, commit, strconv.Itoa(offset)}.String()
}
