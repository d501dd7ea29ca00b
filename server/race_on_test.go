//go:build race

package server_test

// raceFactor divides what a test does ten thousand times: under the race
// detector a request costs ten times as much.
const raceFactor = 10
