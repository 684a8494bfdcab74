// Package version returns the version of the plugin.
package version

import "runtime/debug"

// version is set by the linker (-X) in a release build.
var version string

// Version returns the release (vX.Y.Z), or else the module version that the Go toolchain
// records (go install MODULE@VERSION, or the commit of a checkout), or else "devel".
func Version() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}
