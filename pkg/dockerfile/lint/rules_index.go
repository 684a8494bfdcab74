package lint

import (
	"path"
	"slices"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/packaging"
)

// mixedIndexes finds installations that take packages from several indexes and verify none of
// them: who publishes the name of a private package on the public index gets installed.
func mixedIndexes(image *image, in *inputs) []Finding {
	var findings []Finding
	for _, step := range image.neededSteps() {
		for _, found := range image.installs[step] {
			if !found.UsesPip() || found.Option("--no-index") || found.set("PIP_NO_INDEX") || in.verified(image, &found) {
				continue
			}
			at, message := in.secondIndex(image, &found)
			if message == "" {
				continue
			}
			findings = append(findings, finding(at, message+": a package of the same name on the public one replaces yours",
				"lock with hashes and install with --require-hashes, or name one index with --index-url that has both"))
		}
	}
	return findings
}

// verified reports whether pip compares what it downloads with hashes: it does for all
// requirements if one of them has a hash.
func (in *inputs) verified(image *image, found *install) bool {
	if found.Option("--require-hashes") || found.set("PIP_REQUIRE_HASHES") || found.set("UV_REQUIRE_HASHES") {
		return true
	}
	return slices.ContainsFunc(in.requirementFiles(image, found), func(file string) bool {
		return slices.ContainsFunc(in.requirements[file], func(one requirement) bool { return one.Hashed() })
	})
}

// secondIndex returns where an installation gets a second index, and what that means; no
// message if it has none. pip takes the highest version that any index has. uv takes the
// first index that has the package, unless a setting says otherwise.
func (in *inputs) secondIndex(image *image, found *install) (at place, message string) {
	const mixed = "pip takes the highest version that any of the indexes has"
	if found.Tool == "uv pip" {
		for _, word := range found.Values("--index-strategy") {
			if strings.HasPrefix(word.Text, "unsafe-") {
				return found.at(word), "uv takes a version of any index with " + word.Text
			}
		}
		if strategy := found.step.Env["UV_INDEX_STRATEGY"]; strings.HasPrefix(strategy, "unsafe-") {
			return found.at(found.Head()...), "uv takes a version of any index with UV_INDEX_STRATEGY=" + strategy
		}
		return place{}, ""
	}
	if words := found.Values("--extra-index-url"); len(words) > 0 {
		return found.at(words[0]), mixed
	}
	// It may be set by the command itself, by one before it, or by the image.
	const variable = "PIP_EXTRA_INDEX_URL"
	_, decided := found.Sets(variable)
	if found.set(variable) || !decided && strings.Contains(found.step.Text, variable+"=") {
		return found.at(found.Head()...), mixed
	}
	for _, file := range in.requirementFiles(image, found) {
		read, ok := packaging.ReadRequirements(in.folder.read, path.Clean(file))
		if !ok {
			continue
		}
		for _, option := range read.Options {
			if option.Name == "--extra-index-url" {
				return in.sources.lines(option.Position.File, option.Position.Line, option.Position.Line), mixed
			}
		}
	}
	return place{}, ""
}
