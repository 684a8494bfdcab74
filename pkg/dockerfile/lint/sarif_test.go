package lint

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"

	pages "github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/lint/pages"
)

var update = flag.Bool("update", false, "write the golden files and the table of rules")

// golden compares with a file, or writes it.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs; go test ./pkg/dockerfile/lint -update writes it (-want +got):\n%s", file, diff)
	}
}

// bloated has findings of most kinds, and a secret.
func bloated() map[string]string {
	return map[string]string{
		"Dockerfile":           "# a service\nFROM python:latest AS Run\nWORKDIR /app\nCOPY . .\nRUN pip install -r requirements.txt\nENV API_KEY=hunter2 é=1\nCMD uvicorn main:app --reload\n",
		"requirements.txt":     "fastapi\n\n" + "fastapi\n",
		"requirements-dev.txt": "pytest\n",
	}
}

// asItIs is for a report of the directory that lint runs in.
func asItIs(path string) string { return path }

// A file elsewhere has an absolute URI, and no base.
func TestSARIFPlaces(t *testing.T) {
	report := check(t, bloated(), "")
	for prefix, want := range map[string]string{
		"services/a b/": `"uri": "services/a%20b/Dockerfile",` + "\n" + `                  "uriBaseId": "%SRCROOT%"`,
		"/srv/":         `"uri": "file:///srv/Dockerfile"` + "\n",
	} {
		content, err := report.SARIF("", func(path string) string { return prefix + path })
		if err != nil || !strings.Contains(string(content), want) {
			t.Errorf("%s: %v\n%s", prefix, err, content)
		}
	}
}

func TestSARIF(t *testing.T) {
	content, err := check(t, bloated(), "").SARIF("1.2.3", asItIs)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/bloated.sarif", string(content))
	if strings.Contains(string(content), "hunter2") {
		// The page of the rule has it as its example.
		for line := range strings.SplitSeq(string(content), "\n") {
			if strings.Contains(line, "hunter2") && !strings.Contains(line, "# secret-in-arg-or-env") {
				t.Errorf("a secret is in %s", line)
			}
		}
	}
	parsed, err := sarif.FromBytes(content)
	if err != nil {
		t.Fatal(err)
	}
	// The library contains the schema of SARIF 2.1.0.
	if err := parsed.Validate(); err != nil {
		t.Error(err)
	}
	seen := map[string]bool{}
	for _, result := range parsed.Runs[0].Results {
		if id := *parsed.Runs[0].Tool.Driver.Rules[result.RuleIndex].ID; id != *result.RuleID {
			t.Errorf("result of %s points to rule %s", *result.RuleID, id)
		}
		fingerprint := result.PartialFingerprints["pyflow/v1"]
		if seen[fingerprint] || fingerprint == "" {
			t.Errorf("fingerprint %q is there twice, or empty", fingerprint)
		}
		seen[fingerprint] = true
		if location := result.Locations[0].PhysicalLocation.ArtifactLocation; *location.URIBaseID != "%SRCROOT%" || strings.HasPrefix(*location.URI, "/") {
			t.Errorf("location is %s of %s", *location.URI, *location.URIBaseID)
		}
	}
}

// TestFingerprints holds that they stay when lines are added above.
func TestFingerprints(t *testing.T) {
	fingerprints := func(files map[string]string) []string {
		content, err := check(t, files, "").SARIF("", asItIs)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := sarif.FromBytes(content)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, result := range parsed.Runs[0].Results {
			all = append(all, result.PartialFingerprints["pyflow/v1"])
		}
		return all
	}
	before, after := bloated(), bloated()
	after["Dockerfile"] = "# one more\n\n" + after["Dockerfile"]
	after["requirements.txt"] = "# one more\n" + after["requirements.txt"]
	if diff := cmp.Diff(fingerprints(before), fingerprints(after)); diff != "" {
		t.Errorf("fingerprints (-before +after):\n%s", diff)
	}
}

func TestSARIFWithoutFindings(t *testing.T) {
	content, err := (&Report{Dockerfile: "Dockerfile"}).SARIF("", asItIs)
	if err != nil {
		t.Fatal(err)
	}
	var parsed struct {
		Runs []struct{ Results []any }
	}
	if err := json.Unmarshal(content, &parsed); err != nil {
		t.Fatal(err)
	}
	// null would mean that nothing was checked.
	if len(parsed.Runs) != 1 || parsed.Runs[0].Results == nil {
		t.Errorf("SARIF is %s", content)
	}
}

func TestPages(t *testing.T) {
	var ids []string
	table := "| rule | severity | requirement |\n|---|---|---|\n"
	for _, rule := range Rules() {
		page, ok := Page(rule.ID)
		if slices.ContainsFunc(buildkitRules(), func(other Rule) bool { return other.ID == rule.ID }) {
			if ok {
				t.Errorf("%s has a page, and is BuildKit's", rule.ID)
			}
			if rule.URL != "" {
				table += fmt.Sprintf("| [%s](%s) | %s | %s |\n", rule.ID, rule.URL, rule.Severity, rule.Summary)
			} else {
				table += fmt.Sprintf("| %s | %s | %s |\n", rule.ID, rule.Severity, rule.Summary)
			}
			continue
		}
		table += fmt.Sprintf("| [%s](%s.md) | %s | %s |\n", rule.ID, rule.ID, rule.Severity, rule.Summary)
		ids = append(ids, rule.ID)
		if !ok {
			t.Errorf("rule %s has no page pkg/dockerfile/lint/pages/%s.md", rule.ID, rule.ID)
			continue
		}
		if !strings.HasPrefix(page, "# "+rule.ID+"\n\n") || !strings.Contains(page, "\nFound:\n") || !strings.Contains(page, "\nBetter:\n") {
			t.Errorf("the page of %s has not the parts of the others", rule.ID)
		}
	}
	if diff := cmp.Diff(ids, pages.Names()); diff != "" {
		t.Errorf("pages (-rules +pages):\n%s", diff)
	}
	if _, ok := Page("README"); ok {
		t.Error("the table is no rule's page")
	}
	const file = "pages/README.md"
	readme, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(readme), "| rule | severity |")
	if !ok {
		t.Fatalf("%s has no table of rules", file)
	}
	after := ""
	if at := strings.Index(rest, "\n\n"); at >= 0 {
		after = rest[at+1:]
	}
	golden(t, file, before+table+after)
}

// TestExamplesOfPages holds each page to its rule: what it calls found is found, and
// what it calls better is not.
func TestExamplesOfPages(t *testing.T) {
	without := []string{
		"dockerignore-missing", "requirements-unhashed", // their files are not Dockerfiles
	}
	for _, id := range pages.Names() {
		if slices.Contains(without, id) {
			continue
		}
		page, _ := Page(id)
		bad, good, _ := strings.Cut(page, "\nBetter:\n")
		for text, want := range map[string]bool{bad: true, good: false} {
			_, text, _ = strings.Cut(text, "```dockerfile\n")
			dockerfile, _, _ := strings.Cut(text, "```")
			if !strings.HasPrefix(dockerfile, "FROM") {
				dockerfile = "FROM python:3.13-slim\n" + dockerfile
			}
			files := map[string]string{
				"Dockerfile": dockerfile, "poetry.lock": "", "uv.lock": "", "requirements.txt": "fastapi==1\n", ".env": "A=1\n",
				"pyproject.toml": "[dependency-groups]\ndev = []\n[tool.poetry.group.dev]\n",
			}
			if got := len(places(check(t, files, ""), id)) > 0; got != want {
				t.Errorf("%s: found is %t, want %t, in\n%s", id, got, want, dockerfile)
			}
		}
	}
}
