package diagnose

import (
	"regexp"
	"strings"
)

// onlyLocal is the reason of a program that listens where only its own container reaches it.
// Kubernetes has none: it sees a probe that is refused.
const onlyLocal = "ListensOnLocalhost"

var (
	// connectionRefused is how a probe fails when nothing listens at the address of the pod.
	connectionRefused = regexp.MustCompile(`connection refused`)
	// listens is what servers log when they start.
	listens = regexp.MustCompile(`(?i)(?:running|listening|serving|started server|development server)\b.{0,24}?\b(?:on|at):?\s+(?:[a-z]+://)?([\w.*-]+|\[[0-9a-f:]*\])(?::(\d+))?`)
	local   = regexp.MustCompile(`^(?:127\.\d+\.\d+\.\d+|localhost|\[::1\])$`)
)

// listensOnLocalhost returns the address in the log of a server that listens on the loopback
// interface and on no other; ok is false if the log does not say so.
func listensOnLocalhost(log []string) (address string, ok bool) {
	for _, line := range log {
		if strings.Contains(line, "all addresses") {
			return "", false
		}
		match := listens.FindStringSubmatch(line)
		switch {
		case match == nil:
			continue
		case !local.MatchString(match[1]):
			return "", false
		case address == "":
			address = match[1]
			if match[2] != "" {
				address += ":" + match[2]
			}
		}
	}
	return address, address != ""
}

// refusedLocally returns the problem of a pod whose probe p is refused because the program
// listens on the loopback interface, as its log says.
func refusedLocally(p Problem, log []string) (Problem, bool) {
	if !connectionRefused.MatchString(p.Message) {
		return Problem{}, false
	}
	address, ok := listensOnLocalhost(log)
	if !ok {
		return Problem{}, false
	}
	p.Reason, p.Message = onlyLocal, "the program listens on "+address+", where only its own container reaches it: "+p.Message
	return New(p), true
}
