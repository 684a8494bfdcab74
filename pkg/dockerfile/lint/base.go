package lint

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

// reference is the name of an image in its parts.
type reference struct {
	// path is the repository with its registry, name the last part of it.
	path, name  string
	tag, digest string
}

func parseReference(image string) reference {
	image, digest, _ := strings.Cut(image, "@")
	var tag string
	if at := strings.LastIndexByte(image, ':'); at > strings.LastIndexByte(image, '/') {
		image, tag = image[:at], image[at+1:]
	}
	return reference{path: image, name: image[strings.LastIndexByte(image, '/')+1:], tag: tag, digest: digest}
}

// official says whether it is the image of that name of Docker's library, also by
// way of a mirror, as far as the name tells.
func (r reference) official(name string) bool {
	if r.name != name {
		return false
	}
	// A user of Docker Hub, other than what is on a registry that has a name.
	if first, rest, ok := strings.Cut(r.path, "/"); ok && rest == name && first != "library" && first != "localhost" && !strings.ContainsAny(first, ".:") {
		return false
	}
	for _, vendor := range []string{"mcr.microsoft.com", "bitnami", "chainguard", "cgr.dev", "lambda", "distroless", "dhi", "hardened", "ubi", "rapidfort", "iron"} {
		if strings.Contains(r.path, vendor) {
			return false
		}
	}
	return true
}

// python returns the version of Python that the tag says, major.minor.
func (r reference) python() string {
	pattern := `python-?(\d\.\d+)`
	switch r.name {
	case "python":
		pattern = `^(\d+\.\d+)`
	case "pypy":
		return "" // its releases are not those of Python
	}
	if match := regexp.MustCompile(pattern).FindStringSubmatch(r.tag); match != nil {
		return match[1]
	}
	return ""
}

// distribution returns the distribution that name and tag say, as in endOfSupport.
func (r reference) distribution() string {
	codenames := map[string]string{
		"jessie": "Debian 8", "stretch": "Debian 9", "buster": "Debian 10", "bullseye": "Debian 11", "bookworm": "Debian 12", "trixie": "Debian 13",
		"xenial": "Ubuntu 16.04", "bionic": "Ubuntu 18.04", "focal": "Ubuntu 20.04", "jammy": "Ubuntu 22.04", "noble": "Ubuntu 24.04", "resolute": "Ubuntu 26.04",
	}
	for _, word := range strings.FieldsFunc(r.tag, func(c rune) bool { return c == '-' || c == '.' || c == '_' }) {
		if distribution, ok := codenames[word]; ok {
			return distribution
		}
	}
	for _, known := range []struct{ name, image, version string }{
		{"Debian", "debian", `\d+`}, {"Ubuntu", "ubuntu", `\d\d\.\d\d`}, {"Alpine", "alpine", `\d+\.\d+`},
	} {
		pattern := known.image + `(` + known.version + `)`
		text := r.name + " " + r.tag
		if r.official(known.image) {
			pattern, text = `^(`+known.version+`)`, r.tag
		}
		if match := regexp.MustCompile(pattern).FindStringSubmatch(text); match != nil {
			return known.name + " " + match[1]
		}
	}
	return ""
}

// endOfSupport returns the last day with security fixes of what a base image can
// be made of. Sources, read in November 2026: for Python endoflife.date and the release
// cycle of the Python developer's guide (a month means its last day); for Debian (the
// end of its long-term support) and Ubuntu (that of standard support) the vendors'
// tables in the package distro-info-data; for Alpine endoflife.date.
func endOfSupport() map[string]string {
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

// bases checks the images that the stages start from, and those that they copy
// from.
func (c *checker) bases(image *image) {
	const fix = "name a version in the tag, or the digest"
	for _, stage := range image.stages {
		if !stage.needed || stage.parent != nil || !stage.known || stage.base == "scratch" {
			continue
		}
		base := parseReference(stage.base)
		at := c.within(stage.at, stage.written)
		c.supported(base, at)
		c.floating(base, at, fix)
		if full, slim := base.full(); full && stage.inImage {
			c.find("base-image-full", at, stage.base+" has compilers and headers that the service does not need, about 1 GB in all",
				"start the last stage from "+slim)
		}
	}
	for _, step := range image.needed() {
		var sources []string
		if copied, ok := step.command.(*instructions.CopyCommand); ok {
			sources = append(sources, copied.From)
		}
		for _, mount := range step.mounts {
			sources = append(sources, mount.From)
		}
		for _, source := range sources {
			if source == "" || strings.Contains(source, "$") || image.source(source, len(image.stages)) != nil {
				continue
			}
			at := c.within(step.at, source)
			if strings.ContainsAny(source, "/:@") {
				c.floating(parseReference(source), at, fix)
			} else {
				c.floating(parseReference(source), at, "name the stage that is meant, or a version of the image in its tag")
			}
		}
	}
}

// supported finds what gets no security fixes any more.
func (c *checker) supported(base reference, at place) {
	var parts []string
	if version := base.python(); version != "" {
		parts = append(parts, "Python "+version)
	}
	if distribution := base.distribution(); distribution != "" {
		parts = append(parts, distribution)
	}
	for _, part := range parts {
		end := endOfSupport()[part]
		day, err := time.Parse(time.DateOnly, end)
		// Support ends with the day; of what is not in the table nothing is known.
		if err != nil || c.options.Now.Before(day.AddDate(0, 0, 1)) {
			continue
		}
		fix := "move to a version that is supported, and run the tests with it"
		if name, _, _ := strings.Cut(part, " "); name != "Python" && base.name == "python" {
			fix = "leave the release of " + name + " out of the tag, or name a newer one"
		}
		c.find("base-image-unsupported", at, fmt.Sprintf("%s has had no security fixes since %s", part, end), fix)
	}
}

// floating finds names that are another image from one day to the next.
func (c *checker) floating(base reference, at place, fix string) {
	if base.digest != "" || strings.Contains(base.name, "-debian") {
		return // Google's distroless images have no other tags than these
	}
	first, _, _ := strings.Cut(base.tag, "-")
	moving := slices.Contains([]string{"", "latest", "stable", "oldstable", "testing", "unstable", "sid", "edge", "nightly", "rolling", "devel", "lts"}, first)
	if base.official("python") {
		moving = !regexp.MustCompile(`^\d+\.\d+`).MatchString(base.tag)
		fix = "name the minor version, as in python:3.13-slim"
	}
	if !moving {
		return
	}
	name := base.path
	if base.tag != "" {
		name += ":" + base.tag
	}
	c.find("base-image-floating", at, name+" is another image when its maintainers publish the next one", fix)
}

// full says whether it is Python's image with compilers, and which one is without.
func (r reference) full() (bool, string) {
	if !r.official("python") {
		return false, ""
	}
	for _, small := range []string{"slim", "alpine", "windows", "nanoserver"} {
		if strings.Contains(r.tag, small) {
			return false, ""
		}
	}
	version := regexp.MustCompile(`^\d+(\.\d+)*`).FindString(r.tag)
	if !strings.Contains(version, ".") {
		version = "3.13"
	}
	return true, r.path + ":" + version + "-slim"
}

// runsAsRoot says whether an image is known to start as root.
func (r reference) runsAsRoot() bool {
	if strings.Contains(r.tag, "nonroot") {
		return false
	}
	for _, name := range []string{
		"python", "pypy", "debian", "ubuntu", "alpine", "buildpack-deps", "node", "fedora", "rockylinux", "almalinux", "amazonlinux",
		"busybox",
	} {
		if r.official(name) {
			return true
		}
	}
	path := strings.TrimPrefix(r.path, "docker.io/")
	return slices.ContainsFunc([]string{
		"continuumio/", "condaforge/", "nvidia/cuda", "pytorch/pytorch", "tiangolo/", "ghcr.io/astral-sh/uv", "gcr.io/distroless/",
	}, func(prefix string) bool { return strings.HasPrefix(path, prefix) })
}

// users checks the user that the image runs as.
func (c *checker) users(image *image) {
	var last *step
	for _, step := range image.steps() {
		if _, ok := step.command.(*instructions.UserCommand); ok {
			last = step
		}
	}
	const fix = "add USER 10001:10001 before the CMD"
	if last == nil {
		root := image.target().root()
		if root.base == "scratch" || root.known && parseReference(root.base).runsAsRoot() {
			c.find("root-user", image.target().at, "the image runs as root, as "+root.base+" does", fix)
		}
		return
	}
	user := last.command.(*instructions.UserCommand).User
	expanded, known := c.expandIn(last, user)
	name, _, _ := strings.Cut(expanded, ":")
	switch {
	case !known || name == "":
	case name == "root" || strings.Trim(name, "0") == "":
		c.find("root-user", last.at, "the image runs as root", fix)
	case strings.Trim(name, "0123456789") != "":
		c.find("user-by-name", last.at, "Kubernetes can not tell whether "+name+" is root, and refuses to start it with runAsNonRoot",
			"write the number that it has, as in USER 10001:10001")
	}
}
