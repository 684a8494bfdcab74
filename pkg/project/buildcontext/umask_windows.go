package buildcontext

import "io/fs"

// umask returns the usual umask: Windows has none.
func umask() fs.FileMode { return usualUmask }
