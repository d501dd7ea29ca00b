package core

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Day is what people mean by one where they say how long something lives.
const Day = 24 * time.Hour

// ParseDuration reads a duration of days, and of what [time.ParseDuration] takes after
// them: 90s, 24h, 7d, 1d12h.
func ParseDuration(text string) (time.Duration, error) {
	count, rest, ok := strings.Cut(text, "d")
	if !ok {
		return time.ParseDuration(text)
	}
	days, err := strconv.ParseUint(count, 10, 32)
	if err != nil || days > uint64(math.MaxInt64/Day)-1 {
		return 0, fmt.Errorf("time: invalid duration %q", text)
	}
	total := time.Duration(days) * Day
	if rest == "" {
		return total, nil
	}
	more, err := time.ParseDuration(rest)
	if err != nil || more < 0 || more >= Day {
		return 0, fmt.Errorf("time: invalid duration %q", text)
	}
	return total + more, nil
}
