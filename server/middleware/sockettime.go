package middleware

import "time"

// SocketTime returns the time of the operating system, by which the deadlines of
// connections are set, as with [net/http.ResponseController.SetReadDeadline]. With a
// [core.Clock] that a test moves they would never come, or be over at once.
func SocketTime() time.Time {
	return time.Now() //nolint:forbidigo // not a time of ours, see above
}
