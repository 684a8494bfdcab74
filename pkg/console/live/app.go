package live

import (
	"k8s.io/client-go/kubernetes"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/app/applog"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/podlog"
)

const (
	// pastLines is how many of the last lines of a container that runs already are shown.
	pastLines = 1000
	// MaxReplicas is how many replicas the log of an app reads at once.
	MaxReplicas = 50
	// maxLineBytes is how much of a line is shown.
	maxLineBytes = 16 << 10
)

// AppFollower follows the pods of one app, and keeps their logs.
type AppFollower struct {
	*applog.Follower
	// ID tells one following of an app from the next. Numbers of lines are those of one ID.
	ID string

	log Log
}

func newAppFollower(id string, client kubernetes.Interface, logs podlog.Source, namespace, pod string) *AppFollower {
	f := &AppFollower{ID: id}
	options := applog.Options{Tail: pastLines, MaxLine: maxLineBytes, MaxReplicas: MaxReplicas, Pod: pod}
	f.Follower = applog.NewFollower(client, logs, namespace, options, func(lines []applog.Line) {
		for _, line := range lines {
			kind := Plain
			if line.Note {
				kind = Sum
			}
			f.log.Append(Line{Source: line.Source, Text: line.Text, Kind: kind})
		}
	})
	return f
}

// Log is the log of the replicas, in the order of its lines' time. The source of a line is
// the end of the pod's name.
func (f *AppFollower) Log() *Log { return &f.log }
