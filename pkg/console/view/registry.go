package view

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/console/live"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/images"
)

// Registry is the model of the repositories of the scope.
type Registry struct {
	Apps []RegistryApp
	// Matching counts the apps that match Text, All those that there are.
	Matching, All int
	Pager         Pager
	Text          string
	// Total is what all apps store together.
	Total images.Stored
	RegistryFrame
}

// RegistryFrame is what the views of the registry have in common.
type RegistryFrame struct {
	// Host is the address of the registry for pods; External reports that others run it.
	Host     string
	External bool
	// Ready reports that the registry has been read once, at the time Read.
	Ready bool
	Read  time.Time
	// Reading says how far a read is; empty if there is none.
	Reading string
	// Part is how much of it is done, in percent.
	Part    float64
	Problem *Problem
	// Notes are what the user may not read.
	Notes []string
	// Prune is the path of the view of a prune; empty if the registry is not ours.
	Prune          string
	ManyNamespaces bool
}

// RegistryApp is the repository of an app.
type RegistryApp struct {
	images.AppStored
	Path string
	// Newest is the newest image, Running are those that workloads run now.
	Newest  *RegistryImage
	Running []RegistryImage
	// Width is its share of the largest app, in percent.
	Width float64
}

// RegistryImage is one image of an app.
type RegistryImage struct {
	Namespace, App string
	Tags           []string
	Digest, Path   string
	Bytes          int64
	// Width is its size in percent of the largest one of the list.
	Width float64
	// Created is zero if it is not known.
	Created  time.Time
	Platform string
	Users    []RegistryUser
	// Run built it; nil if it is not on record. RunPath is its view.
	Run     *status.Run
	RunPath string
}

// RegistryUser is what uses an image.
type RegistryUser struct {
	// Text is <resource>/<name>, with the namespace if it is another one.
	Text string
	// Path is the view of its YAML; empty if the console does not show it.
	Path string
	// Previous reports that only a rollback would run the image.
	Previous bool
}

// RegistryAppImages is the model of the images of one app.
type RegistryAppImages struct {
	Namespace, App string
	Images         []RegistryImage
	Matching, All  int
	Pager          Pager
	Text           string
	Stored         images.Stored
	// Delete deletes those that the user selects; nil for a registry that is not the platform's.
	Delete *Action
	RegistryFrame
}

// NewRegistryFrame returns what the views have in common of what is read. Problem and Prune
// are left to the caller.
func NewRegistryFrame(stored *live.Stored, reading live.Reading) RegistryFrame {
	frame := RegistryFrame{}
	if stored != nil {
		frame.Ready, frame.Read = true, stored.Read
		frame.Host, frame.External = stored.Config.Host, stored.Config.External
		frame.Notes = notes(stored.Images.Warnings)
	}
	switch {
	case !reading.Active:
	case reading.Waiting != nil:
		frame.Reading = "Waiting for the registry, which is restarting or being cleaned up: " + display.OneLine(reading.Waiting.Error())
	case reading.Total > 0:
		frame.Reading = fmt.Sprintf("Reading %s of %s…", humanize.Comma(int64(reading.Done)), display.Count(reading.Total, "tag"))
		frame.Part = share(int64(reading.Done), int64(reading.Total))
	default:
		frame.Reading = "Reading the registry…"
	}
	return frame
}

// notes returns warnings as sentences.
func notes(warnings []string) []string {
	texts := make([]string, len(warnings))
	for i, warning := range warnings {
		texts[i] = strings.ToUpper(warning[:1]) + warning[1:] + "."
	}
	return texts
}

// share returns a part in percent of the whole.
func share(part, whole int64) float64 {
	if whole <= 0 {
		return 0
	}
	return min(100, 100*float64(part)/float64(whole))
}

// NewRegistryImages returns the images of a list in its order, the newest of an app first.
func NewRegistryImages(list []images.Image, platform func(digest string) string, runs []status.Run) []RegistryImage {
	byDigest := map[string][]status.Run{}
	for _, run := range runs {
		if run.Digest != "" {
			byDigest[run.Digest] = append(byDigest[run.Digest], run)
		}
	}
	all := make([]RegistryImage, len(list))
	for i, image := range list {
		row := RegistryImage{
			Namespace: image.Namespace, App: image.App, Tags: image.Tags, Digest: image.Digest, Bytes: image.SizeBytes,
			Path: Path("registry", image.Namespace, image.App, image.Digest), Users: registryUsers(image),
			Platform: platform(image.Digest),
		}
		if image.Created != nil {
			row.Created = image.Created.Time
		}
		if row.Run = live.BuiltBy(byDigest[image.Digest], image.Namespace, image.App, image.Digest, image.Tags); row.Run != nil {
			row.RunPath = Path("runs", row.Run.Namespace, row.Run.Name)
		}
		all[i] = row
	}
	return all
}

// registryUsers returns what uses an image, what runs it now first.
func registryUsers(image images.Image) []RegistryUser {
	var users []RegistryUser
	for _, user := range image.UsedBy {
		row := RegistryUser{Text: user.String(), Previous: user.Previous, Path: ObjectPath(user.Resource, user.Namespace, user.Name)}
		if user.Namespace != image.Namespace {
			row.Text += " in " + user.Namespace
		}
		users = append(users, row)
	}
	slices.SortStableFunc(users, func(a, b RegistryUser) int {
		rank := map[bool]int{true: 1}
		return cmp.Compare(rank[a.Previous], rank[b.Previous])
	})
	return users
}

// ObjectPath returns the view of an object whose resource is <kind>.<group> in lower case;
// empty if the console does not show it.
func ObjectPath(resource, namespace, name string) string {
	kind, group, _ := strings.Cut(resource, ".")
	switch kind {
	case "pod", "deployment", "statefulset", "daemonset", "pipelinerun", "taskrun":
		return Path("objects", namespace, strings.TrimSuffix(kind+"s."+group, "."), name)
	}
	return ""
}

// Scale sets the width of rows to their share of the largest one.
func Scale(rows []RegistryImage) []RegistryImage {
	var largest int64
	for _, row := range rows {
		largest = max(largest, row.Bytes)
	}
	for i := range rows {
		rows[i].Width = share(rows[i].Bytes, largest)
	}
	return rows
}

// Mentions reports whether an image has a text in its tags, digest, commit, platform, run or
// users.
func (i RegistryImage) Mentions(text string) bool {
	fields := append([]string{i.Digest, i.Platform}, i.Tags...)
	if i.Run != nil {
		fields = append(fields, i.Run.Name, i.Run.Commit)
	}
	for _, user := range i.Users {
		fields = append(fields, user.Text)
	}
	return Mentions(text, fields...)
}

// NewRegistryApps returns the repositories of apps, the largest first.
func NewRegistryApps(stored []images.AppStored, rows []RegistryImage) []RegistryApp {
	apps := make([]RegistryApp, len(stored))
	number := map[string]int{}
	var largest int64
	for i, app := range stored {
		apps[i] = RegistryApp{AppStored: app, Path: Path("registry", app.Namespace, app.App)}
		number[app.Namespace+"/"+app.App] = i
		largest = max(largest, app.TotalBytes)
	}
	for _, row := range rows {
		i, ok := number[row.Namespace+"/"+row.App]
		if !ok {
			continue
		}
		if apps[i].Newest == nil {
			apps[i].Newest = &row
		}
		if slices.ContainsFunc(row.Users, func(user RegistryUser) bool { return !user.Previous }) {
			apps[i].Running = append(apps[i].Running, row)
		}
	}
	apps = slices.DeleteFunc(apps, func(app RegistryApp) bool { return app.TotalBytes == 0 })
	for i := range apps {
		apps[i].Width = share(apps[i].TotalBytes, largest)
	}
	slices.SortStableFunc(apps, func(a, b RegistryApp) int { return cmp.Compare(b.TotalBytes, a.TotalBytes) })
	return apps
}

// Prune is the model of a prune before it is made.
type Prune struct {
	// Keep and Cache are the settings, Namespace is the scope; empty for all namespaces.
	Keep, Namespace string
	Cache           bool
	// Result is what would go; nil until it is known. Rows are those of a page.
	Result   *images.Pruned
	Rows     []images.Pruning
	Pager    Pager
	Progress string
	Problem  *Problem
	Kinds    []PruneKind
	Action   Action
	// Commit is the command of the preview.
	Command string
}

// PruneKind is how much of one kind goes.
type PruneKind struct {
	Name  string
	Count int
	Bytes int64
}

// NewPruneKinds returns how much of each kind goes, without kinds of which nothing goes.
func NewPruneKinds(pruned *images.Pruned) []PruneKind {
	var kinds []PruneKind
	for _, kind := range []images.Kind{images.Images, images.Contexts, images.Cache, images.Comparisons} {
		row := PruneKind{Name: KindName(kind)}
		for _, pruning := range pruned.Deleted {
			if pruning.Kind == kind {
				row.Count++
				row.Bytes += pruning.SizeBytes
			}
		}
		if row.Count > 0 {
			kinds = append(kinds, row)
		}
	}
	return kinds
}

// KindName returns what a kind of content is called.
func KindName(kind images.Kind) string {
	return map[images.Kind]string{
		images.Images: "Images", images.Contexts: "Build contexts", images.Cache: "Cached layers",
		images.Comparisons: "Comparisons",
	}[kind]
}

// kindOf returns what one thing of a kind is called.
func kindOf(kind images.Kind) string {
	return map[images.Kind]string{
		images.Images: "image", images.Contexts: "build context", images.Cache: "cached layer", images.Comparisons: "comparison",
	}[kind]
}
