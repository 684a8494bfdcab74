package kaniko

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

var update = flag.Bool("update", false, "write the table of docs/dockerfile-support.md")

const (
	tableStart = "<!-- The table is generated: go test ./pkg/build/engine/kaniko -update -->\n"
	tableEnd   = "<!-- end of the table -->\n"
)

// TestDocs checks that the page of the documentation has the table.
func TestDocs(t *testing.T) {
	file := filepath.FromSlash("../../../../docs/dockerfile-support.md")
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(content), tableStart)
	_, after, ends := strings.Cut(rest, tableEnd)
	if !ok || !ends {
		t.Fatalf("%s has no place for the table", file)
	}
	want := before + tableStart + tables(Engine{}.Rows(manifests.Engine())) + tableEnd + after
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, string(content)); diff != "" {
		t.Errorf("%s differs from the table; go test ./pkg/build/engine/kaniko -update writes it (-want +got):\n%s", file, diff)
	}
}

// tables returns a table for each instruction.
func tables(rows []engine.Row) string {
	var names []string
	for _, row := range rows {
		if !slices.Contains(names, row.Instruction) {
			names = append(names, row.Instruction)
		}
	}
	var text strings.Builder
	cell := strings.NewReplacer("|", `\|`, "<", "&lt;", "`", "&#96;", "*", `\*`)
	for _, name := range names {
		fmt.Fprintf(&text, "\n## %s\n\n| row | you write | the build | why |\n|---|---|---|---|\n", name)
		for _, row := range rows {
			if row.Instruction != name {
				continue
			}
			why := cell.Replace(row.Reason)
			if row.Remedy != "" {
				why = strings.TrimPrefix(why+"; instead: "+cell.Replace(row.Remedy), "; ")
			}
			fmt.Fprintf(&text, "| `%s` | %s | %s | %s |\n", row.ID, cell.Replace(row.Feature), row.Support, why)
		}
	}
	return text.String() + "\n"
}

// TestRows checks that rows have what their state needs.
func TestRows(t *testing.T) {
	seen := map[string]bool{}
	for _, row := range (Engine{}).Rows(pinned) {
		if seen[row.ID] {
			t.Errorf("two rows are %s", row.ID)
		}
		seen[row.ID] = true
		if row.Support == engine.Refused && (row.Reason == "" || row.Remedy == "") {
			t.Errorf("%s is refused without a reason or a remedy", row.ID)
		}
		if row.Support != engine.Supported && row.Reason == "" {
			t.Errorf("%s has no reason", row.ID)
		}
	}
}

// TestDifferences checks that the build says where a result differs.
func TestDifferences(t *testing.T) {
	unseen := []string{"run-same-date"} // only the program knows what it does
	for _, row := range table() {
		if state := row.at(pinned); state.support == engine.Differs && state.check == nil && !slices.Contains(unseen, row.id) {
			t.Errorf("%s differs, and nothing says so", row.id)
		}
	}
}

// TestVersions checks that a row switches by version.
func TestVersions(t *testing.T) {
	r := row{states: []state{{support: engine.Refused}, {since: "1.28.0", support: engine.Supported}}}
	for version, want := range map[string]engine.Support{
		"v1.27.5": engine.Refused, "v1.28.0": engine.Supported, "v1.30.1": engine.Supported, "latest": engine.Refused, "": engine.Refused,
	} {
		if got := r.at(version).support; got != want {
			t.Errorf("version %q: %s, want %s", version, got, want)
		}
	}
}

// TestSwitches checks that the Task sets the switches.
func TestSwitches(t *testing.T) {
	content, err := os.ReadFile(filepath.FromSlash("../../../manifests/platform/tasks/build.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(content), "\n")
	for name, value := range Switches() {
		i := slices.IndexFunc(lines, func(line string) bool { return strings.TrimSpace(line) == "- name: "+name })
		if i < 0 || strings.Trim(strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(lines[i+1]), "value:")), `"`) != value {
			t.Errorf("the Task does not set %s=%s", name, value)
		}
	}
}

// TestRefusals checks what is refused, and that a stage that nothing needs is not.
func TestRefusals(t *testing.T) {
	for text, want := range map[string]string{
		"# syntax=example.org/frontend\nFROM a\n":                                        "syntax-directive",
		"# syntax=docker/dockerfile:1\nFROM a\n":                                         "",
		"# escape=`\nFROM a\nENV X=C:\\x\n":                                              "escape-directive",
		"FROM --platform=linux/arm/v7 a\n":                                               "from-platform",
		"FROM --platform=$BUILDPLATFORM a\n":                                             "",
		"FROM a-$TARGETARCH\n":                                                           "from-platform-arg",
		"FROM a\nRUN --network=none x\n":                                                 "run-network",
		"FROM a\nRUN --network=default x\n":                                              "",
		"FROM a\nRUN --security=insecure x\n":                                            "run-security",
		"FROM a\nRUN --mount=type=ssh x\n":                                               "run-mount-ssh",
		"FROM a\nRUN --mount=type=cache,from=b,target=/x x\n":                            "run-mount-cache-from",
		"FROM a\nRUN --mount=type=bind,source=x,target=x y\n":                            "run-mount-bind",
		"FROM a AS b\nFROM a\nRUN --mount=from=b,target=/x y\n":                          "run-mount-bind-from",
		"FROM a\nUSER 1000:0\nRUN x\n":                                                   "run-user-group",
		"FROM a\nCOPY --parents a/b /x/\n":                                               "copy-parents-from",
		"FROM a\nCOPY --exclude=*.pyc . /x/\n":                                           "copy-exclude-shared",
		"FROM a\nCOPY --from=b --chmod=u=rwX,go=rX /a /x/\n":                             "copy-chmod-symbolic",
		"FROM a AS b\nRUN ln -sf one /out/l\nFROM a\nCOPY --from=b /out/l /\n":           "copy-symlink-stage",
		"FROM a AS b\nRUN ln -s /opt/x /usr/bin/\nFROM a\nCOPY --from=b /usr/bin/x /\n":  "copy-symlink-stage",
		"FROM a AS b\nRUN ln one /out/l && ln -s y /z\nFROM a\nCOPY --from=b /out/l /\n": "",
		"FROM a\nADD https://github.com/a/b.git /x\n":                                    "add-git",
		"FROM a\nADD --checksum=sha256:0 https://example.org/x /x\n":                     "add-checksum",
		"FROM a\nCOPY <<E /x\n$HOME\nE\n":                                                "copy-heredoc",
		"FROM a\nWORKDIR /workspace\nCOPY . .\n":                                         "pod-paths pod-paths",
		"FROM a\nCOPY x /etc/hosts\n":                                                    "pod-paths",
		"FROM a\nRUN mkdir /workspace/x\n":                                               "pod-paths",
		"FROM a\nWORKDIR /workspaces\nRUN echo 'see /workspace' > /x; ls /dev/null\n":    "",
		"FROM a AS b\nRUN --mount=type=ssh x\nFROM a\nRUN x\n":                           "",
	} {
		found := check(t, text, engine.Source{})
		if got := rows(found.Refusals); got != want {
			t.Errorf("%q: refused by %q, want %q", text, got, want)
		}
		for _, refusal := range found.Refusals {
			if refusal.Line == 0 || refusal.Message == "" || refusal.Remedy == "" {
				t.Errorf("%q: %+v", text, refusal)
			}
		}
	}
}
