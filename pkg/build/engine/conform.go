package engine

import (
	"io/fs"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
)

// Support is what an engine does with a feature of the Dockerfile reference, compared to
// BuildKit.
type Support string

// The kinds of support.
const (
	// Supported features have the result that BuildKit has.
	Supported Support = "supported"
	// Switched features have it because the build step sets a switch of the engine.
	Switched Support = "switched"
	// Rewritten features have it because the Dockerfile that travels is rewritten.
	Rewritten Support = "rewritten"
	// Differs marks features with another result that does not change what the image does,
	// or that nobody can see before the build.
	Differs Support = "differs"
	// Refused features stop the build before the upload.
	Refused Support = "refused"
)

// Row is a feature of the Dockerfile reference and what an engine does with it.
type Row struct {
	// ID is the stable name of the row, in lower case with hyphens.
	ID string
	// Instruction is the instruction it belongs to, such as RUN, or a part of the file.
	Instruction string
	// Feature is what the user writes.
	Feature string
	Support Support
	// Reason is what the engine does, or what is done about it. Remedy is what to write
	// instead; it is empty where nothing has to be done.
	Reason, Remedy string
}

// Source is a Dockerfile to check.
type Source struct {
	// Dockerfile has the values that the build gives to its arguments.
	Dockerfile *dockerfile.Dockerfile
	// BuildArgs are those values, KEY=VALUE, in order.
	BuildArgs []string
	// Targets are the stages that are built; empty names mean the last one. Stages that
	// none of them needs are not checked.
	Targets []string
	// Context is the build context; nil if it is not known.
	Context fs.FS
	// Files returns what travels of Context, directories included, by path, with the modes
	// of Mode. It is nil if that is not known.
	Files func() (map[string]fs.FileMode, error)
	// Mode returns the mode with which an entry of Context travels; nil changes none.
	Mode func(fs.FileMode) fs.FileMode
	// Platforms returns the platforms of the nodes that may run the build, such as
	// linux/amd64; nil if they are not known. It is called at most once, and may be nil.
	Platforms func() []string
	// Workdir returns the WORKDIR of a base image; nil if that is not known.
	Workdir func(image string) (string, error)
}

// Remark is about an instruction of the Dockerfile as the user wrote it.
type Remark struct {
	// Row is the ID of the row.
	Row string
	// Line and End are the first and the last line, from 1; 0 means the file or the build
	// as a whole.
	Line, End int
	// Text is the instruction in one line.
	Text string
	// Quiet remarks are for lint; a build does not repeat them.
	Quiet bool
	// Message is what was done, or why it is refused, Remedy what to write instead.
	Message, Remedy string
}

// Conformance is the result of a check.
type Conformance struct {
	// Dockerfile is the one that travels: that of the source, or a rewritten one whose
	// instructions have the lines and texts of the source.
	Dockerfile *dockerfile.Dockerfile
	// Text is what the engine reads.
	Text []byte
	// Rewritten reports whether Text is not the user's.
	Rewritten bool
	// Rewrites are what was rewritten, Notes what has another result, Refusals what cannot
	// be built; each by line.
	Rewrites, Notes, Refusals []Remark
	// Target is what the engine calls the first target of the source; empty means the last
	// stage.
	Target string
	// Platform is the platform that the node has to have; empty means any.
	Platform string
	// Args are arguments of the engine that the Dockerfile needs.
	Args []string
	// Modes are modes of files and directories of the build context that travels, by path.
	Modes map[string]fs.FileMode
	// Ignore are patterns for the end of the ignore file that travels.
	Ignore []byte
}
