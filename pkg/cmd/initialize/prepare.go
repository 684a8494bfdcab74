package initialize

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/generate"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/appname"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/scaffold"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/settings"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/detect"
)

// dockerfile is the one that builds use when nothing else is said.
const dockerfile = "Dockerfile"

// work is what a run is going to do.
type work struct {
	name    string
	project *detect.Project
	plan    *scaffold.Plan
	// notes are what the user should know of files that are left as they are.
	notes []string
}

// prepare finds out what is to be written, and writes nothing.
func (o *Options) prepare() (*work, error) {
	if o.New {
		return o.start()
	}
	return o.adopt()
}

// start prepares a new service.
func (o *Options) start() (*work, error) {
	w := &work{name: cmp.Or(o.Name, appname.FromDir(o.Dir))}
	files, err := scaffold.New(scaffold.Options{
		Template: o.Template, Name: w.name, Port: cmp.Or(o.Port, scaffold.DefaultPort), Python: cmp.Or(o.Python, scaffold.DefaultPython),
	})
	if err != nil {
		return nil, o.chooseName(err)
	}
	table := &settings.Settings{}
	for _, file := range files {
		if file.Path == settings.File {
			if table, err = settings.Parse(file.Content); err != nil {
				return nil, err
			}
		}
	}
	if w.project, err = scaffold.Read(files, options(table)); err != nil {
		return nil, err
	}
	image, err := scaffold.Image(w.project, o.Variant, w.name, table.Test != "")
	if err != nil {
		return nil, err
	}
	files = append(files, image...)
	slices.SortFunc(files, func(a, b scaffold.File) int { return strings.Compare(a.Path, b.Path) })
	w.plan, err = scaffold.NewPlan(o.Dir, files, o.Force)
	return w, err
}

// chooseName adds the flag to an error about a name.
func (o *Options) chooseName(err error) error {
	var (
		name     *appname.Error
		packaged *scaffold.PackageError
	)
	if errors.As(err, &name) || errors.As(err, &packaged) {
		return option.Usagef("%w; choose one with --name", err)
	}
	return err
}

// options are what the settings say to detect.
func options(table *settings.Settings) detect.Options {
	return detect.Options{
		App: table.Entrypoint, AppSource: table.Where("entrypoint"),
		Python: table.Python, PythonSource: table.Where("python"),
		Port: int(table.Port), PortSource: table.Where("port"),
	}
}

// adopt prepares a project that is there.
func (o *Options) adopt() (*work, error) {
	manifest, err := os.ReadFile(o.file(settings.File))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	tableValue, err := settings.Parse(manifest)
	if err != nil {
		return nil, err
	}
	has, err := scaffold.HasSettings(manifest)
	if err != nil {
		return nil, err
	}
	if has {
		if err := o.agree(tableValue); err != nil {
			return nil, err
		}
	}
	w := &work{name: cmp.Or(o.Name, tableValue.Name, appname.FromDir(o.Dir))}
	if err := appname.Validate(w.name); err != nil {
		return nil, o.chooseName(err)
	}
	found := options(tableValue)
	if o.Entrypoint != "" {
		found.App, found.AppSource = o.Entrypoint, "--entrypoint"
	}
	if o.Python != "" {
		found.Python, found.PythonSource = o.Python, "--python"
	}
	if o.Port != 0 {
		found.Port, found.PortSource = o.Port, "--port"
	}
	w.project, err = detect.Read(o.Dir, found)
	if errors.Is(err, detect.ErrNoProject) {
		return nil, fmt.Errorf("%s: %w", o.Dir, ErrNotEmpty)
	}
	if err != nil {
		return nil, err
	}
	w.project.Warnings = append(w.project.Warnings, tableValue.Warnings()...)
	files, err := o.image(w, tableValue)
	if err != nil {
		return nil, err
	}
	if !has {
		table := scaffold.Settings{Name: w.name, Python: o.Python, Port: w.project.Port}
		if app := w.project.App; app != nil {
			table.Entrypoint = app.Object
			if app.Factory {
				table.Entrypoint += "()"
			}
		}
		file, err := scaffold.Extend(manifest, table)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	w.plan, err = scaffold.NewPlan(o.Dir, files, o.Force)
	return w, err
}

// agree checks that the flags do not say another thing than a table that is there,
// which is not changed: the next build would go by the table.
func (o *Options) agree(table *settings.Settings) error {
	for _, flag := range []struct{ name, said, set string }{
		{"name", o.Name, table.Name},
		{"entrypoint", o.Entrypoint, table.Entrypoint},
		{"python", o.Python, table.Python},
		{"port", number(o.Port), number(int(table.Port))},
	} {
		if flag.said == "" || flag.said == flag.set {
			continue
		}
		value := strconv.Quote(flag.said)
		if flag.name == "port" {
			value = flag.said
		}
		where := cmp.Or(table.Where(flag.name), "["+settings.Table+"] of "+settings.File)
		return option.Usagef("--%s %s is not what the settings say: set %s = %s in %s", flag.name, flag.said, flag.name, value, where)
	}
	return nil
}

func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// image returns the files of the image, as far as they are to be written.
func (o *Options) image(w *work, table *settings.Settings) ([]scaffold.File, error) {
	own := cmp.Or(table.Build.Dockerfile, dockerfile)
	_, err := os.Lstat(o.file(own))
	there := err == nil
	if own != dockerfile {
		if !there {
			return nil, fmt.Errorf("%s: the Dockerfile %s is not there: write it, or take the line out to have one made", table.Where("build.dockerfile"), own)
		}
		w.notes = append(w.notes, fmt.Sprintf("%s is what is built, as the settings say", own))
		return nil, nil
	}
	variant := cmp.Or(o.Variant, generate.Variant(table.Build.Variant))
	files, err := scaffold.Image(w.project, variant, w.name, table.Test != "")
	if there && !o.Force {
		kept, rerr := os.ReadFile(o.file(own))
		if err != nil || rerr != nil || string(kept) != string(files[slices.IndexFunc(files, isDockerfile)].Content) {
			// It may copy what a .dockerignore of ours would leave out.
			w.notes = append(w.notes, "Dockerfile is the project's own and stays; --force writes another one, and keeps it as Dockerfile"+scaffold.OrigSuffix)
			return nil, rerr
		}
	}
	return files, err
}

func isDockerfile(file scaffold.File) bool { return file.Path == dockerfile }
