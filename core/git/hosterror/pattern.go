package hosterror

import (
	"regexp"
	"sync"
)

// pattern returns a regular expression, which it compiles when it is used first. All
// of this package's together take 12 ms, which every process of the program would pay
// at its start, short-lived ones and plugins too, most of which never see an error.
type pattern func() *regexp.Regexp

// lazily returns the pattern of an expression, which must be valid.
func lazily(expression string) pattern {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expression) })
}
