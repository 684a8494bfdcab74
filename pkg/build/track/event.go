// Package progress tells one build, from packing to the last ready replica, as
// one stream of typed events that every view shows.
package track

import "time"

// Stage is a part of a build that takes its time.
type Stage string

// The stages, in their order. A build from a repository has neither Pack nor
// Upload, one that is not tested no Test, one that is not delivered neither Deliver
// nor Rollout, and of one whose image is there already only these two take place.
const (
	Pack   Stage = "pack"
	Upload Stage = "upload"
	// Queue is from the run's creation until its first step runs.
	Queue Stage = "queue"
	// Fetch brings the source into the build's pod, of a repository into the
	// registry first.
	Fetch Stage = "fetch"
	// Build carries out the Dockerfile.
	Build Stage = "build"
	Push  Stage = "push"
	// Test is all that has to pass before the image is delivered, with the build of a
	// stage for it.
	Test    Stage = "test"
	Deliver Stage = "deliver"
	Rollout Stage = "rollout"
)

// Stages returns all of them in their order.
func Stages() []Stage {
	return []Stage{Pack, Upload, Queue, Fetch, Build, Push, Test, Deliver, Rollout}
}

// Type says what an Event tells, and with that which of its fields are set
// beside Time, App, Namespace and, once there is one, Run.
type Type string

const (
	// Planned is the first event: Stages, the stages that will take place. It is
	// told again when the plan changes, with those that have taken place.
	Planned Type = "Planned"
	// StageStarted begins a stage: Stage. One stage is under way at a time.
	StageStarted Type = "StageStarted"
	// StageUpdated is news of the stage under way: Stage, and Transfer or Message
	// (a short phrase). There may be many in a second.
	StageUpdated Type = "StageUpdated"
	// StageEnded ends it: Stage, State, DurationSeconds, Message (its result as a
	// short phrase).
	StageEnded Type = "StageEnded"
	// InstructionStarted says which instruction of the Dockerfile is being carried
	// out: Stage, Instruction.
	InstructionStarted Type = "InstructionStarted"
	// Log is a line that a step or a pod wrote: Stage, Source, Message. Chatter says
	// that it tells how the build engine works, and nothing about the build.
	Log Type = "Log"
	// Waiting is why nothing goes on: Stage, Reason, Message, and Advice where
	// there is some. It is told again when it changes.
	Waiting Type = "Waiting"
	// Notice is something else to know: Message, and Reason Warning when it is a
	// warning.
	Notice Type = "Notice"
	// RunCreated says that the run is in the cluster, where it goes on whatever
	// happens to this program.
	RunCreated Type = "RunCreated"
	// Finished is the last event: Result, and Failure unless it succeeded.
	Finished Type = "Finished"
)

// State is how a stage, or a build, ended.
type State string

// The states.
const (
	Succeeded State = "Succeeded"
	Failed    State = "Failed"
	Canceled  State = "Canceled"
	// Superseded says that a run of the app that began later has been delivered
	// in place of this one.
	Superseded State = "Superseded"
)

// Event is one thing that happened. Its JSON form is documented in docs/events.md
// and stable: fields may be added, none changes its meaning.
type Event struct {
	// Time is the cluster's for what happened there, else this machine's.
	Time      time.Time `json:"time"`
	Type      Type      `json:"type"`
	App       string    `json:"app,omitempty"`
	Namespace string    `json:"namespace,omitempty"`
	// Run is the PipelineRun's name.
	Run    string  `json:"run,omitempty"`
	Stage  Stage   `json:"stage,omitempty"`
	Stages []Stage `json:"stages,omitempty"`
	State  State   `json:"state,omitempty"`
	// DurationSeconds is measured on this machine.
	DurationSeconds float64      `json:"durationSeconds,omitempty"`
	Transfer        *Transfer    `json:"transfer,omitempty"`
	Instruction     *Instruction `json:"instruction,omitempty"`
	// Source is the step or the pod that wrote a line.
	Source  string `json:"source,omitempty"`
	Chatter bool   `json:"chatter,omitempty"`
	// Reason is one word of Kubernetes' or Tekton's: Unschedulable, ErrImagePull.
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
	// Advice is what to do, in one line.
	Advice  string   `json:"advice,omitempty"`
	Result  *Result  `json:"result,omitempty"`
	Failure *Failure `json:"failure,omitempty"`
}

// Transfer is how much of something has been read or sent.
type Transfer struct {
	// Files is the number of files, while packing.
	Files int `json:"files,omitempty"`
	// Bytes are those so far, Total all of them; Total is zero when that is not
	// known.
	Bytes int64 `json:"bytes"`
	Total int64 `json:"total,omitempty"`
	// BytesPerSecond is the rate of late.
	BytesPerSecond int64 `json:"bytesPerSecond,omitempty"`
}

// Instruction is one instruction of the Dockerfile.
type Instruction struct {
	// Number counts from 1 to Total, over all stages of the Dockerfile.
	Number int `json:"number"`
	Total  int `json:"total"`
	// Line is where it starts in the file, from 1.
	Line int `json:"line"`
	// Text is the instruction with its continued lines joined.
	Text string `json:"text"`
	// Dockerfile is the path of the file in the source, where it is known.
	Dockerfile string `json:"dockerfile,omitempty"`
	// Cached says that its layer was in the cache.
	Cached bool `json:"cached,omitempty"`
}

// Result is what became of a build. Fields without a value are left out.
type Result struct {
	State State `json:"state"`
	// Unchanged says that the image was in the registry already: nothing was
	// built.
	Unchanged bool `json:"unchanged,omitempty"`
	// Image is the image as nodes pull it, by digest; Digest is sha256:<hex>.
	Image  string `json:"image,omitempty"`
	Digest string `json:"digest,omitempty"`
	// SizeBytes is the image's compressed size. PreviousSizeBytes is that of the
	// release before.
	SizeBytes         int64 `json:"sizeBytes,omitempty"`
	PreviousSizeBytes int64 `json:"previousSizeBytes,omitempty"`
	// Tests are the results of the tests, where they are known.
	Tests *Tests `json:"tests,omitempty"`
	// URL is where the app answers.
	URL string `json:"url,omitempty"`
	// Commit is the git commit of the source, Dirty says that files differed.
	Commit string `json:"commit,omitempty"`
	Dirty  bool   `json:"dirty,omitempty"`
	// DurationSeconds is the time of it all, Stages that of each stage.
	DurationSeconds float64     `json:"durationSeconds"`
	Stages          []StageTime `json:"stages"`
}

// Tests are the results of tests, as JUnit's XML has them.
type Tests struct {
	// Total is how many there are. Failed have found something wrong, Errors are broken,
	// Skipped were not carried out; the rest has passed.
	Total   int `json:"total"`
	Failed  int `json:"failed"`
	Errors  int `json:"errors"`
	Skipped int `json:"skipped"`
	// DurationSeconds is the time that they took.
	DurationSeconds float64 `json:"durationSeconds"`
}

// StageTime is how long a stage took.
type StageTime struct {
	Stage           Stage   `json:"stage"`
	DurationSeconds float64 `json:"durationSeconds"`
}

// Failure is why a build did not succeed; it is an error.
type Failure struct {
	// Message is the reason in one line, Advice what to do.
	Message string `json:"message"`
	Advice  string `json:"advice,omitempty"`
	Stage   Stage  `json:"stage,omitempty"`
	Reason  string `json:"reason,omitempty"`
	// Dockerfile is the Dockerfile's path in the source and Instruction the one
	// that failed.
	Dockerfile  string       `json:"dockerfile,omitempty"`
	Instruction *Instruction `json:"instruction,omitempty"`
	// Excerpt are the lines of the Dockerfile from Instruction.Line on that are the
	// instruction.
	Excerpt []string `json:"excerpt,omitempty"`
	// Step is the step, or the pod, that failed, and ExitCode its exit code.
	Step     string `json:"step,omitempty"`
	ExitCode int32  `json:"exitCode,omitempty"`
	// FailedTests are the names of the first ten tests that failed or are broken.
	FailedTests []string `json:"failedTests,omitempty"`
	// Log are the last lines that it wrote, at most 20, oldest first.
	Log []string `json:"log,omitempty"`

	cause error
}
