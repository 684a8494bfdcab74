package lint

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerui"
	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/lint/baseimage"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/secret"
)

// noRegistry knows of an image only which variables the images of Python set.
type noRegistry struct{}

// ResolveImageConfig returns the configuration of an image for the requested platform.
func (noRegistry) ResolveImageConfig(_ context.Context, ref string, opt sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	environment := ""
	if base := baseimage.Parse(ref); base.Official("python") {
		environment = `"LANG=C.UTF-8","PYTHON_VERSION=` + base.Python() + `","PYTHON_SHA256=","GPG_KEY="`
	}
	platform := ocispecs.Platform{OS: "linux", Architecture: "amd64"}
	if opt.ImageOpt != nil && opt.ImageOpt.Platform != nil {
		platform = *opt.ImageOpt.Platform
	}
	return ref, "", []byte(`{"architecture":` + strconv.Quote(platform.Architecture) + `,"os":` + strconv.Quote(platform.OS) + `,"config":{"Env":[` + environment + `]},"rootfs":{"type":"layers","diff_ids":["sha256:` + strings.Repeat("0", 64) + `"]}}`), nil
}

// checkBuildKit returns the findings of BuildKit's own checks.
func checkBuildKit(ctx context.Context, file *dockerfile.Dockerfile, target string, in *inputs) ([]Finding, error) {
	platform := ocispecs.Platform{OS: "linux", Architecture: "amd64"}
	source := llb.NewSourceMap(nil, file.Path, "Dockerfile", file.Content)
	source.Definition = &llb.Definition{} // how to fetch the file, which nothing does
	// Without them BuildKit panics at a mount that can be written to.
	capabilities := pb.Caps.CapSet(pb.Caps.All())
	results, err := dockerfile2llb.DockerfileLint(ctx, file.Content, dockerfile2llb.ConvertOpt{
		Config: dockerui.Config{
			Target:         target,
			BuildPlatforms: []ocispecs.Platform{platform},
		},
		SourceMap:      source,
		TargetPlatform: &platform,
		MetaResolver:   noRegistry{},
		LLBCaps:        &capabilities,
	})
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("check %s: %w", file.Path, err)
	}
	var findings []Finding
	for _, warning := range results.Warnings {
		at := in.ranges(warning.Location.GetRanges())
		found := findRule(warning.RuleName).stamp(finding(at, strings.TrimSuffix(warning.Detail, "."), ""))
		found[0].URL = warning.URL
		findings = append(findings, found...)
	}
	if results.Error != nil {
		findings = append(findings, buildError(in.ranges(results.Error.Location.GetRanges()), results.Error.Message, findings)...)
	}
	return findings, nil
}

// buildError returns the finding of an error that keeps the Dockerfile from being built. A
// base that an argument of the build names is found already, and can be built.
func buildError(at place, message string, findings []Finding) []Finding {
	has := func(rule string) bool {
		return slices.ContainsFunc(findings, func(finding Finding) bool { return finding.Rule == rule && finding.Line == at.line })
	}
	if has(linter.RuleInvalidDefaultArgInFrom.Name) && !has(linter.RuleUndefinedArgInFrom.Name) {
		return nil
	}
	return findRule("dockerfile-invalid").stamp(finding(at, message, ""))
}

// ranges returns the place of all ranges together: BuildKit knows only lines.
func (in *inputs) ranges(ranges []*pb.Range) place {
	first, last := 0, 0
	for _, one := range ranges {
		start, end := int(one.GetStart().GetLine()), int(one.GetEnd().GetLine())
		if first == 0 || start < first {
			first = start
		}
		last = max(last, end)
	}
	return in.sources.lines(in.dockerfile, first, last)
}

// withoutDoubtful removes the findings of BuildKit of which the rules of this package know
// more: variables that the base image can set, secrets, and shells around the server.
func withoutDoubtful(findings []Finding, image *image, in *inputs) []Finding {
	better := append(betterSecrets(image, in), betterShells(image, in)...)
	return slices.DeleteFunc(findings, func(finding Finding) bool {
		return isOfBase(finding, image.file) || slices.ContainsFunc(better, func(known known) bool {
			return finding.Rule == known.rule && known.at.covers(finding) && strings.Contains(finding.Message, known.name)
		})
	})
}

// known is a finding of BuildKit to remove: of a rule, in the lines of a place, with a name
// in its message.
type known struct {
	rule string
	at   place
	name string
}

// isOfBase reports whether a finding is about a variable that the base image can set. A
// name that is nearly that of another variable is misspelled.
func isOfBase(finding Finding, file *dockerfile.Dockerfile) bool {
	if finding.Rule != linter.RuleUndefinedVar.Name || strings.Contains(finding.Message, "did you mean") {
		return false
	}
	for i := range slices.Backward(file.Stages) {
		if file.Stages[i].Line <= finding.Line {
			base := baseimage.Parse(file.Stages[i].Lineage()[0].Base)
			return base.Path != "scratch" && !slices.ContainsFunc([]string{"python", "debian", "ubuntu", "alpine"}, base.Official)
		}
	}
	return false
}

// betterSecrets returns the variables about which the rule secret-in-arg-or-env decides.
func betterSecrets(image *image, in *inputs) []known {
	var better []known
	add := func(step *dockerfile.Step, name string, value *string) {
		if secret.IsName(name) || secret.IsAbout(name) || value != nil && secret.IsHarmless(*value) {
			better = append(better, known{linter.RuleSecretsUsedInArgOrEnv.Name, in.at(step), strconv.Quote(name)})
		}
	}
	steps := image.neededSteps()
	for i := range image.file.Global {
		steps = append(steps, &image.file.Global[i])
	}
	for _, step := range steps {
		switch command := step.Command.(type) {
		case *instructions.ArgCommand:
			for _, pair := range command.Args {
				add(step, pair.Key, pair.Value)
			}
		case *instructions.EnvCommand:
			for _, pair := range command.Env {
				add(step, pair.Key, &pair.Value)
			}
		}
	}
	return better
}

// betterShells returns the instructions about which the rule shell-form-entrypoint decides.
func betterShells(image *image, in *inputs) []known {
	var better []known
	for _, process := range processes(image) {
		better = append(better, known{linter.RuleJSONArgsRecommended.Name, in.at(process.Step), ""})
	}
	return better
}

// copiedIgnored returns the findings of BuildKit's check that needs the ignore file: what is
// copied and ignored.
func copiedIgnored(image *image, in *inputs) []Finding {
	if in.ignore == nil || skipsCopyIgnored(image.file.Content) {
		return nil
	}
	var findings []Finding
	for _, step := range image.neededSteps() {
		for _, source := range copied(step) {
			name := contextPath(source)
			if dockerfile.IsRemote(source) || wholeContext(source) || strings.ContainsAny(name, "*?[$") || !in.ignore(name) ||
				isSecretFile(name) && image.inImage(step) {
				continue
			}
			message := linter.RuleCopyIgnoredFile.Format(strings.ToUpper(step.Command.Name()), source)
			findings = append(findings, finding(in.sources.within(in.at(step), source), message, ""))
		}
	}
	return findRule(linter.RuleCopyIgnoredFile.Name).stamp(findings...)
}

// skipsCopyIgnored reports whether the check directive of the Dockerfile turns that check
// off.
func skipsCopyIgnored(content []byte) bool {
	value, _, _, ok := parser.ParseDirective("check", content)
	if !ok {
		return false
	}
	config, err := linter.ParseLintOptions(value)
	return err == nil && (config.SkipAll || slices.Contains(config.SkipRules, linter.RuleCopyIgnoredFile.Name))
}

// buildkitRules returns the rules of BuildKit, without those that need the registry. Rules
// about casing are notes, as casing is a matter of taste.
func buildkitRules() []Rule {
	var rules []Rule
	add := func(severity Severity, name, description, url string) {
		rules = append(rules, Rule{ID: name, Severity: severity, Summary: strings.TrimSuffix(description, "."), URL: url})
	}
	add(Note, linter.RuleStageNameCasing.Name, linter.RuleStageNameCasing.Description, linter.RuleStageNameCasing.URL)
	add(Note, linter.RuleFromAsCasing.Name, linter.RuleFromAsCasing.Description, linter.RuleFromAsCasing.URL)
	add(Warning, linter.RuleNoEmptyContinuation.Name, linter.RuleNoEmptyContinuation.Description, linter.RuleNoEmptyContinuation.URL)
	add(Note, linter.RuleConsistentInstructionCasing.Name, linter.RuleConsistentInstructionCasing.Description, linter.RuleConsistentInstructionCasing.URL)
	add(Warning, linter.RuleDuplicateStageName.Name, linter.RuleDuplicateStageName.Description, linter.RuleDuplicateStageName.URL)
	add(Warning, linter.RuleReservedStageName.Name, linter.RuleReservedStageName.Description, linter.RuleReservedStageName.URL)
	add(Warning, linter.RuleJSONArgsRecommended.Name, linter.RuleJSONArgsRecommended.Description, linter.RuleJSONArgsRecommended.URL)
	add(Note, linter.RuleMaintainerDeprecated.Name, linter.RuleMaintainerDeprecated.Description, linter.RuleMaintainerDeprecated.URL)
	add(Warning, linter.RuleUndefinedArgInFrom.Name, linter.RuleUndefinedArgInFrom.Description, linter.RuleUndefinedArgInFrom.URL)
	add(Warning, linter.RuleWorkdirRelativePath.Name, linter.RuleWorkdirRelativePath.Description, linter.RuleWorkdirRelativePath.URL)
	add(Warning, linter.RuleUndefinedVar.Name, linter.RuleUndefinedVar.Description, linter.RuleUndefinedVar.URL)
	add(Warning, linter.RuleMultipleInstructionsDisallowed.Name, linter.RuleMultipleInstructionsDisallowed.Description, linter.RuleMultipleInstructionsDisallowed.URL)
	add(Note, linter.RuleLegacyKeyValueFormat.Name, linter.RuleLegacyKeyValueFormat.Description, linter.RuleLegacyKeyValueFormat.URL)
	add(Note, linter.RuleRedundantTargetPlatform.Name, linter.RuleRedundantTargetPlatform.Description, linter.RuleRedundantTargetPlatform.URL)
	add(Warning, linter.RuleSecretsUsedInArgOrEnv.Name, linter.RuleSecretsUsedInArgOrEnv.Description, linter.RuleSecretsUsedInArgOrEnv.URL)
	add(Warning, linter.RuleInvalidDefaultArgInFrom.Name, linter.RuleInvalidDefaultArgInFrom.Description, linter.RuleInvalidDefaultArgInFrom.URL)
	add(Warning, linter.RuleFromPlatformFlagConstDisallowed.Name, linter.RuleFromPlatformFlagConstDisallowed.Description, linter.RuleFromPlatformFlagConstDisallowed.URL)
	add(Warning, linter.RuleCopyIgnoredFile.Name, linter.RuleCopyIgnoredFile.Description, linter.RuleCopyIgnoredFile.URL)
	add(Note, linter.RuleInvalidDefinitionDescription.Name, linter.RuleInvalidDefinitionDescription.Description, linter.RuleInvalidDefinitionDescription.URL)
	add(Note, linter.RuleExposeProtoCasing.Name, linter.RuleExposeProtoCasing.Description, linter.RuleExposeProtoCasing.URL)
	add(Warning, linter.RuleExposeInvalidFormat.Name, linter.RuleExposeInvalidFormat.Description, linter.RuleExposeInvalidFormat.URL)
	return rules
}
