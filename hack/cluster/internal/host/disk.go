package host

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// ErrDisk is returned when the disk is too full.
var ErrDisk = errors.New("too little disk")

// CheckDisk fails when the file system of dir has fewer free bytes than needed.
// dir is made when it is not there.
func CheckDisk(dir string, needed uint64) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make %s: %w", dir, err)
	}
	var stat syscall.Statfs_t
	if err := syscall.Statfs(dir, &stat); err != nil {
		return fmt.Errorf("look at the disk of %s: %w", dir, err)
	}
	free := stat.Bavail * uint64(stat.Bsize) //nolint:gosec // a block size is positive
	if free < needed {
		const gib = 1 << 30
		return fmt.Errorf("%w: %.1f GiB free under %s, %.0f GiB needed: free some or set XDG_CACHE_HOME",
			ErrDisk, float64(free)/gib, dir, float64(needed)/gib)
	}
	return nil
}
