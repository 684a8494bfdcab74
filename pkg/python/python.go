// Package python holds the facts about Python services that all rooms share: the
// versions of Python that images are built for, and the default port.
package python

import "slices"

// DefaultPort is the port that a service listens on if nothing names another one.
const DefaultPort = 8000

// DefaultVersion is the version for a project that runs on any: the newest but one,
// for which packages have wheels.
const DefaultVersion = "3.13"

// Versions returns the versions of Python, major.minor, for which there are base
// images, ascending.
func Versions() []string {
	return []string{"3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14"}
}

// reviewed is the date on which the facts of this package were last compared with
// their sources.
const reviewed = "2026-11-29"

// EndOfSupport returns the day on which the security updates of a version of Python
// end, as YYYY-MM-DD, or nothing for a version that is not known. Sources: the release
// cycle of https://devguide.python.org/versions, where a month means its last day, and
// https://endoflife.date/python for the versions before 3.8.
func EndOfSupport(version string) string {
	return map[string]string{
		"2.6": "2013-10-29", "2.7": "2020-01-01",
		"3.0": "2009-06-27", "3.1": "2012-04-09", "3.2": "2016-02-20", "3.3": "2017-09-29", "3.4": "2019-03-18", "3.5": "2020-09-30", "3.6": "2021-12-23",
		"3.7": "2023-06-27", "3.8": "2024-10-07", "3.9": "2025-10-31", "3.10": "2026-10-31", "3.11": "2027-10-31", "3.12": "2028-10-31",
		"3.13": "2029-10-31", "3.14": "2030-10-31",
	}[version]
}

// Ended reports whether the security updates of a version had ended when this program
// was written.
func Ended(version string) bool {
	day := EndOfSupport(version)
	return day != "" && day < reviewed
}

// Supported returns the versions of Versions that still had security updates when this
// program was written, ascending.
func Supported() []string { return slices.DeleteFunc(Versions(), Ended) }
