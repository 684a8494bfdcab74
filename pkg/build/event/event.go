// Package event defines the events of one build. They are what every view shows and
// what programs read: docs/events.md documents their JSON form.
package event

import "time"

// Phase is a part of a build that takes time.
type Phase string

// The phases, in their order. A build from a repository has neither Pack nor Upload,
// a build without tests has no Test, a build that is not deployed has neither Deploy nor
// Rollout. If the image exists already, only Deploy and Rollout remain.
const (
	Pack   Phase = "pack"
	Upload Phase = "upload"
	// Queue lasts from the run's creation until its first step runs.
	Queue Phase = "queue"
	// Fetch brings the source into the build's pod; the source of a repository goes
	// into the registry first.
	Fetch Phase = "fetch"
	// Build runs the instructions of the Dockerfile.
	Build Phase = "build"
	Push  Phase = "push"
	// Test is everything that has to pass before the image is deployed, with the build
	// of the Dockerfile's test stage.
	Test Phase = "test"
	// Deploy applies the manifests.
	Deploy  Phase = "deliver"
	Rollout Phase = "rollout"
)

// Phases returns all phases in their order.
func Phases() []Phase {
	return []Phase{Pack, Upload, Queue, Fetch, Build, Push, Test, Deploy, Rollout}
}

// Type is the kind of an Event. It determines which fields are set beside Time, App,
// Namespace and, from RunCreated on, Run.
type Type string

const (
	// Planned is the first event: Phases, the phases of this build. It is sent again
	// when the plan changes, with the phases that have taken place.
	Planned Type = "Planned"
	// PhaseStarted starts a phase: Phase. Only one phase runs at a time.
	PhaseStarted Type = "StageStarted"
	// PhaseUpdated is progress of the current phase: Phase, and Transfer or Message
	// (a short phrase; an empty one ends what the last one said). There may be many per
	// second.
	PhaseUpdated Type = "StageUpdated"
	// PhaseEnded ends the phase: Phase, State, DurationSeconds, Message (its result as
	// a short phrase).
	PhaseEnded Type = "StageEnded"
	// InstructionStarted names the instruction of the Dockerfile that runs: Phase,
	// Source, Instruction.
	InstructionStarted Type = "InstructionStarted"
	// InstructionEnded ends it: Phase, Source, Instruction, DurationSeconds, which is the
	// cluster's and includes the snapshot of its files.
	InstructionEnded Type = "InstructionEnded"
	// Log is a line that a step or a pod wrote: Phase, Source, Message. Chatter marks a
	// line about the work of the build engine that says nothing about the build. Folded
	// marks a line of a program that installs packages, which is of interest only if the
	// build fails; Sum marks a line that nothing has written and that stands for folded
	// ones.
	Log Type = "Log"
	// Waiting is why the build makes no progress: Phase, Reason, Message, and Advice
	// if there is any. Terminal marks a problem that waiting cannot solve. It is sent
	// again when it changes.
	Waiting Type = "Waiting"
	// Notice is other information: Message, and the Reason Warning for a warning.
	Notice Type = "Notice"
	// RunCreated marks the creation of the run in the cluster: UsualSeconds. From here on
	// the build continues whatever happens to this program.
	RunCreated Type = "RunCreated"
	// Finished is the last event: State, Result, and Failure unless the build
	// succeeded or was superseded.
	Finished Type = "Finished"
)

// Warning is the Reason of a Notice that is a warning.
const Warning = "Warning"

// State is how a phase, or a build, ended.
type State string

// The states.
const (
	Succeeded State = "Succeeded"
	Failed    State = "Failed"
	Canceled  State = "Canceled"
	// Superseded means that a later run of the app was deployed instead of this one.
	Superseded State = "Superseded"
)

// Event is one thing that happened. Its JSON form is documented in docs/events.md
// and stable: fields may be added, none changes its meaning.
type Event struct {
	// Time is the cluster's time for what happened there, else this machine's.
	Time      time.Time `json:"time"`
	Type      Type      `json:"type"`
	App       string    `json:"app,omitempty"`
	Namespace string    `json:"namespace,omitempty"`
	// Run is the PipelineRun's name.
	Run    string  `json:"run,omitempty"`
	Phase  Phase   `json:"stage,omitempty"`
	Phases []Phase `json:"stages,omitempty"`
	State  State   `json:"state,omitempty"`
	// DurationSeconds is measured on this machine, unless the Type says otherwise.
	DurationSeconds float64 `json:"durationSeconds,omitempty"`
	// UsualSeconds is how long the last runs of the app took that did the same; zero if
	// there are none.
	UsualSeconds float64      `json:"usualSeconds,omitempty"`
	Transfer     *Transfer    `json:"transfer,omitempty"`
	Instruction  *Instruction `json:"instruction,omitempty"`
	// Source is the step or the pod that wrote a line.
	Source  string `json:"source,omitempty"`
	Chatter bool   `json:"chatter,omitempty"`
	Folded  bool   `json:"folded,omitempty"`
	Sum     bool   `json:"sum,omitempty"`
	// Reason is one word of Kubernetes' or Tekton's: Unschedulable, ErrImagePull.
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
	// Raw is a log line as the engine wrote it, with its own time and level. It is not
	// part of the JSON form.
	Raw string `json:"-"`
	// Advice is what to do, in one line.
	Advice string `json:"advice,omitempty"`
	// Terminal reports that waiting longer cannot help.
	Terminal bool     `json:"terminal,omitempty"`
	Result   *Result  `json:"result,omitempty"`
	Failure  *Failure `json:"failure,omitempty"`
}

// Transfer is how much has been read or sent.
type Transfer struct {
	// Files is the number of files, while packing.
	Files int `json:"files,omitempty"`
	// Bytes is the amount so far, Total the whole amount; Total is zero if it is not
	// known.
	Bytes int64 `json:"bytes"`
	Total int64 `json:"total,omitempty"`
	// BytesPerSecond is the current rate.
	BytesPerSecond int64 `json:"bytesPerSecond,omitempty"`
}

// Instruction is one instruction of the Dockerfile.
type Instruction struct {
	// Number counts from 1 to Total, in the order in which they run, over the stages that
	// are built.
	Number int `json:"number"`
	Total  int `json:"total"`
	// Line is where the instruction starts in the file, from 1; 0 for the command of a test
	// stage, which is no instruction of the file.
	Line int `json:"line"`
	// Text is the instruction with its continued lines joined.
	Text string `json:"text"`
	// Image is the base image of a FROM, with its variables replaced; empty for other
	// instructions and for a FROM that names a stage.
	Image string `json:"image,omitempty"`
	// Dockerfile is the path of the file in the source, if it is known.
	Dockerfile string `json:"dockerfile,omitempty"`
	// Cached reports that the layer came from the cache.
	Cached bool `json:"cached,omitempty"`
}

// Result is the result of a build. Fields without a value are left out.
type Result struct {
	State State `json:"state"`
	// Unchanged reports that the image was in the registry already: nothing was built.
	Unchanged bool `json:"unchanged,omitempty"`
	// Image is the image as nodes pull it, by digest; Digest is sha256:<hex>.
	Image  string `json:"image,omitempty"`
	Digest string `json:"digest,omitempty"`
	// SizeBytes is the image's compressed size, PreviousSizeBytes that of the release
	// before.
	SizeBytes         int64 `json:"sizeBytes,omitempty"`
	PreviousSizeBytes int64 `json:"previousSizeBytes,omitempty"`
	// Tests are the test results, if they are known.
	Tests *Tests `json:"tests,omitempty"`
	// URL is the address of the app outside the cluster. Reach is the command that opens the
	// app, if URL does not answer from where the build was started.
	URL   string `json:"url,omitempty"`
	Reach string `json:"reach,omitempty"`
	// Commit is the git commit of the source; Dirty reports that files differed.
	Commit string `json:"commit,omitempty"`
	Dirty  bool   `json:"dirty,omitempty"`
	// DurationSeconds is the duration of the whole build, Phases that of each phase.
	DurationSeconds float64     `json:"durationSeconds"`
	Phases          []PhaseTime `json:"stages"`
}

// Tests are test results as JUnit XML has them.
type Tests struct {
	// Total is the number of tests. Failed tests found a fault, Errors broke, Skipped
	// did not run; all others passed.
	Total   int `json:"total"`
	Failed  int `json:"failed"`
	Errors  int `json:"errors"`
	Skipped int `json:"skipped"`
	// DurationSeconds is the time the tests took.
	DurationSeconds float64 `json:"durationSeconds"`
}

// PhaseTime is the duration of a phase.
type PhaseTime struct {
	Phase           Phase   `json:"stage"`
	DurationSeconds float64 `json:"durationSeconds"`
}

// Failure is why a build did not succeed. It is an error.
type Failure struct {
	// Message is the reason in one line, Advice what to do.
	Message string `json:"message"`
	Advice  string `json:"advice,omitempty"`
	Phase   Phase  `json:"stage,omitempty"`
	Reason  string `json:"reason,omitempty"`
	// Dockerfile is the Dockerfile's path in the source, Instruction the instruction
	// that failed.
	Dockerfile  string       `json:"dockerfile,omitempty"`
	Instruction *Instruction `json:"instruction,omitempty"`
	// Excerpt holds the lines of the Dockerfile that are the instruction, from
	// Instruction.Line on.
	Excerpt []string `json:"excerpt,omitempty"`
	// Step is the step or the pod that failed, ExitCode its exit code.
	Step     string `json:"step,omitempty"`
	ExitCode int32  `json:"exitCode,omitempty"`
	// FailedTests names the first ten tests that failed or broke.
	FailedTests []string `json:"failedTests,omitempty"`
	// Log holds the last lines that the step wrote, at most 20, oldest first.
	Log []string `json:"log,omitempty"`
	// Terminal reports that the build failed because waiting longer cannot help.
	Terminal bool `json:"terminal,omitempty"`
	// Cause is the error behind the failure, if there is one.
	Cause error `json:"-"`
}

// Error returns the reason in one line.
func (f *Failure) Error() string { return f.Message }

// Unwrap returns Cause.
func (f *Failure) Unwrap() error { return f.Cause }
