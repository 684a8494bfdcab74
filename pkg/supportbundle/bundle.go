// Package supportbundle collects what explains a run, an app or the platform into one archive
// without secrets.
package supportbundle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/podlog"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/version"
)

const (
	// logLimit is the number of bytes that are kept from the end of a log of the run, tailLimit
	// that for any other log.
	logLimit  = 10 << 20
	tailLimit = 1 << 20
	// maxObjects limits the objects of a kind. maxEvents limits the Events of a namespace; the
	// newest are kept.
	maxObjects = 200
	maxEvents  = 1000
	// maxSecrets limits the Secrets of a namespace that are read.
	maxSecrets = 2000
	// reportedRuns is the number of last runs in status.yaml.
	reportedRuns = 20
)

// Clients are the API clients that Write needs.
type Clients struct {
	Kube    kubernetes.Interface
	Tekton  versioned.Interface
	Dynamic dynamic.Interface
	// Logs is the source of logs; nil is Kube.
	Logs podlog.Source
}

// Options select what is collected.
type Options struct {
	// Namespace is the namespace of the run and the app.
	Namespace string
	// Run is the run to explain, App the app. Without them the bundle is about the namespace
	// and the platform.
	Run *tektonv1.PipelineRun
	App string
	// Root is the directory of all files in the archive.
	Root string
	// Now is the time of the bundle.
	Now time.Time
	// Progress reports what is read; it may be nil.
	Progress func(what string)
}

// Summary describes a written bundle.
type Summary struct {
	// Files is the number of files, including README.txt.
	Files int
	// Missing lists what could not be read, and why, in the order of reading.
	Missing []string
	// Unredacted lists the namespaces of which not all Secrets could be read: the values of
	// those are not redacted.
	Unredacted []string
}

// Write writes a bundle, as docs/runs.md describes it, to w as a tar.gz. Equal states of the
// cluster give equal bytes. README.txt in the bundle names what the user may not read and what
// does not answer, neither of which is an error; errors are those of w and the end of ctx.
//
// The bundle contains no value of a Secret that the user may read: Write replaces equal text in
// objects and in logs.
func Write(ctx context.Context, clients Clients, options Options, w io.Writer) (Summary, error) {
	if clients.Logs == nil {
		clients.Logs = podlog.From(clients.Kube)
	}
	if options.Progress == nil {
		options.Progress = func(string) {}
	}
	b := &builder{
		Clients: clients, Options: options, archive: newArchive(w, options.Root, options.Now),
		scrubber: newScrubber(options.Namespace, options.App, manifests.SystemNamespace, manifests.TektonNamespace, manifests.FieldManager, "default", "pyflow"),
	}
	if options.Run != nil {
		b.scrubber.plain[options.Run.Name] = true
	}
	err := b.write(ctx)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return b.summary, err
}

// builder writes one bundle.
type builder struct {
	Clients
	Options
	archive  *archive
	scrubber *scrubber
	summary  Summary
	config   *manifests.Config
	// names are the files that were written.
	names []string
}

// file is a file of the bundle before it is scrubbed.
type file struct {
	name   string
	object map[string]any
}

// write reads all objects before it writes the first one, because any of them may reveal what
// must be redacted in the others. It reads logs last.
func (b *builder) write(ctx context.Context) error {
	secrets := b.secrets(ctx)
	files := b.facts(ctx)
	objects, pods := b.objects(ctx)
	files = slices.Concat(files, objects, secrets)
	for _, file := range files {
		b.scrubber.object(file.object)
	}
	if b.config != nil {
		for _, argument := range b.config.BuildArgs {
			b.scrubber.text("--build-arg=" + argument)
		}
	}
	b.scrubber.seal()
	slices.SortStableFunc(files, func(a, b file) int { return strings.Compare(a.name, b.name) })
	for _, file := range files {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := b.writeFile(file); err != nil {
			return err
		}
	}
	if err := b.logs(ctx, pods); err != nil {
		return err
	}
	if err := b.add("README.txt", []byte(b.readme())); err != nil {
		return err
	}
	return b.archive.close()
}

func (b *builder) writeFile(file file) error {
	b.scrubber.clean(file.object)
	text, err := yaml.Marshal(file.object)
	if err != nil {
		return fmt.Errorf("write %s: %w", file.name, err)
	}
	return b.add(file.name, text)
}

func (b *builder) add(name string, content []byte) error {
	b.summary.Files++
	b.names = append(b.names, name)
	return b.archive.add(name, content)
}

// missing records what could not be read.
func (b *builder) missing(what string, err error) {
	reason := err.Error()
	switch {
	case apierrors.IsForbidden(err):
		reason = "you do not have permission to read it"
	case errors.Is(err, context.Canceled):
		return // the user interrupts the command
	}
	if line := what + ": " + reason; !slices.Contains(b.summary.Missing, line) {
		b.summary.Missing = append(b.summary.Missing, line)
	}
}

// facts returns the files that are not objects: versions, the configuration of the platform and
// its status.
func (b *builder) facts(ctx context.Context) []file {
	b.Progress("versions and the platform")
	versions := map[string]any{"plugin": version.Version(), "time": b.Now.UTC().Format(time.RFC3339)}
	if info, err := b.Kube.Discovery().ServerVersion(); err != nil {
		b.missing("version of Kubernetes", err)
	} else {
		versions["kubernetes"] = info.GitVersion
	}
	files := []file{{"versions.yaml", versions}}
	var err error
	if b.config, err = platform.Config(ctx, b.Kube); err != nil {
		b.missing("configuration of the platform", err)
		return files
	}
	versions["tekton"] = b.config.Tekton.Version
	versions["setup"] = b.config.Version
	shown := *b.config
	shown.BuildArgs = nil
	for _, argument := range b.config.BuildArgs {
		key, _, _ := strings.Cut(argument, "=")
		if isCredential(key) {
			argument = key + "=" + redacted
		}
		shown.BuildArgs = append(shown.BuildArgs, argument)
	}
	files = b.appendValue(files, "platform/config.yaml", &shown)
	snapshot, err := status.Collect(ctx, status.Clients{Kube: b.Kube, Tekton: b.Tekton}, status.Options{Namespace: b.Namespace, Runs: reportedRuns, Now: b.Now})
	if err != nil {
		b.missing("status", err)
		return files
	}
	return b.appendValue(files, "status.yaml", snapshot)
}

// appendValue appends a file with the JSON form of a value.
func (b *builder) appendValue(files []file, name string, value any) []file {
	text, err := yaml.Marshal(value)
	object := map[string]any{}
	if err == nil {
		err = yaml.Unmarshal(text, &object)
	}
	if err != nil {
		b.missing(name, err)
		return files
	}
	return append(files, file{name, object})
}

// readme returns the index of the bundle, with what is missing in it.
func (b *builder) readme() string {
	var text strings.Builder
	about := "namespace " + b.Namespace
	if b.App != "" {
		about = "app " + b.App + " in " + about
	}
	if b.Run != nil {
		about = "run " + b.Run.Name + " of " + about
	}
	fmt.Fprintf(&text, "Support bundle of kubectl pyflow %s about %s, %s.\n", version.Version(), about, b.Now.UTC().Format(time.RFC3339))
	text.WriteString(`
` + redacted + ` replaces the values of Secrets that the collecting user may read, wherever they
appear. It also replaces passwords in URLs, Authorization headers, web tokens, and the
values of build arguments and variables that are named like credentials.
Other secrets, such as one that a program generated and printed, look like any text.
Check the files before you share this bundle.

Could not be read:
`)
	if len(b.summary.Missing) == 0 {
		text.WriteString("  nothing is missing\n")
	}
	for _, missing := range b.summary.Missing {
		fmt.Fprintln(&text, "  "+b.scrubber.scrub(missing))
	}
	text.WriteString("\nFiles:\n")
	for _, name := range b.names {
		fmt.Fprintln(&text, "  "+name)
	}
	return text.String()
}

// logName returns the name of the file for the log of a container.
func logName(directory, pod, container, suffix string) string {
	return path.Join(directory, "logs", pod, container+suffix+".log")
}
