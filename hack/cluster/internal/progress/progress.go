// Package progress shows what the cluster tool is doing and for how long.
package progress

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// Log writes lines with the time since its start.
type Log struct {
	mutex sync.Mutex
	out   io.Writer
	start time.Time
}

// New starts a log that writes to out.
func New(out io.Writer) *Log {
	return &Log{out: out, start: time.Now()}
}

// Printf writes one line, "[ 12s] " before it.
func (l *Log) Printf(format string, args ...any) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	_, _ = fmt.Fprintf(l.out, "[%4.0fs] %s\n", time.Since(l.start).Seconds(), fmt.Sprintf(format, args...))
}

// Elapsed is the time since the start.
func (l *Log) Elapsed() time.Duration { return time.Since(l.start) }
