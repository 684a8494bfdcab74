package ui

import (
	"errors"
	"fmt"
	"html"
	"os"
	"path/filepath"
)

// openBrowser opens an address in the browser. The address goes there in a file that only
// the user can read: every user of the machine can read the arguments of a program. remove
// removes the file, and is never nil.
func (o *Options) openBrowser(address string) (remove func(), err error) {
	remove = func() {}
	cache, err := os.UserCacheDir()
	if err != nil {
		return remove, fmt.Errorf("find the cache directory: %w", err)
	}
	directory := filepath.Join(cache, "kubectl-pyflow")
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return remove, fmt.Errorf("make the cache directory: %w", err)
	}
	// CreateTemp makes files that only the user can read.
	file, err := os.CreateTemp(directory, "ui-*.html")
	if err != nil {
		return remove, fmt.Errorf("write the address: %w", err)
	}
	remove = func() { _ = os.Remove(file.Name()) }
	_, err = fmt.Fprintf(file, "<!doctype html><meta charset=\"utf-8\"><meta http-equiv=\"refresh\" content=\"0;url=%s\"><title>pyflow</title>", html.EscapeString(address))
	if err := errors.Join(err, file.Close()); err != nil {
		return remove, fmt.Errorf("write the address: %w", err)
	}
	return remove, o.Open(file.Name())
}
