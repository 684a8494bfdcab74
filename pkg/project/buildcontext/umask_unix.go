//go:build unix

package buildcontext

import (
	"bytes"
	"io/fs"
	"os"
	"strconv"
	"syscall"
)

// umask returns the umask of this process.
func umask() fs.FileMode {
	// Linux says it, and elsewhere it is only known by setting it.
	status, _ := os.ReadFile("/proc/self/status")
	for line := range bytes.Lines(status) {
		if text, ok := bytes.CutPrefix(line, []byte("Umask:")); ok {
			if mask, err := strconv.ParseUint(string(bytes.TrimSpace(text)), 8, 32); err == nil {
				return fs.FileMode(mask) & fs.ModePerm
			}
		}
	}
	mask := syscall.Umask(int(usualUmask))
	syscall.Umask(mask)
	return fs.FileMode(mask) & fs.ModePerm //nolint:gosec // a umask has nine bits
}
