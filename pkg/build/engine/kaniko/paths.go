package kaniko

import (
	"path"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile/shell"
)

// podDirs are the directories of the build pod that hide those of the image: mounts that
// Tekton makes in every pod, the engine's own, and those of the kernel. Nothing below them
// gets into an image.
func podDirs() []string { return []string{"/workspace", "/tekton", "/kaniko", "/proc", "/sys", "/dev"} }

// podFiles are files that Kubernetes mounts into every pod.
func podFiles() []string { return []string{"/etc/hosts", "/etc/hostname", "/etc/resolv.conf"} }

// hidden returns the path of the pod that covers a path of the image; empty if none does.
func hidden(name string) string {
	for _, dir := range podDirs() {
		if name == dir || strings.HasPrefix(name, dir+"/") {
			return dir
		}
	}
	if slices.Contains(podFiles(), name) {
		return name
	}
	return ""
}

// podPaths refuses instructions that need a path which a mount of the pod covers.
func podPaths(p *pass) {
	for _, at := range p.sites() {
		for _, name := range pathsOf(p, at) {
			if cover := hidden(name); cover != "" {
				p.refuse(at.Instruction, "%s is in the pod that builds the image, not in the image: what is written there gets lost, and what the image has there is hidden", cover)
				break
			}
		}
	}
}

// pathsOf returns the absolute paths of the image that an instruction reads or writes, as far
// as the Dockerfile says them.
func pathsOf(p *pass, at site) []string {
	switch command := at.Command.(type) {
	case *instructions.WorkdirCommand:
		if name, ok := at.resolve(command.Path); ok {
			return []string{name}
		}
	case *instructions.CopyCommand:
		names := destinations(at, command.SourcesAndDest)
		if command.From != "" && p.file.Source(command.From, at.stage.Number) != nil {
			for _, source := range command.SourcePaths {
				expanded, _ := at.Expand(source)
				names = append(names, path.Join("/", expanded))
			}
		}
		return names
	case *instructions.AddCommand:
		return destinations(at, command.SourcesAndDest)
	case *instructions.RunCommand:
		return commandPaths(p, at)
	}
	return nil
}

// destinations returns where files are copied to: the destination itself, and below it those
// that are one file.
func destinations(at site, copied instructions.SourcesAndDest) []string {
	dest, ok := at.resolve(copied.DestPath)
	if !ok {
		return nil
	}
	names := []string{dest}
	for _, source := range copied.SourcePaths {
		expanded, _ := at.Expand(source)
		names = append(names, path.Join(dest, path.Base(expanded)))
	}
	return names
}

// commandPaths returns the words of a RUN that are paths below the directories that Tekton
// and the engine mount. Commands may use those of the kernel, as with Docker.
func commandPaths(p *pass, at site) []string {
	var names []string
	commands, _ := p.file.Commands(at.Step)
	for _, command := range commands {
		for _, word := range command.Words {
			name := path.Clean(word.Text)
			for _, dir := range podDirs()[:3] {
				if name == dir || strings.HasPrefix(name, dir+"/") {
					names = append(names, name)
				}
			}
		}
	}
	return names
}

// baseWorkdirs refuses relative paths where the WORKDIR of the base image is one that a mount of
// the pod covers. It asks for the WORKDIR only where it matters, once for each image.
func baseWorkdirs(p *pass) {
	if p.source.Workdir == nil {
		return
	}
	asked := map[string]bool{}
	for _, at := range p.sites() {
		base := baseOf(at.stage)
		if at.known || at.workdir != "" || !base.Known || isOfficial(base.Base) || asked[base.Base] || !usesWorkdir(p, at) {
			continue
		}
		asked[base.Base] = true
		dir, err := p.source.Workdir(base.Base)
		if err != nil {
			p.note(at.Instruction, "the WORKDIR of %s cannot be read from here: what is written there gets lost if it is below /workspace or /tekton", base.Base)
		} else if cover := hidden(path.Join("/", dir)); cover != "" {
			p.refuse(at.Instruction, "the WORKDIR of %s is %s, and %s is in the pod that builds the image, not in the image: what is written there gets lost", base.Base, dir, cover)
		}
	}
}

// baseOf returns the stage that starts from an image, for one that starts from another stage.
func baseOf(stage *dockerfile.Stage) *dockerfile.Stage {
	for stage.Parent != nil {
		stage = stage.Parent
	}
	return stage
}

// isOfficial reports whether an image is one of Docker's official images, none of which has such
// a WORKDIR.
func isOfficial(image string) bool {
	for _, prefix := range []string{"docker.io/", "index.docker.io/", "library/"} {
		image = strings.TrimPrefix(image, prefix)
	}
	return !strings.Contains(image, "/")
}

// usesWorkdir reports whether an instruction writes below the WORKDIR.
func usesWorkdir(p *pass, at site) bool {
	word := ""
	switch command := at.Command.(type) {
	case *instructions.WorkdirCommand:
		word = command.Path
	case *instructions.CopyCommand:
		word = command.DestPath
	case *instructions.AddCommand:
		word = command.DestPath
	case *instructions.RunCommand:
		return slices.ContainsFunc(commandsOf(p, at.Step), func(command shell.Command) bool {
			return slices.Contains([]string{"git", "wget", "tar", "unzip", "make", "mkdir", "touch", "curl"}, command.Name()) &&
				!slices.ContainsFunc(command.Words[1:], func(word shell.Word) bool { return path.IsAbs(word.Text) })
		})
	default:
		return false
	}
	expanded, _ := at.Expand(word)
	return !path.IsAbs(expanded)
}
