//go:build npm && race

package sdk

// raceFlag builds the server like this test.
const raceFlag = "-race"
