package build

import (
	"fmt"
	"path"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/buildcontext"
)

// AbsentError reports that a Dockerfile copies what is not in the build context.
type AbsentError struct {
	// Dockerfile is the path of the Dockerfile.
	Dockerfile string
	// Sources are what is absent, in the order of the instructions.
	Sources []AbsentSource
}

// AbsentSource is a source of a COPY or an ADD.
type AbsentSource struct {
	dockerfile.Instruction
	// Path is its path in the build context.
	Path string
	Why  buildcontext.Absence
}

// Error returns a line for each source.
func (e *AbsentError) Error() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s copies what is not in the build context", e.Dockerfile)
	for _, source := range e.Sources {
		why := "the directory has no " + source.Path
		if left := source.Why.String(); left != "" {
			why = source.Path + ": " + left
		}
		fmt.Fprintf(&text, "\n  %s:%d: %s: %s", e.Dockerfile, source.Line, oneLine(source.Text), why)
	}
	return text.String()
}

// checkSources returns an *AbsentError if an instruction of the stages that are needed names a
// file that the build context will not have: the build would fail there. Sources with
// wildcards are not checked.
func (p *Prepared) checkSources(context *folderContext, file *dockerfile.Dockerfile, targets []string) error {
	absent := &AbsentError{Dockerfile: file.Path}
	for i, needed := range file.Needed(targets...) {
		if !needed {
			continue
		}
		for _, step := range file.Stages[i].Steps {
			for _, name := range localSources(step) {
				why, missing, err := buildcontext.Absent(context.root, file.Path, context.files, name)
				if err != nil {
					return err
				}
				if missing {
					absent.Sources = append(absent.Sources, AbsentSource{Instruction: step.Instruction, Path: name, Why: why})
				}
			}
		}
	}
	if len(absent.Sources) > 0 {
		return absent
	}
	return nil
}

// localSources returns the paths that a COPY or an ADD reads of the build context: those
// without wildcards, whose variables have values.
func localSources(step *dockerfile.Step) []string {
	var words []string
	switch command := step.Command.(type) {
	case *instructions.CopyCommand:
		if command.From == "" {
			words = command.SourcePaths
		}
	case *instructions.AddCommand:
		words = command.SourcePaths
	}
	var names []string
	for _, word := range words {
		name, known := step.Expand(word)
		if !known || strings.ContainsAny(name, `*?[\`) || dockerfile.IsRemote(name) {
			continue
		}
		names = append(names, strings.TrimPrefix(path.Clean("/"+name), "/"))
	}
	return names
}
