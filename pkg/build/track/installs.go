package track

import (
	"regexp"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
)

// installs folds what pip and uv write while they install packages into one line. It is for
// one instruction; its zero value folds nothing.
type installs struct {
	// active reports that the instruction runs one of them.
	active bool
}

// installer finds a program that installs packages in a command line.
var installer = regexp.MustCompile(`(?:^|[\s/;&|(\["'])(?:pip[0-9.]*|uv|poetry|pipenv|pdm)(?:$|[\s"',;&|)=])`)

func newInstalls(command string) installs { return installs{active: installer.MatchString(command)} }

// installNoise are the lines that pip and uv write if all goes well. The first group of a
// row is what the installer works on, which its activity names.
//
//nolint:gochecknoglobals // compiled regular expressions
var installNoise = []struct {
	line     *regexp.Regexp
	activity string
}{
	{regexp.MustCompile(`^\s*Collecting (\S+)`), "pip: looking up "},
	{regexp.MustCompile(`^\s*(?:Downloading|Using cached) (?:\S*/)?([^\s/]+\.(?:whl|tar\.gz|zip)(?:\.metadata)? \(.*\))$`), "pip: downloading "},
	{regexp.MustCompile(`^\s*Building wheels? for (?:collected packages: )?([^\s(]+)(?: \(\S+\))?(?:: started)?`), "pip: building "},
	{regexp.MustCompile(`^Installing collected packages: (.*)$`), "pip: installing "},
	{regexp.MustCompile(`^\s*(?:Downloading|Building) ([\w.@:/+-]+(?: @ \S+)?(?: \([\d.]+ ?[KMG]iB\))?)$`), "uv: fetching "},
	{regexp.MustCompile(`^(?:Resolved|Prepared|Audited|Uninstalled) \d+ packages? in `), ""},
	{regexp.MustCompile(`^ [+~-] [\w.-]+==\S+( \(from .*\))?$`), ""},
	{regexp.MustCompile(`^\s*(?:Downloaded|Built) [\w.-]+`), ""},
	{regexp.MustCompile(`^(?:Using (?:C?Python|cpython)|Creating virtual environment|Bytecode compiled|Activate with:) ?`), ""},
	{regexp.MustCompile(`^\s*(?:Requirement already satisfied|Obtaining dependency information|Installing build dependencies|Getting requirements to build|Preparing metadata|Created wheel for|Stored in directory|Attempting uninstall|Found existing installation|Uninstalling |Successfully (?:built|uninstalled) |Looking in (?:indexes|links)|Processing |Ignoring \S+: markers|Installing backend dependencies|Checking if build backend)`), ""},
	{regexp.MustCompile(`^\s*[━╸╺─ ]+ ?[\d.]+/[\d.]+ ?[kMG]?B`), ""},
	{regexp.MustCompile(`^\s*Building (?:wheel|editable) .*: (?:started|still running\.\.\.|finished with status 'done')$`), ""},
	{regexp.MustCompile(`^WARNING: Running pip as the 'root' user|^\[notice\] `), ""},
}

var (
	pipInstalled = regexp.MustCompile(`^Successfully installed (.+)$`)
	uvInstalled  = regexp.MustCompile(`^Installed (\d+) packages? in `)
)

// read reads a line of the instruction. It returns whether people need it only if the
// instruction fails, what the installer does from here on, and the line that stands for
// those that were hidden.
func (i installs) read(line string) (hide bool, activity, sum string) {
	if !i.active {
		return false, "", ""
	}
	line = strings.TrimRight(line[strings.LastIndexByte(line, '\r')+1:], " ")
	if match := pipInstalled.FindStringSubmatch(line); match != nil {
		return true, "", "pip: " + display.Count(len(strings.Fields(match[1])), "package") + " installed"
	}
	if match := uvInstalled.FindStringSubmatch(line); match != nil {
		noun := " packages"
		if match[1] == "1" {
			noun = " package"
		}
		return true, "", "uv: " + match[1] + noun + " installed"
	}
	for _, known := range installNoise {
		match := known.line.FindStringSubmatch(line)
		if match == nil {
			continue
		}
		if known.activity != "" {
			activity = known.activity + display.Truncate(display.OneLine(match[1]), maxText)
		}
		return true, activity, ""
	}
	return strings.TrimSpace(line) == "", "", ""
}
