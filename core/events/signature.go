package events

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"time"

	"github.com/headwater-git/headwater/providers"
)

// Sign returns the value of the header X-Pierre-Signature: the time in Unix
// seconds and, in lower-case hex, the HMAC-SHA256 with the secret over that
// number, a dot and the body. Receivers refuse old times, so it must be made
// anew for every attempt.
func Sign(secret providers.Secret, at time.Time, body []byte) string {
	t := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret.Reveal()))
	mac.Write([]byte(t + "."))
	mac.Write(body)
	return "t=" + t + ",sha256=" + hex.EncodeToString(mac.Sum(nil))
}
