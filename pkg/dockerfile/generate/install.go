package generate

import (
	"path"
	"slices"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/detect"
)

// The tools that read locks, in their versions of October 2026. None of them is
// in an image of Slim or Distroless.
const (
	uvTool         = "uv==0.13.9"
	poetryTool     = "poetry==2.5.1"
	poetryExport   = "poetry-plugin-export==1.10.1"
	poetryCore     = "poetry-core==2.5.0"
	pipenvTool     = "pipenv==2026.10.3"
	setuptoolsTool = "setuptools==84.2.1"
	testTool       = "pytest==9.2.0"
)

// Where things are while an image is built, and in it.
const (
	venv        = "/opt/venv"
	workplace   = "/tmp/dependencies"
	tools       = "/tmp/tools"
	appDir      = "/app"
	lockFile    = "resolved.txt"
	testFile    = "resolved-test.txt"
	script      = "requirements.py"
	constraints = "/tmp/constraints.txt"
	interpreter = venv + "/bin/python"
)

// source is how a set of dependencies becomes requirements that pip installs.
type source struct {
	// why explains it.
	why string
	// tools are installed aside to make them, none when pip can read them.
	tools []string
	// script is Python that prints them, given the names of groups.
	script []string
	// export is the command that writes them to a file.
	export func(file string) string
	// file is what pip installs, and edit the command that changes files first, which
	// may be empty.
	file, edit string
}

// source returns how dependencies become requirements; with dev those of the tests are
// among them.
func (p *plan) source(dependencies detect.Dependencies, dev *detect.Dependencies) source {
	set := dependencies
	if dev != nil {
		set.Groups, set.Extras, set.Local = unite(set.Groups, dev.Groups), unite(set.Extras, dev.Extras), unite(set.Local, dev.Local)
		set.Hashed, set.ProjectRoot = set.Hashed && dev.Hashed, set.ProjectRoot || dev.ProjectRoot
		set.Access.Git = slices.Concat(set.Access.Git, dev.Access.Git)
	}
	groups, extras, hashed := set.Groups, set.Extras, set.Hashed
	editable := ""
	if len(set.Local) > 0 {
		editable = " --no-editable"
	}
	bin := tools + "/bin/"
	if p.variant == Bloated {
		bin = ""
	}
	const exported = "The lock becomes requirements that pip installs, because pip knows the company's index and its mirrors; the tool that reads the lock is left behind."
	switch dependencies.Kind {
	case detect.UV:
		return source{why: exported, tools: []string{uvTool}, edit: editLogins(p, set), export: func(file string) string {
			command := bin + "uv export --quiet --frozen --offline --no-python-downloads --no-default-groups --no-emit-project"
			if set.Member != "" {
				command += " --package " + set.Member
			}
			command += hashes(hashed, "", " --no-hashes") + editable + each(" --group ", groups) + each(" --extra ", extras)
			return command + "\n--format requirements.txt --output-file " + file
		}}
	case detect.Poetry:
		if !slices.ContainsFunc(dependencies.Files, func(file string) bool { return path.Base(file) == "poetry.lock" }) {
			return source{
				why:   "There is no lock: the newest versions that Poetry's table allows are installed, on every build that changes it.",
				tools: []string{p.tool(poetryCore)}, edit: editLogins(p, set), script: poetryScript(), export: scripted(bin+"python", groups),
			}
		}
		return source{why: exported, tools: []string{p.tool(poetryTool), p.tool(poetryExport)}, edit: edit(p, set), export: func(file string) string {
			command := bin + "poetry export --quiet --without-urls" + hashes(hashed, "", " --without-hashes")
			if len(groups) > 0 {
				command += " --with " + strings.Join(groups, ",")
			}
			command += each(" --extras ", extras)
			return command + "\n--format requirements.txt --output " + file
		}}
	case detect.Pipenv:
		return source{why: exported, tools: []string{p.tool(pipenvTool)}, edit: edit(p, set), export: func(file string) string {
			command := bin + "pipenv requirements --exclude-index" + hashes(hashed, " --hash", "")
			if dev != nil {
				command += " --dev"
			}
			return command + " > " + file
		}}
	case detect.PEP621:
		return source{
			why:    "There is no lock: the newest versions that pyproject.toml allows are installed, on every build that changes it. Only the list is read here, so that code is not needed yet.",
			edit:   editLogins(p, set),
			script: projectScript(p.project.Python, len(set.Local) > 0, set.ProjectRoot), export: scripted("python", groups),
		}
	case detect.Setuptools:
		return source{
			why:   "There is no lock: the newest versions that setup.py allows are installed, on every build that changes it. Only the list is read here, so that code is not needed yet.",
			edit:  editLogins(p, set),
			tools: []string{p.tool(setuptoolsTool)}, script: setuptoolsScript(), export: scripted(bin+"python", groups),
		}
	case detect.Requirements:
		return source{file: set.Files[0], edit: edit(p, set)}
	default:
		return source{}
	}
}

// tool returns a tool as pip installs it: with its version, but the newest possible one on
// a Python without support, which current versions do not run on.
func (p *plan) tool(pinned string) string {
	if slices.Contains([]string{"3.7", "3.8", "3.9"}, p.project.Python) {
		pinned, _, _ = strings.Cut(pinned, "==")
	}
	return pinned
}

// edit returns the command that changes what pip would make of requirements in the files
// that follow it; empty when nothing is to be changed. The project itself is not
// copied yet. What is editable would be a link into a stage that is left behind. And
// a single hash makes pip want all. Lines may end with a carriage return.
func edit(p *plan, dependencies detect.Dependencies) string {
	var edits []string
	if dependencies.Itself {
		edits = append(edits, `/^((-e|--editable)[ =]+)?\.\/?(\[[^]]*\])?([[:space:];#].*)?$/d`)
	}
	if len(dependencies.Access.Git) > 0 {
		edits = append(edits, withoutLogins)
	}
	if len(dependencies.Local) > 0 {
		if dependencies.ProjectRoot && dependencies.Kind == detect.Requirements {
			// PDM's name for the directory of the project.
			edits = append(edits, `s#file:///?[$][{]PROJECT_ROOT[}]/#file://`+workDir(p, dependencies)+`/#`)
		}
		edits = append(edits, `s#^(-e|--editable)[ =]+file:#file:#`, `s#^(-e|--editable)[ =]+([^:]+)$#./\2#`)
		if dependencies.Kind == detect.Requirements {
			edits = append(edits, `s# *--hash=[^ ]+##g`)
		}
	}
	if len(edits) == 0 {
		return ""
	}
	return "sed -E -i" + each("\n-e ", quoteAll(edits)) + "\n"
}

// editLogins is edit for lists of tools that write nothing else that is to be changed.
func editLogins(p *plan, dependencies detect.Dependencies) string {
	return edit(p, detect.Dependencies{Kind: dependencies.Kind, Access: dependencies.Access})
}

// edited returns the command that edits files, or nothing.
func (s source) edited(files ...string) []string {
	if s.edit == "" || len(files) == 0 {
		return nil
	}
	return []string{s.edit + strings.Join(quoteAll(files), " ")}
}

// scripted runs the script.
func scripted(python string, groups []string) func(string) string {
	return func(file string) string {
		return python + " " + script + each(" ", groups) + " > " + file
	}
}

func each(prefix string, words []string) string {
	var text strings.Builder
	for _, word := range words {
		text.WriteString(prefix + word)
	}
	return text.String()
}

func hashes(hashed bool, with, without string) string {
	if hashed {
		return with
	}
	return without
}

// projectScript prints the dependencies of [project], and of the groups or extras
// that it is given.
// With local, those that [tool.uv.sources] has in directories are taken from there, and with
// root those that are beside the directory of the project.
func projectScript(python string, local, root bool) []string {
	load := []string{"import tomllib"}
	if slices.Contains([]string{"3.7", "3.8", "3.9", "3.10"}, python) {
		load = []string{"from pip._vendor import tomli as tomllib  # Python has its own from 3.11 on"}
	}
	imports, sources, entry, printed := "import sys", []string(nil), "entry", `print(*project.get("dependencies", []), sep="\n")`
	if local {
		imports, entry, printed = "import re, sys", "placed(entry)", `print(*map(placed, project.get("dependencies", [])), sep="\n")`
		sources = []string{
			"def plain(name):",
			`    return re.sub("[-_.]+", "-", name).lower()`,
			"",
			`sources = document.get("tool", {}).get("uv", {}).get("sources", {})`,
			`paths = {plain(name): source["path"] for name, source in sources.items() if "path" in source}`,
			"",
			"def placed(entry):",
			`    name, extras, marker = re.match(r"([\w.-]+)\s*(\[[^]]*\])?[^;]*(;.*)?", entry).groups("")`,
			`    return f"./{paths[plain(name)]}{extras} {marker}" if plain(name) in paths else entry`,
			"",
		}
	}
	if local && root {
		imports = strings.Replace(imports, "import ", "import os, ", 1)
		sources = slices.Insert(sources, slices.Index(sources, "def placed(entry):")+1,
			`    here = os.getcwd()`,
			`    for name in ["file:///${PROJECT_ROOT}", "file://${PROJECT_ROOT}", "{root:uri}"]:`,
			`        entry = entry.replace(name, "file://" + here)`,
		)
	}
	return slices.Concat([]string{imports}, load, []string{
		"",
		`with open("pyproject.toml", "rb") as file:`,
		"    document = tomllib.load(file)",
		`project = document.get("project", {})`,
		`extras = project.get("optional-dependencies", {})`,
		`groups = document.get("dependency-groups", {})`,
		`own = project.get("name", "") + "["`,
		"",
	}, sources, []string{
		"def members(name):",
		"    for entry in [*groups.get(name, []), *extras.get(name, [])]:",
		"        if isinstance(entry, dict):",
		`            yield from members(entry["include-group"])`,
		"        elif entry.startswith(own):  # another extra of this project",
		`            for extra in entry.removeprefix(own).rstrip("] ").split(","):`,
		"                yield from members(extra.strip())",
		"        else:",
		"            yield " + entry,
		"",
		printed,
		"for name in sys.argv[1:]:",
		`    print(*members(name), sep="\n")`,
	})
}

// poetryScript prints the dependencies of Poetry's table, and of the groups that
// it is given.
func poetryScript() []string {
	return []string{
		"import pathlib, sys",
		"from poetry.core.factory import Factory",
		"",
		"package = Factory().create_poetry(pathlib.Path.cwd()).package",
		`for name in ["main", *sys.argv[1:]]:`,
		"    for dependency in package.dependency_group(name).dependencies:",
		"        if not dependency.is_optional():",
		"            print(dependency.to_pep_508())",
	}
}

// setuptoolsScript prints the dependencies of setup.py or setup.cfg, and of the
// extras that it is given.
func setuptoolsScript() []string {
	return []string{
		"import pathlib, sys",
		"import setuptools, distutils.core",
		"",
		`if not pathlib.Path("setup.py").exists():`,
		`    pathlib.Path("setup.py").write_text("import setuptools; setuptools.setup()")`,
		`project = distutils.core.run_setup("setup.py", script_args=["--quiet"], stop_after="config")`,
		`print(*project.install_requires or [], sep="\n")`,
		"for name in sys.argv[1:]:",
		`    print(*(project.extras_require or {})[name], sep="\n")`,
	}
}

// pipInstall returns the command that installs into the venv.
func (p *plan) pipInstall(dependencies detect.Dependencies, more ...string) string {
	return pipInto(venv, p.pipFlags(dependencies), more...)
}

// pipInto returns the command that installs into a venv, with the flags of pipFlags.
func pipInto(where, flags string, more ...string) string {
	return "python -m pip --python " + where + "/bin/python install" + flags + each("\n", []string{strings.Join(more, " ")})
}

// freeze returns the command that writes down the versions that are installed. pip takes
// nothing editable, as of a git repository, for a constraint.
func (p *plan) freeze() string {
	return "python -m pip --python " + interpreter + " freeze --exclude-editable > " + constraints
}

func (p *plan) pipFlags(dependencies detect.Dependencies) string {
	flags := ""
	if dependencies.Hashed {
		flags += " --require-hashes"
		if p.wheelsOnly(dependencies) {
			flags += " --only-binary=:all:"
		}
	}
	return flags + "\n--no-cache-dir --no-compile --disable-pip-version-check"
}

func (p *plan) wheelsOnly(dependencies detect.Dependencies) bool {
	return dependencies.Hashed && len(p.project.Libraries.Build) == 0
}

// compile returns the command that compiles bytecode. It leaves files that cannot be
// compiled, such as a template with the name of a module.
func compile(dir string) string {
	return "(python -I -m compileall -q --invalidation-mode unchecked-hash " + dir + " || true)"
}

// apt returns the command that installs Debian packages and leaves no lists behind.
func apt(packages []string) string {
	return "apt-get update\n&& apt-get install --yes --no-install-recommends " + strings.Join(packages, " ") +
		"\n&& rm -rf /var/lib/apt/lists/*"
}

// prepare writes what a stage needs before requirements can be made: the files
// and the script, in the working directory.
func prepare(p *plan, w *writer, dependencies detect.Dependencies, from source) {
	if dependencies.Kind == detect.None {
		return
	}
	// A path of the project as the working directory has it.
	place := func(name string) string {
		full := path.Join(workplace, p.within, name)
		if work := workDir(p, dependencies); full == work {
			return "."
		} else if inside, ok := strings.CutPrefix(full, work+"/"); ok {
			return inside
		}
		return full
	}
	w.copyFiles(place, dependencies.Files)
	if dependencies.Itself {
		w.note("The list also names the project itself: that line is removed, because the code is copied on its own.")
	}
	if local := dependencies.Local; len(local) > 0 {
		note := "Directories that are dependencies: a change there installs again. They are installed as copies, because an editable one would be a link into this stage."
		if dependencies.Locked {
			note += " A directory has no hash, and pip wants hashes of all requirements or of none: the lock's versions hold, its hashes are left out."
		}
		w.note(note)
		for _, from := range local {
			to := place(from)
			if !path.IsAbs(to) {
				to = "./" + to
			}
			w.copy(to, from)
		}
	}
	if len(from.script) == 0 {
		return
	}
	w.heredoc(script, from.script)
}

// install returns the commands that install dependencies, and last what the project
// does not name. With test they write the requirements of the tests as well.
func (p *plan) install(from source, test *source) []string {
	var commands []string
	dependencies := p.project.Dependencies
	file := from.file
	if from.export != nil {
		file = lockFile
		commands = append(append(commands, from.export(lockFile)), from.edited(lockFile)...)
		if test != nil {
			commands = append(append(commands, test.export(testFile)), test.edited(testFile)...)
		}
	} else {
		commands = append(commands, from.edited(dependencies.Files...)...)
	}
	var wanted []string
	if file != "" {
		wanted = append(wanted, "-r "+quote(file))
	}
	extra := quoteAll(p.project.Extra)
	switch {
	case dependencies.Hashed && len(extra) > 0:
		// pip takes no requirement without a hash beside those that have one; what is
		// locked keeps its version.
		commands = append(commands, p.pipInstall(dependencies, wanted...), p.freeze(),
			p.pipInstall(detect.Dependencies{}, append(extra, "-c "+constraints)...))
	case len(wanted)+len(extra) > 0:
		commands = append(commands, p.pipInstall(dependencies, append(wanted, extra...)...))
	}
	return commands
}

// installTools installs the tools that a source takes.
func installTools(p *plan, w *writer, from source) {
	if len(from.tools) == 0 {
		return
	}
	w.note("The tool that reads the list of dependencies, in a venv of its own: cached until its version changes, and left behind with this stage.")
	w.runMounted(givenFiles(p), "python -m venv "+tools,
		tools+"/bin/python -m pip install --quiet --no-cache-dir --no-compile --disable-pip-version-check\n"+strings.Join(from.tools, " "))
}

func quoteAll(words []string) []string {
	quoted := make([]string, 0, len(words))
	for _, word := range words {
		quoted = append(quoted, quote(word))
	}
	return quoted
}

// quote returns a word as a shell reads it.
func quote(word string) string { return shell([]string{word}) }
