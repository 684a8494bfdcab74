// Package baseimage reads the name of a base image: its Python and distribution,
// until when they get security fixes, and whether the image has compilers or runs as root.
package baseimage

import (
	"regexp"
	"slices"
	"strings"
	"time"
)

// Reference is the name of an image in its parts.
type Reference struct {
	// Path is the repository with its registry, Name the last part of it.
	Path, Name  string
	Tag, Digest string
}

// Parse returns the parts of an image's name.
func Parse(image string) Reference {
	image, digest, _ := strings.Cut(image, "@")
	var tag string
	if at := strings.LastIndexByte(image, ':'); at > strings.LastIndexByte(image, '/') {
		image, tag = image[:at], image[at+1:]
	}
	return Reference{Path: image, Name: image[strings.LastIndexByte(image, '/')+1:], Tag: tag, Digest: digest}
}

// Official reports whether it is the image of that name of Docker's library, or a mirror of
// it, as far as the name says.
func (r Reference) Official(name string) bool {
	if r.Name != name {
		return false
	}
	// The image of a user of Docker Hub.
	if first, rest, ok := strings.Cut(r.Path, "/"); ok && rest == name && first != "library" && first != "localhost" && !strings.ContainsAny(first, ".:") {
		return false
	}
	for _, vendor := range []string{"mcr.microsoft.com", "bitnami", "chainguard", "cgr.dev", "lambda", "distroless", "dhi", "hardened", "ubi", "rapidfort", "iron"} {
		if strings.Contains(r.Path, vendor) {
			return false
		}
	}
	return true
}

// Python returns the version of Python that the tag names, as major.minor, or an empty
// string.
func (r Reference) Python() string {
	pattern := `python-?(\d\.\d+)`
	switch r.Name {
	case "python":
		pattern = `^(\d+\.\d+)`
	case "pypy":
		return "" // its releases are not those of Python
	}
	if match := regexp.MustCompile(pattern).FindStringSubmatch(r.Tag); match != nil {
		return match[1]
	}
	return ""
}

// Distribution returns the distribution and its release that name and tag say, such as
// "Debian 13", or an empty string.
func (r Reference) Distribution() string {
	codenames := map[string]string{
		"jessie": "Debian 8", "stretch": "Debian 9", "buster": "Debian 10", "bullseye": "Debian 11", "bookworm": "Debian 12", "trixie": "Debian 13",
		"xenial": "Ubuntu 16.04", "bionic": "Ubuntu 18.04", "focal": "Ubuntu 20.04", "jammy": "Ubuntu 22.04", "noble": "Ubuntu 24.04", "resolute": "Ubuntu 26.04",
	}
	for _, word := range strings.FieldsFunc(r.Tag, func(c rune) bool { return c == '-' || c == '.' || c == '_' }) {
		if distribution, ok := codenames[word]; ok {
			return distribution
		}
	}
	for _, known := range []struct{ name, image, version string }{
		{"Debian", "debian", `\d+`}, {"Ubuntu", "ubuntu", `\d\d\.\d\d`}, {"Alpine", "alpine", `\d+\.\d+`},
	} {
		pattern := known.image + `(` + known.version + `)`
		text := r.Name + " " + r.Tag
		if r.Official(known.image) {
			pattern, text = `^(`+known.version+`)`, r.Tag
		}
		if match := regexp.MustCompile(pattern).FindStringSubmatch(text); match != nil {
			return known.name + " " + match[1]
		}
	}
	return ""
}

// SupportEnd returns the last day with security fixes of a version of Python or of a
// distribution, such as "Python 3.13"; ok is false if it is not known.
func SupportEnd(version string) (day time.Time, ok bool) {
	day, err := time.Parse(time.DateOnly, supportEnds()[version])
	return day, err == nil
}

// supportEnds returns the last days with security fixes. Sources, read in November 2026:
// for Python endoflife.date and the release cycle of the Python developer's guide (a month
// means its last day); for Debian (the end of its long-term support) and Ubuntu (that of
// standard support) the vendors' tables in the package distro-info-data; for Alpine
// endoflife.date.
func supportEnds() map[string]string {
	return map[string]string{
		"Python 2.6": "2013-10-29", "Python 2.7": "2020-01-01", "Python 3.0": "2009-06-27", "Python 3.1": "2012-04-09", "Python 3.2": "2016-02-20",
		"Python 3.3": "2017-09-29", "Python 3.4": "2019-03-18", "Python 3.5": "2020-09-30", "Python 3.6": "2021-12-23", "Python 3.7": "2023-06-27",
		"Python 3.8": "2024-10-07", "Python 3.9": "2025-10-31", "Python 3.10": "2026-10-31", "Python 3.11": "2027-10-31", "Python 3.12": "2028-10-31",
		"Python 3.13": "2029-10-31", "Python 3.14": "2030-10-31",

		"Debian 7": "2018-05-31", "Debian 8": "2020-06-30", "Debian 9": "2022-06-30", "Debian 10": "2024-06-30", "Debian 11": "2026-08-31",
		"Debian 12": "2028-06-30", "Debian 13": "2030-06-30",

		"Ubuntu 14.04": "2019-04-25", "Ubuntu 16.04": "2021-04-30", "Ubuntu 18.04": "2023-05-31", "Ubuntu 20.04": "2025-05-29", "Ubuntu 20.10": "2021-07-22",
		"Ubuntu 21.04": "2022-01-20", "Ubuntu 21.10": "2022-07-14", "Ubuntu 22.04": "2027-06-01", "Ubuntu 22.10": "2023-07-20", "Ubuntu 23.04": "2024-01-25",
		"Ubuntu 23.10": "2024-07-11", "Ubuntu 24.04": "2029-05-31", "Ubuntu 24.10": "2025-07-10", "Ubuntu 25.04": "2026-01-15", "Ubuntu 25.10": "2026-07-09",
		"Ubuntu 26.04": "2031-05-29",

		"Alpine 3.5": "2018-11-01", "Alpine 3.6": "2019-05-01", "Alpine 3.7": "2019-11-01", "Alpine 3.8": "2020-05-01", "Alpine 3.9": "2020-11-01",
		"Alpine 3.10": "2021-05-01", "Alpine 3.11": "2021-11-01", "Alpine 3.12": "2022-05-01", "Alpine 3.13": "2022-11-01", "Alpine 3.14": "2023-05-01",
		"Alpine 3.15": "2023-11-01", "Alpine 3.16": "2024-05-23", "Alpine 3.17": "2024-11-22", "Alpine 3.18": "2025-05-09", "Alpine 3.19": "2025-11-01",
		"Alpine 3.20": "2026-04-01", "Alpine 3.21": "2026-11-01", "Alpine 3.22": "2027-05-01", "Alpine 3.23": "2027-11-01", "Alpine 3.24": "2028-06-01",
	}
}

// Full reports whether it is Python's image with compilers, and returns the one without.
func (r Reference) Full() (full bool, slim string) {
	if !r.Official("python") {
		return false, ""
	}
	for _, small := range []string{"slim", "alpine", "windows", "nanoserver"} {
		if strings.Contains(r.Tag, small) {
			return false, ""
		}
	}
	version := regexp.MustCompile(`^\d+(\.\d+)*`).FindString(r.Tag)
	if !strings.Contains(version, ".") {
		version = "3.13"
	}
	return true, r.Path + ":" + version + "-slim"
}

// Floats reports whether the name is another image when its maintainers publish the next
// one.
func (r Reference) Floats() bool {
	// Google's distroless images have no other tags.
	if r.Digest != "" || strings.Contains(r.Name, "-debian") {
		return false
	}
	if r.Official("python") {
		return !regexp.MustCompile(`^\d+\.\d+`).MatchString(r.Tag)
	}
	first, _, _ := strings.Cut(r.Tag, "-")
	return slices.Contains([]string{"", "latest", "stable", "oldstable", "testing", "unstable", "sid", "edge", "nightly", "rolling", "devel", "lts"}, first)
}

// RunsAsRoot reports whether the image is known to start as root.
func (r Reference) RunsAsRoot() bool {
	if strings.Contains(r.Tag, "nonroot") {
		return false
	}
	for _, name := range []string{
		"python", "pypy", "debian", "ubuntu", "alpine", "buildpack-deps", "node", "fedora", "rockylinux", "almalinux", "amazonlinux",
		"busybox",
	} {
		if r.Official(name) {
			return true
		}
	}
	path := strings.TrimPrefix(r.Path, "docker.io/")
	return slices.ContainsFunc([]string{
		"continuumio/", "condaforge/", "nvidia/cuda", "pytorch/pytorch", "tiangolo/", "ghcr.io/astral-sh/uv", "gcr.io/distroless/",
	}, func(prefix string) bool { return strings.HasPrefix(path, prefix) })
}
