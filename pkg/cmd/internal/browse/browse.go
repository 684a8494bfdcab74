// Package browse opens addresses in the browser of the system.
package browse

import (
	"io"

	"github.com/cli/browser"
)

// Open opens an address that holds no secret: every user of the machine can read the arguments
// of a program.
func Open(address string) error {
	// What a browser writes is no part of this program's output.
	browser.Stdout, browser.Stderr = io.Discard, io.Discard
	return browser.OpenURL(address)
}

// File opens a file.
func File(path string) error {
	browser.Stdout, browser.Stderr = io.Discard, io.Discard
	return browser.OpenFile(path)
}
