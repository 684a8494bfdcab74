package lint

import (
	"fmt"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/lint/baseimage"
)

// baseStages returns the stages that start from an image whose name is known.
func baseStages(image *image) []*dockerfile.Stage {
	var stages []*dockerfile.Stage
	for _, stage := range image.neededStages() {
		if stage.Parent == nil && stage.Known && stage.Base != "scratch" {
			stages = append(stages, stage)
		}
	}
	return stages
}

// atBase returns the place of the base in a FROM.
func (in *inputs) atBase(stage *dockerfile.Stage) place {
	return in.sources.within(in.sources.lines(in.dockerfile, stage.Line, stage.End), stage.Written)
}

// floatingBases finds images, to start from and to copy from, whose names are other images
// from one day to the next.
func floatingBases(image *image, in *inputs) []Finding {
	var findings []Finding
	add := func(name, fix string, at place) {
		base := baseimage.Parse(name)
		if !base.Floats() {
			return
		}
		if base.Official("python") {
			fix = "name the minor version, as in python:3.13-slim"
		}
		findings = append(findings, finding(at, name+" becomes another image when its maintainers publish a new one", fix))
	}
	for _, stage := range baseStages(image) {
		add(stage.Base, "name a version in the tag, or the digest", in.atBase(stage))
	}
	for _, step := range image.neededSteps() {
		for _, source := range foreignSources(image, step) {
			fix := "name a version in the tag, or the digest"
			if !strings.ContainsAny(source, "/:@") {
				fix = "name a stage of this Dockerfile, or a version of the image in its tag"
			}
			add(source, fix, in.sources.within(in.at(step), source))
		}
	}
	return findings
}

// foreignSources returns the images that a step copies from or mounts.
func foreignSources(image *image, step *dockerfile.Step) []string {
	var sources []string
	add := func(source string) {
		if source != "" && !strings.Contains(source, "$") && image.file.Source(source, len(image.file.Stages)) == nil {
			sources = append(sources, source)
		}
	}
	if copied, ok := step.Command.(*instructions.CopyCommand); ok {
		add(copied.From)
	}
	for _, mount := range step.Mounts {
		add(mount.From)
	}
	return sources
}

// fullBases finds bases with compilers in the image that runs.
func fullBases(image *image, in *inputs) []Finding {
	var findings []Finding
	for _, stage := range baseStages(image) {
		if full, slim := baseimage.Parse(stage.Base).Full(); full && stage == image.chain[0] {
			findings = append(findings, finding(in.atBase(stage), stage.Base+" has compilers and headers that the service does not need, about 1 GB in all",
				"start the last stage from "+slim))
		}
	}
	return findings
}

// unsupportedBases finds bases that no longer get security fixes.
func unsupportedBases(image *image, in *inputs) []Finding {
	var findings []Finding
	for _, stage := range baseStages(image) {
		base := baseimage.Parse(stage.Base)
		var parts []string
		if version := base.Python(); version != "" {
			parts = append(parts, "Python "+version)
		}
		if distribution := base.Distribution(); distribution != "" {
			parts = append(parts, distribution)
		}
		for _, part := range parts {
			day, known := baseimage.SupportEnd(part)
			// Support lasts until the end of the day.
			if !known || in.now.Before(day.AddDate(0, 0, 1)) {
				continue
			}
			fix := "move to a supported version, and run the tests with it"
			if name, _, _ := strings.Cut(part, " "); name != "Python" && base.Name == "python" {
				fix = "remove the release of " + name + " from the tag, or name a newer one"
			}
			message := fmt.Sprintf("%s has had no security fixes since %s", part, day.Format("2006-01-02"))
			findings = append(findings, finding(in.atBase(stage), message, fix))
		}
	}
	return findings
}

const userFix = "add USER 10001:10001 before the CMD"

// rootUser finds images that run as root.
func rootUser(image *image, in *inputs) []Finding {
	user := image.target.User
	if user.Step == nil {
		base := image.chain[0].Base
		if base == "scratch" || image.chain[0].Known && baseimage.Parse(base).RunsAsRoot() {
			at := in.sources.lines(in.dockerfile, image.target.Line, image.target.End)
			return []Finding{finding(at, "the image runs as root, as "+base+" does", userFix)}
		}
		return nil
	}
	if name := userName(user); user.Known && name != "" && (name == "root" || strings.Trim(name, "0") == "") {
		return []Finding{finding(in.at(user.Step), "the image runs as root", userFix)}
	}
	return nil
}

// userByName finds users that are no numbers.
func userByName(image *image, in *inputs) []Finding {
	user := image.target.User
	name := userName(user)
	if user.Step == nil || !user.Known || name == "root" || strings.Trim(name, "0123456789") == "" {
		return nil
	}
	return []Finding{finding(in.at(user.Step), "Kubernetes cannot tell whether "+name+" is root, and refuses to start the image with runAsNonRoot",
		"write the number of the user, as in USER 10001:10001")}
}

// userName returns a user without the group.
func userName(user dockerfile.Setting) string {
	name, _, _ := strings.Cut(user.Value, ":")
	return name
}
