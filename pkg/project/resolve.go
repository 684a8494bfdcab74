package project

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/generate"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/shell"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/appname"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/settings"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/detect"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/app"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/secret"
)

// Resolve reads a folder and decides every value of its build and its deployment: a flag
// wins over a setting, a setting over what is detected, and that over the default.
//
// Errors hold detect.ErrNoProject for a folder with nothing to build,
// dockerfile.ErrNotFound for a Dockerfile that is named and missing, *toml.Error,
// *dockerfile.ParseError, or those of detect.Read and generate.Dockerfile.
func Resolve(dir string, options Options) (*Project, error) {
	if err := options.Check(); err != nil {
		return nil, err
	}
	p, err := open(dir)
	if err != nil {
		return nil, err
	}
	p.Name = first(flag("name", options.Name), setting(p.Settings, "name", p.Settings.Name), Value[string]{appname.FromDir(p.Dir), Origin{Default, "the folder's name"}})
	if err := resolveManifests(p, &options); err != nil {
		return nil, err
	}
	p.flagSecrets = options.Secrets
	if p.SecretSources, err = secretSources(p.Settings); err != nil {
		return nil, err
	}
	p.resolvePod(&options)
	if !options.NoTest {
		if err := p.resolveTest(options.Test); err != nil {
			return nil, err
		}
	}
	p.within, p.context = ".", first(flag("context", options.Context), setting(p.Settings, "context", p.Settings.Context))
	if p.Context, err = contextOf(p.Dir, p.context); err != nil {
		return nil, err
	}
	if err := p.resolveImage(&options); err != nil {
		if errors.Is(err, detect.ErrNoProject) || errors.Is(err, generate.ErrNoApp) {
			err = fmt.Errorf("%s: %w", p.Dir, err)
		}
		return nil, err
	}
	if !options.NoDeploy {
		if err := p.resolveDeployment(&options); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// open reads the settings of a folder.
func open(dir string) (*Project, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("open the directory: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%s is not a directory", dir)
	}
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	table, err := settings.Read(absolute)
	if err != nil {
		return nil, err
	}
	return &Project{Dir: absolute, Settings: table}, nil
}

// resolvePod decides what the build's pod is given.
func (p *Project) resolvePod(options *Options) {
	build := &p.Settings.Build
	p.CPU = first(flag("cpu", options.CPU), setting(p.Settings, "build.cpu", build.CPU))
	p.Memory = first(flag("memory", options.Memory), setting(p.Settings, "build.memory", build.Memory))
	p.Storage = first(flag("storage", options.Storage), setting(p.Settings, "build.storage", build.Storage))
	p.AllowSecretFiles = slices.Concat(options.AllowSecretFiles, build.AllowSecretFiles)
	p.NodeSelector = merge("node-selector", options.NodeSelector, p.Settings, "build.node-selector", build.NodeSelector)
}

// resolveTest decides the test command, as far as the Dockerfile does not.
func (p *Project) resolveTest(given string) error {
	line := first(flag("test", given), setting(p.Settings, "test", p.Settings.Test))
	command, err := Command(line.Value)
	if err != nil {
		return line.Origin.wrap("test", err)
	}
	p.Test = Value[[]string]{command, line.Origin}
	return nil
}

// Command splits a command line into words as a shell does, but runs no shell. It returns
// nil for an empty line.
func Command(line string) ([]string, error) {
	if line == "" {
		return nil, nil
	}
	words, err := shell.Fields(line)
	if err != nil {
		return nil, fmt.Errorf("test command %q: %w", line, err)
	}
	if len(words) == 0 || words[0] == "" {
		return nil, fmt.Errorf("test command %q names no program", line)
	}
	return words, nil
}

// resolveImage decides the Dockerfile, and all that depends on it.
func (p *Project) resolveImage(options *Options) error {
	own, err := p.ownDockerfile(options)
	if err != nil {
		return err
	}
	if own && (options.Entrypoint != "" || options.Python != "") {
		return optionErrorf("--entrypoint and --python are for a generated Dockerfile, and %s has its own: pass --variant to generate one in its place", p.Dir)
	}
	if !own {
		if err := p.detect(options); err != nil {
			return err
		}
	}
	if options.NoDockerfile {
		return nil
	}
	if !own {
		if err := p.generate(); err != nil {
			return err
		}
	}
	if options.Dockerfile == "" && options.Variant == "" && p.Settings.Build.Dockerfile == "" {
		p.warnings = append(p.warnings, notUsed(p.Dir, filepath.Base(p.File), own)...)
	}
	if err := p.resolveBuildArgs(options); err != nil {
		return err
	}
	p.Dockerfile.Value = p.Dockerfile.Value.WithBuildArgs(p.Args())
	if err := p.resolveTarget(options); err != nil {
		return err
	}
	p.Secrets = mountedSecrets(p)
	if own {
		p.Port = first(flag("port", options.Port), setting(p.Settings, "port", int(p.Settings.Port)), exposed(p.Dockerfile.Value, &p.Stage), byDefault(DefaultPort))
	}
	return nil
}

// ownDockerfile reads the Dockerfile of the folder, if there is one and it is to be built.
func (p *Project) ownDockerfile(options *Options) (bool, error) {
	if options.NoDockerfile || options.Variant != "" {
		return false, nil
	}
	named := first(flag("file", options.Dockerfile), setting(p.Settings, "build.dockerfile", p.Settings.Build.Dockerfile))
	found, err := readDockerfile(p.Dir, p.Context, named.Value)
	switch {
	case err == nil:
		p.File, p.Files = found.file, found.files
		if found.warning != "" {
			p.warnings = append(p.warnings, found.warning)
		}
		p.Dockerfile = Value[*dockerfile.Dockerfile]{found.Dockerfile, first(named, Value[string]{Origin: Origin{Detected, found.Path}}).Origin}
		return true, nil
	case !named.IsSet() && errors.Is(err, dockerfile.ErrNotFound):
		return false, nil
	case named.Origin.Kind == Setting && !errors.As(err, new(*dockerfile.ParseError)):
		err = named.Origin.wrap("build.dockerfile", err)
	}
	return false, err
}

// notUsed returns a warning about the Dockerfiles of the folder that are not built; none for
// a folder without others.
func notUsed(dir, used string, own bool) []string {
	if !own {
		used = ""
	}
	others := dockerfile.Others(dir, used, !own)
	if len(others) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("not used: %s; name it with --file", strings.Join(others, ", "))}
}

// detect reads the Python project, and decides what a Dockerfile is generated for.
func (p *Project) detect(options *Options) error {
	entrypoint := first(flag("entrypoint", options.Entrypoint), setting(p.Settings, "entrypoint", p.Settings.Entrypoint))
	python := first(flag("python", options.Python), setting(p.Settings, "python", p.Settings.Python))
	port := first(flag("port", options.Port), setting(p.Settings, "port", int(p.Settings.Port)))
	var err error
	above := ""
	if p.context.IsSet() {
		above = p.Context
	}
	p.Detected, err = detect.Read(p.Dir, detect.Options{
		Above: above,
		App:   entrypoint.Value, AppSource: entrypoint.Origin.Where,
		Python: python.Value, PythonSource: python.Origin.Where,
		Port: port.Value, PortSource: port.Origin.Where,
		Web: p.Settings.Processes[app.WebProcess].Command, WebSource: p.Settings.WhereIn(processesKey, app.WebProcess),
	})
	switch {
	case errors.Is(err, detect.ErrContext):
		return p.context.Origin.wrap("context", err)
	case err != nil:
		return err
	}
	if err := resolveContext(p); err != nil {
		return err
	}
	if app := p.Detected.App; app != nil {
		p.Entrypoint = first(entrypoint, Value[string]{reference(app), evidence(p.Detected, "app")})
	}
	p.Python = first(python, Value[string]{p.Detected.Python, evidence(p.Detected, "python")})
	p.Port = first(port, Value[int]{p.Detected.Port, evidence(p.Detected, "port")})
	variant := generate.Variant(p.Settings.Build.Variant)
	p.Variant = first(flag("variant", options.Variant), setting(p.Settings, "build.variant", variant), byDefault(generate.Slim))
	return nil
}

// reference returns an app as the user names it.
func reference(app *detect.App) string {
	if app.Factory {
		return app.Object + "()"
	}
	return app.Object
}

// evidence returns where something was detected.
func evidence(detected *detect.Project, what string) Origin {
	for _, evidence := range detected.Evidence {
		if evidence.What == what && evidence.Source != string(Default) {
			return Origin{Detected, evidence.Source}
		}
	}
	return Origin{Kind: Default}
}

// resolveTarget decides the stage to build. A target in the settings is a stage of the
// folder's own Dockerfile, so that it does not apply to one generated in its place.
func (p *Project) resolveTarget(options *Options) error {
	p.Target = flag("target", options.Target)
	if options.Variant == "" {
		p.Target = first(p.Target, setting(p.Settings, "build.target", p.Settings.Build.Target))
	}
	var err error
	if p.Stage, err = p.Dockerfile.Value.Target(p.Target.Value); err != nil {
		return p.Target.Origin.wrap("build.target", err)
	}
	return p.resolveTestStage(options.NoTest)
}

// resolveTestStage decides the stage that tests run in, and takes its command unless there
// is another.
func (p *Project) resolveTestStage(none bool) error {
	stage, ok := p.Dockerfile.Value.Test(p.Target.Value)
	if none || !ok {
		return nil
	}
	p.TestStage = stage.Stage
	if !p.Test.IsSet() {
		p.Test = Value[[]string]{stage.Command, Origin{Detected, p.Dockerfile.Value.Path + " stage " + stage.Stage}}
	}
	return nil
}

// exposed returns the first port that the stage exposes.
func exposed(parsed *dockerfile.Dockerfile, stage *dockerfile.Stage) Value[int] {
	if len(stage.Expose) == 0 {
		return Value[int]{}
	}
	where := parsed.Path
	for _, instruction := range parsed.Instructions {
		if instruction.Stage == stage.Number && instruction.Name == "EXPOSE" {
			where = fmt.Sprintf("%s:%d", where, instruction.Line)
			break
		}
	}
	return Value[int]{stage.Expose[0], Origin{Detected, where + " EXPOSE"}}
}

// resolveBuildArgs decides the build arguments: settings in the order of their names, then
// flags in their own order.
func (p *Project) resolveBuildArgs(options *Options) error {
	given := map[string]string{}
	for _, arg := range options.BuildArgs {
		key, _, _ := strings.Cut(arg, "=")
		given[key] = arg
	}
	set := p.Settings.Build.Args
	for _, key := range slices.Sorted(maps.Keys(set)) {
		if _, over := given[key]; !over {
			p.BuildArgs = append(p.BuildArgs, Value[string]{key + "=" + set[key], Origin{Setting, p.Settings.WhereIn("build.args", key)}})
		}
	}
	for _, arg := range options.BuildArgs {
		if key, _, _ := strings.Cut(arg, "="); given[key] == arg {
			p.BuildArgs = append(p.BuildArgs, Value[string]{arg, Origin{Flag, "--build-arg"}})
		}
	}
	known := p.BuildArgs[:0:0]
	for _, arg := range p.BuildArgs {
		if err := secret.CheckArgument(arg.Value); err != nil {
			return arg.Origin.wrap("build.args", err)
		}
		switch err := p.Dockerfile.Value.CheckBuildArgs([]string{arg.Value}); {
		case err == nil:
			known = append(known, arg)
		case !options.DropUnknownArgs:
			return arg.Origin.wrap("build.args", err)
		}
	}
	p.BuildArgs = known
	return nil
}

// resolveDeployment decides what is deployed: the user's manifests, or the default
// Deployment.
func (p *Project) resolveDeployment(options *Options) error {
	if err := resolveValues(p, options); err != nil {
		return err
	}
	if p.Manifests.IsSet() {
		if err := p.Settings.CheckManifests(p.Manifests.Value); err != nil {
			return err
		}
		p.warnings = append(p.warnings, droppedProcesses(p.Dir, p.Manifests.Value)...)
		return options.CheckManifests(p.Manifests.Value)
	}
	var err error
	if p.Deployment, err = newDeployment(options, p.Settings); err != nil {
		return err
	}
	if err := resolveProcesses(p); err != nil {
		return err
	}
	var warning string
	p.Deployment.OfImage, warning = user(p.Dockerfile.Value, &p.Stage)
	if p.Deployment.User.IsSet() {
		return nil
	}
	if p.Deployment.User = p.Deployment.OfImage; warning != "" {
		p.warnings = append(p.warnings, warning)
	}
	return nil
}
