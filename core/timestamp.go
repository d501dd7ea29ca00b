package core

import "time"

// Timestamp is an instant as it stands in JSON: in UTC, with whole seconds or
// exactly six digits of them. Python before 3.11, whose date parser clients use,
// refuses any other number of digits but three. Every time in answers and events
// is one.
type Timestamp time.Time

// EventTime is at in an event: receivers are promised whole seconds.
func EventTime(at time.Time) Timestamp { return Timestamp(at.Truncate(time.Second)) }

// Time returns the instant.
func (t Timestamp) Time() time.Time { return time.Time(t) }

// IsZero reports whether it is no instant at all.
func (t Timestamp) IsZero() bool { return time.Time(t).IsZero() }

// String writes it as in JSON.
func (t Timestamp) String() string {
	at := time.Time(t).UTC().Truncate(time.Microsecond)
	if at.Nanosecond() == 0 {
		return at.Format(time.RFC3339)
	}
	return at.Format("2006-01-02T15:04:05.000000Z07:00")
}

// MarshalText writes it for JSON.
func (t Timestamp) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads any RFC 3339 time.
func (t *Timestamp) UnmarshalText(text []byte) error {
	at, err := time.Parse(time.RFC3339, string(text))
	*t = Timestamp(at)
	return err
}

// Later returns the later of two times.
func Later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Sooner returns the earlier of two times, of which zero is never.
func Sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
