// Package engine defines what the rest of the program knows about the program that
// builds images in a pod: the arguments it takes, the log it writes and why it failed.
package engine

import (
	"time"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
)

// Engine builds an image from a Dockerfile, without a daemon. Its methods are pure.
type Engine interface {
	// Name returns the engine's name as people write it.
	Name() string
	// Args returns the arguments of one build. The Task has the arguments that are
	// the same for every build.
	Args(params Params) []string
	// Change returns the arguments of an earlier build, which Args has returned, with a
	// change; and the values for the Dockerfile's ARGs that are among them then, KEY=VALUE,
	// in order. It leaves args alone.
	Change(args []string, change Change) (changed, buildArgs []string)
	// Authenticate returns args with those by which the engine shows the certificate of the
	// Task's workspace push to the registry of that host; without them if the host is empty. It
	// leaves args alone.
	Authenticate(args []string, host string) []string
	// ParseLine reads one line of the log of the build step. A line of a command that
	// the Dockerfile runs has no Level.
	ParseLine(text string) Line
	// Diagnose reads the line with which the engine ends. ok is false for any other
	// line, and for one that only reports that a command failed.
	Diagnose(line string) (diagnosis Diagnosis, ok bool)
	// Capabilities returns what a version of the engine does.
	Capabilities(version string) Capabilities
	// Rows returns what a version of the engine does with the features of the Dockerfile
	// reference, by instruction.
	Rows(version string) []Row
	// Check compares a Dockerfile with Rows. It rewrites what the engine would build
	// differently, and refuses what it cannot build.
	Check(version string, source Source) (Conformance, error)
}

// Params is what an engine needs to know about one build.
type Params struct {
	// Repository is where pods push the image, without tag. Layers are cached in
	// Repository with manifests.CacheSuffix.
	Repository string
	// BuildArgs are values for the Dockerfile's ARGs, KEY=VALUE, in order.
	BuildArgs []string
	// Target is the stage of the Dockerfile to build; empty means the last one.
	Target string
	// Tested is a further stage to build, whose instructions test the image: there is no
	// image unless they succeed. Target has to be the name of a stage then.
	Tested string
	// NoCache runs every instruction, and caches no layer.
	NoCache bool
	// Untrusted builds read the cache and write nothing to it.
	Untrusted bool
	// SecretIDs name the secrets for RUN --mount=type=secret.
	SecretIDs []string
	// Mirrors redirect base images.
	Mirrors []manifests.Mirror
	// Extra are the arguments of Conformance.Args.
	Extra []string
}

// Change is what the repetition of a build does differently. The zero value changes nothing.
type Change struct {
	// NoCache is that of Params; false keeps what the build did.
	NoCache bool
	// BuildArgs are added, KEY=VALUE. Each takes the place of the earlier ones for its KEY;
	// of two for one KEY the later wins.
	BuildArgs []string
}

// Line is one line of the log of the build step. At most one of Stage, Base, Lacks,
// Cached, Pushing and Exit is set. A line with a Level and none of them may be the text of
// an instruction, which the engine writes before it runs the instruction.
type Line struct {
	// Level is the engine's word for the severity of its line: info, warning, error,
	// fatal. It is empty for the output of a command.
	Level string
	// Message is the line without the engine's time and level.
	Message string
	// Chatter marks a line about the engine's work that says nothing about the build.
	Chatter bool
	// Activity is what the engine does from here on besides the instruction, as a short
	// phrase. Background reports that it does not hold up the next instruction, only the
	// end of the stage.
	Activity   string
	Background bool
	// Runs reports that the command of the instruction starts, and the Activity before it is
	// over.
	Runs bool
	// Stage is the stage of the Dockerfile that starts here; nil if none does.
	Stage *Stage
	// Base is the base image that is being pulled.
	Base string
	// Lacks is the mirror that does not have the base image.
	Lacks string
	// Cached is the instruction whose layer comes from the cache.
	Cached string
	// Pushing is the reference of the image that is being pushed: the image itself, or
	// a layer for the cache.
	Pushing string
	// Exit is the exit code of the command that failed, if the engine ends because of it;
	// 0 otherwise. One that a signal ended has 128 and the number of the signal.
	Exit int32
}

// Stage is a stage of the Dockerfile that the engine starts to build.
type Stage struct {
	// Number is the number of the stage, from 0. Base is that of the earlier stage whose
	// image it starts from; -1 if that is an image of a registry. The engine builds the
	// stages between Base and Number with it.
	Number, Base int
}

// Diagnosis is why a build failed.
type Diagnosis struct {
	// Pull reports that a base image could not be pulled.
	Pull bool
	// Crash reports that the engine itself failed.
	Crash bool
	// Missing is the path that an instruction names and that does not exist; empty for
	// any other reason. It is a path of the build context, or with Elsewhere of another
	// stage, or of an image, whose name it starts with.
	Missing   string
	Elsewhere bool
	// Message is the reason in one line, Advice what to do.
	Message, Advice string
}

// Capabilities are properties of a version of an engine.
type Capabilities struct {
	// CacheTTL is how long the engine uses a layer from the cache.
	CacheTTL time.Duration
	// Author is what the engine writes as the author into the history of an image.
	Author string
	// Root reports that the build step has to run as root.
	Root bool
	// TestDir is a directory that every instruction can write to and that is part of no
	// image. The Task reads the results of tests there, in the file junit.xml.
	TestDir string
}
