// Package version tells which release of the plugin this is.
package version

import "runtime/debug"

// version is set by the linker in a release build.
var version string

// Version is the release (vX.Y.Z), the module version of a go install, or
// "devel" for a build from a checkout.
func Version() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}
