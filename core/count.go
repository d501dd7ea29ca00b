package core

import (
	"fmt"
	"strings"
)

// Count says how many of something there are, like "1 repository" and "2
// repositories"; noun is the word for one of them, the last of several words.
func Count[N ~int | ~int64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	stem := strings.TrimSuffix(noun, "y")
	switch {
	case stem != noun && !strings.ContainsAny(stem[max(0, len(stem)-1):], "aeou"):
		noun = stem + "ies"
	case strings.HasSuffix(noun, "s"), strings.HasSuffix(noun, "x"), strings.HasSuffix(noun, "ch"), strings.HasSuffix(noun, "sh"):
		noun += "es"
	default:
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}
