// Package longtest says whether tests have time for their long form.
package longtest

import "os"

// Long reports whether there is time for the long form of a test: with the environment
// variable HEADWATER_TEST_LONG, which scripts/test --long sets.
func Long() bool { return os.Getenv("HEADWATER_TEST_LONG") != "" }

// Cases is how many cases a test goes through: long where there is time for them, else gate.
func Cases(gate, long int) int {
	if Long() {
		return long
	}
	return gate
}
