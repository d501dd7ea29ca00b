//go:build race

package e2e

// raceFlag builds the server like this test.
const raceFlag = "-race"
