package platform

// Progress receives the progress of an installation or a removal. Its methods are
// called from one goroutine at a time, except Update.
type Progress interface {
	// Start reports that a step has started. The caller ends the step with done,
	// which takes a short result, or the error that the step failed with.
	Start(name string) (done func(result string, err error))
	// Update replaces the description of the running step.
	Update(text string)
	// Print reports one line.
	Print(line string)
	// Log reports lines of a container's log.
	Log(source string, lines ...string)
}
