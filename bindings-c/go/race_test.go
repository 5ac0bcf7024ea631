//go:build race

package callsheet_test

// The race detector's own records grow with what it watches.
func init() { memoryIsJudged = false }
