package build

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine/installed"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/buildcontext"
)

// travelDir is where a rewritten Dockerfile is in the build context. The engine leaves it out
// of the image, which gets the user's own Dockerfile if it copies that.
const travelDir = ".pyflow-build/"

const ignoreSuffix = ".dockerignore"

// UnsupportedError reports instructions that the engine cannot build.
type UnsupportedError struct {
	// Dockerfile is the path of the Dockerfile.
	Dockerfile string
	// Engine is the name of the engine.
	Engine string
	// Refusals are the instructions, by line.
	Refusals []engine.Remark
}

// Error returns a line for each instruction, and one for what to write instead.
func (e *UnsupportedError) Error() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s: %s cannot build it as it is written", e.Dockerfile, e.Engine)
	for _, refusal := range e.Refusals {
		fmt.Fprintf(&text, "\n  %s:%d: %s: %s", e.Dockerfile, refusal.Line, oneLine(refusal.Text), refusal.Message)
		if refusal.Remedy != "" {
			text.WriteString("\n    " + refusal.Remedy)
		}
	}
	return text.String()
}

// maxText is how much of an instruction an error repeats.
const maxText = 80

func oneLine(text string) string {
	runes := []rune(strings.Join(strings.Fields(text), " "))
	if len(runes) > maxText {
		return string(runes[:maxText-1]) + "…"
	}
	return string(runes)
}

// conform checks the Dockerfile of a folder before anything is uploaded, and makes a
// rewritten one travel. The error is an *UnsupportedError, an *AbsentError, or about the
// ignore file.
func (p *Prepared) conform(ctx context.Context) error {
	folder := p.options.Folder
	if folder == nil {
		return nil // it is checked when it is fetched
	}
	files, err := openContext(folder)
	if err != nil {
		return err
	}
	defer files.close()
	targets, tested := []string{p.options.Target}, p.options.Test != nil && p.options.Test.Stage != ""
	if tested {
		targets = append(targets, dockerfile.TestRun)
	}
	args := slices.Concat(p.env.Config.BuildArgs, p.options.BuildArgs)
	found, err := installed.Engine().Check(installed.Version(), engine.Source{
		Dockerfile: folder.Dockerfile.WithBuildArgs(args), BuildArgs: args, Targets: targets, Context: files, Mode: buildcontext.Mode,
		Files: func() (map[string]fs.FileMode, error) {
			return buildcontext.List(ctx, folder.Dir, buildcontext.Options{Dockerfile: folder.Dockerfile.Path, Files: folder.Files})
		},
		Platforms: func() []string { return platforms(ctx, p.env.Clients.Kube, p.options.Resources.NodeSelector) },
		Workdir:   func(image string) (string, error) { return baseWorkdir(ctx, image, p.env.Config.ImageMirrors) },
	})
	if err != nil {
		return err
	}
	if len(found.Refusals) > 0 {
		return &UnsupportedError{Dockerfile: folder.Dockerfile.Path, Engine: installed.Engine().Name(), Refusals: found.Refusals}
	}
	if err := p.checkSources(files, folder.Dockerfile.WithBuildArgs(args), targets); err != nil {
		return err
	}
	p.options.Notices = append(p.options.Notices, conformNotices(found)...)
	p.conformed, p.text = found.Dockerfile, found.Text
	p.options.Target, p.extra = found.Target, found.Args
	if _, architecture, ok := strings.Cut(found.Platform, "/"); ok {
		selector := maps.Clone(p.options.Resources.NodeSelector)
		if selector == nil {
			selector = map[string]string{}
		}
		selector[archLabel] = architecture
		p.options.Resources.NodeSelector = selector
	}
	if !found.Rewritten && !tested {
		return nil
	}
	ignore, _, err := buildcontext.ReadIgnore(files.root, folder.Dockerfile.Path, folder.Files)
	if err != nil {
		return err
	}
	travels := *folder
	travels.Modes = found.Modes
	travels.Files = map[string][]byte{}
	maps.Copy(travels.Files, folder.Files)
	p.options.Dockerfile = travelDir + folder.Dockerfile.Path
	travels.Files[p.options.Dockerfile] = found.Text
	travels.Files[p.options.Dockerfile+ignoreSuffix] = slices.Concat(ignore, []byte("\n"+travelDir+"\n"), found.Ignore)
	p.options.Folder = &travels
	return nil
}

// conformNotices returns a line for each kind of rewrite and of difference.
func conformNotices(found engine.Conformance) []event.Event {
	var notices []event.Event
	for _, kind := range []struct {
		remarks []engine.Remark
		verb    string
	}{{found.Rewrites, "rewritten for the build"}, {found.Notes, "differs from Docker"}} {
		for len(kind.remarks) > 0 {
			first := kind.remarks[0]
			var lines []string
			if first.Quiet {
				kind.remarks = kind.remarks[1:]
				continue
			}
			kind.remarks = slices.DeleteFunc(slices.Clone(kind.remarks), func(remark engine.Remark) bool {
				if remark.Row == first.Row {
					lines = append(lines, fmt.Sprint(remark.Line))
				}
				return remark.Row == first.Row
			})
			notices = append(notices, event.Event{
				Message: fmt.Sprintf("%s:%s %s: %s", found.Dockerfile.Path, strings.Join(slices.Compact(lines), ","), kind.verb, first.Message),
			})
		}
	}
	return notices
}

// folderContext is the build context of a folder, as the check reads it.
type folderContext struct {
	root  *os.Root
	fs    fs.FS
	files map[string][]byte
}

// openContext opens the build context of a folder.
func openContext(folder *Folder) (*folderContext, error) {
	root, err := os.OpenRoot(folder.Dir)
	if err != nil {
		return nil, fmt.Errorf("open the directory: %w", err)
	}
	return &folderContext{root: root, fs: root.FS(), files: folder.Files}, nil
}

func (c *folderContext) close() { _ = c.root.Close() }

// Open opens a file of the context.
func (c *folderContext) Open(name string) (fs.File, error) { return c.fs.Open(name) }

// ReadLink returns where a symbolic link leads.
func (c *folderContext) ReadLink(name string) (string, error) {
	if _, ok := c.files[name]; ok {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: fs.ErrInvalid}
	}
	return fs.ReadLink(c.fs, name)
}

// Lstat describes a file without following links.
func (c *folderContext) Lstat(name string) (fs.FileInfo, error) { return fs.Lstat(c.fs, name) }

// written returns the path of the Dockerfile as the user knows it.
func written(name string) string { return path.Clean(strings.TrimPrefix(name, travelDir)) }

var _ fs.ReadLinkFS = (*folderContext)(nil)
