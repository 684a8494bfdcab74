package lint

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/lint/pages"
)

// Page returns the page of a rule, in Markdown: reason and fix. The pages of BuildKit's
// rules are on the web.
func Page(rule string) (string, bool) { return pages.Read(rule) }

// sourceRoot is what the paths are relative to: the directory that lint runs in, wherever it
// is. For code scanning it is the root of the repository.
const sourceRoot = "%SRCROOT%"

// SARIF returns the report as SARIF 2.1.0, with the rules that have findings. version
// is that of the program. shown returns the path of a file from the directory that lint
// runs in, or an absolute one.
func (r *Report) SARIF(version string, shown func(path string) string) ([]byte, error) {
	run := sarif.NewRunWithInformationURI("kubectl-pyflow lint", "https://github.com/pyflow-dev/kubectl-pyflow/blob/main/pkg/dockerfile/lint/pages/README.md")
	run.Tool.Driver.WithVersion(version)
	run.WithColumnKind("unicodeCodePoints")
	run.WithOriginalUriBaseIds(map[string]sarif.ArtifactLocation{
		sourceRoot: *sarif.NewArtifactLocation().WithDescription(sarif.NewMessage().WithText("The directory that lint ran in: the root of the repository")),
	})
	var used []string
	for i := range r.Findings {
		if id := r.Findings[i].Rule; !slices.Contains(used, id) {
			used = append(used, id)
		}
	}
	slices.Sort(used)
	for _, id := range used {
		run.Tool.Driver.AddRule(describe(r.extra.find(id)))
	}
	seen := map[string]int{}
	for i := range r.Findings {
		run.AddResult(r.result(&r.Findings[i], slices.Index(used, r.Findings[i].Rule), seen, shown))
	}
	if run.Results == nil {
		run.Results = []*sarif.Result{} // null would mean that nothing was checked
	}
	var text bytes.Buffer
	if err := sarif.NewReport().AddRun(run).PrettyWrite(&text); err != nil {
		return nil, fmt.Errorf("write SARIF: %w", err)
	}
	return append(bytes.TrimRight(text.Bytes(), "\n"), '\n'), nil
}

// describe returns a rule in SARIF.
func describe(rule Rule) *sarif.ReportingDescriptor {
	described := sarif.NewRule(rule.ID).
		WithShortDescription(sarif.NewMultiformatMessageString().WithText(rule.Summary)).
		WithFullDescription(sarif.NewMultiformatMessageString().WithText(rule.Summary)).
		WithDefaultConfiguration(sarif.NewReportingConfiguration().WithLevel(string(rule.Severity)))
	if rule.URL != "" {
		described.WithHelpURI(rule.URL)
	}
	if page, ok := Page(rule.ID); ok {
		described.WithHelp(sarif.NewMultiformatMessageString().WithText(page).WithMarkdown(page))
	} else {
		described.WithHelp(sarif.NewMultiformatMessageString().WithText(strings.TrimSpace(rule.Summary + ". " + rule.URL)))
	}
	return described
}

// result returns a finding in SARIF. Its fingerprint stays when lines are added above it.
func (r *Report) result(finding *Finding, index int, seen map[string]int, shown func(path string) string) *sarif.Result {
	text := finding.Message
	if finding.Fix != "" {
		text += "; " + finding.Fix
	}
	identity := strings.Join([]string{finding.Rule, finding.Path, strings.TrimSpace(r.Line(finding.Path, finding.Line)), finding.Message}, "\x00")
	seen[identity]++
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d", identity, seen[identity]))
	location := sarif.NewPhysicalLocation().WithArtifactLocation(artifact(shown(finding.Path)))
	if finding.Line > 0 {
		location.WithRegion(sarif.NewRegion().WithStartLine(finding.Line).WithStartColumn(finding.Column).
			WithEndLine(finding.EndLine).WithEndColumn(finding.EndColumn))
	}
	return sarif.NewRuleResult(finding.Rule).WithRuleIndex(index).
		WithLevel(string(finding.Severity)).
		WithMessage(sarif.NewMessage().WithText(text)).
		WithLocations([]*sarif.Location{sarif.NewLocationWithPhysicalLocation(location)}).
		WithPartialFingerprints(map[string]string{"pyflow/v1": hex.EncodeToString(sum[:16])})
}

// artifact returns the place of a file. One that is not below the directory that lint runs in
// has an absolute URI, which no reader resolves against another root.
func artifact(name string) *sarif.ArtifactLocation {
	if slashed := filepath.ToSlash(name); filepath.IsLocal(name) {
		return sarif.NewSimpleArtifactLocation((&url.URL{Path: slashed}).String()).WithURIBaseID(sourceRoot)
	}
	if absolute, err := filepath.Abs(name); err == nil {
		name = absolute
	}
	return sarif.NewSimpleArtifactLocation((&url.URL{Scheme: "file", Path: "/" + strings.TrimPrefix(filepath.ToSlash(name), "/")}).String())
}
