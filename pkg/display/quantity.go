package display

import (
	"github.com/dustin/go-humanize"
	"github.com/dustin/go-humanize/english"
)

// Bytes returns a size in decimal units: 12 kB, 3.4 MB.
func Bytes(n int64) string {
	return humanize.Bytes(uint64(max(n, 0)))
}

// Count returns a number of things: 1 file, 2 files.
func Count(n int, thing string) string {
	return english.Plural(n, thing, "")
}
