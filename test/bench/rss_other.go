//go:build !linux

package main

import "runtime"

// rssUnit is the unit of Rusage.Maxrss in bytes: it differs between systems.
func rssUnit() int64 {
	if runtime.GOOS == "darwin" {
		return 1
	}
	return 1024
}
