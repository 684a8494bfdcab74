package lint

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerui"
	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
)

// noRegistry is an image about which nothing is known but which variables the images
// of Python set.
type noRegistry struct{}

// ResolveImageConfig returns the configuration of an image for the platform that is
// asked for.
func (noRegistry) ResolveImageConfig(_ context.Context, ref string, opt sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	environment := ""
	if base := parseReference(ref); base.official("python") {
		environment = `"LANG=C.UTF-8","PYTHON_VERSION=` + base.python() + `","PYTHON_SHA256=","GPG_KEY="`
	}
	platform := ocispecs.Platform{OS: "linux", Architecture: "amd64"}
	if opt.ImageOpt != nil && opt.ImageOpt.Platform != nil {
		platform = *opt.ImageOpt.Platform
	}
	return ref, "", []byte(`{"architecture":` + strconv.Quote(platform.Architecture) + `,"os":` + strconv.Quote(platform.OS) + `,"config":{"Env":[` + environment + `]},"rootfs":{"type":"layers","diff_ids":["sha256:` + strings.Repeat("0", 64) + `"]}}`), nil
}

// buildkit adds the findings of BuildKit's own checks.
func (c *checker) buildkit(ctx context.Context, parsed *dockerfile.Dockerfile) error {
	platform := ocispecs.Platform{OS: "linux", Architecture: "amd64"}
	source := llb.NewSourceMap(nil, parsed.Path, "Dockerfile", parsed.Content)
	source.Definition = &llb.Definition{} // how to fetch it, which nobody does
	results, err := dockerfile2llb.DockerfileLint(ctx, parsed.Content, dockerfile2llb.ConvertOpt{
		Config: dockerui.Config{
			Target:         c.options.Target,
			BuildPlatforms: []ocispecs.Platform{platform},
		},
		SourceMap:      source,
		TargetPlatform: &platform,
		MetaResolver:   noRegistry{},
	})
	if err != nil {
		return fmt.Errorf("check %s: %w", parsed.Path, err)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("check %s: %w", parsed.Path, err)
	}
	for _, warning := range results.Warnings {
		at := c.ranges(parsed.Path, warning.Location.GetRanges())
		c.findings = append(c.findings, Finding{
			Rule: warning.RuleName, Severity: severityOf(warning.RuleName), Message: maskTokens(strings.TrimSuffix(warning.Detail, ".")), URL: warning.URL,
			Path: at.path, Line: at.line, Column: at.column, EndLine: at.endLine, EndColumn: at.endColumn,
		})
	}
	if results.Error != nil {
		at := c.ranges(parsed.Path, results.Error.Location.GetRanges())
		found := func(rule string) bool {
			return slices.ContainsFunc(c.findings, func(finding Finding) bool { return finding.Rule == rule && finding.Line == at.line })
		}
		// A base that an argument of the build is to name is found already, and can be built.
		if !found(linter.RuleInvalidDefaultArgInFrom.Name) || found(linter.RuleUndefinedArgInFrom.Name) {
			c.find("dockerfile-invalid", at, results.Error.Message, "")
		}
	}
	return nil
}

// variables leaves out what BuildKit says of variables that the base image may set: its
// configuration is not known here. A name that is nearly another one is misspelled.
func (c *checker) variables(image *image) {
	c.findings = slices.DeleteFunc(c.findings, func(finding Finding) bool {
		if finding.Rule != linter.RuleUndefinedVar.Name || strings.Contains(finding.Message, "did you mean") {
			return false
		}
		for _, stage := range slices.Backward(image.stages) {
			if stage.at.line <= finding.Line {
				base := parseReference(stage.root().base)
				return base.path != "scratch" && !slices.ContainsFunc([]string{"python", "debian", "ubuntu", "alpine"}, base.official)
			}
		}
		return false
	})
}

// ranges is the place of all of them together: BuildKit knows lines only.
func (c *checker) ranges(path string, ranges []*pb.Range) place {
	first, last := 0, 0
	for _, one := range ranges {
		start, end := int(one.GetStart().GetLine()), int(one.GetEnd().GetLine())
		if first == 0 || start < first {
			first = start
		}
		last = max(last, end)
	}
	return c.lines(path, first, last)
}

// buildkitRules are the rules of BuildKit: all that it has but for those that need
// the registry. Casing is a matter of taste.
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

// byID returns rules by their ids.
func byID(rules []Rule) map[string]Rule {
	index := map[string]Rule{}
	for _, rule := range rules {
		index[rule.ID] = rule
	}
	return index
}

// names returns the ids, sorted.
func names(rules []Rule) []string { return slices.Sorted(maps.Keys(byID(rules))) }
