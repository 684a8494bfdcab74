package console

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/console/live"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/console/view"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/images"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/inspect"
)

// refreshHeader is in the request for a view that the user wants to be read again.
const refreshHeader = "Pyflow-Refresh"

// maxChoices is how many images of an app a comparison offers.
const maxChoices = 200

// registryViews are the views of the registry.
type registryViews struct {
	*Server
	registry *live.Registry
	// dockerfiles are those of runs, a recordedDockerfile by NAMESPACE/NAME.
	dockerfiles sync.Map
	previewed   previewed
}

// registryPage returns a page of the registry, which is kept up to date while it is open.
func (s *registryViews) registryPage(r *http.Request, render func(context.Context) (view.Page, error)) *page {
	if r.Header.Get(refreshHeader) != "" {
		s.registry.Refresh()
	}
	return &page{
		changed: s.registry.Changed, close: s.registry.View(), render: render,
	}
}

// registryFrame returns what is read, and what all views of it show.
func (s *registryViews) registryFrame() (*live.Stored, view.RegistryFrame) {
	stored, reading, err := s.registry.State()
	frame := view.NewRegistryFrame(stored, reading)
	frame.Problem, frame.ManyNamespaces = s.problem(err), s.cluster.Namespace() == ""
	if frame.ManyNamespaces && errors.As(err, new(*access.MissingError)) {
		frame.Problem.Advice += "; or open the console for a namespace of yours: kubectl pyflow ui --namespace NAMESPACE"
	}
	if stored != nil && !stored.Config.External {
		frame.Prune = "/registry/prune"
	}
	return stored, frame
}

// registryRows returns the images of the scope that keep returns true for.
func (s *registryViews) registryRows(stored *live.Stored, keep func(images.Image) bool) []view.RegistryImage {
	if stored == nil {
		return nil
	}
	runs, _, _ := s.cluster.Runs(time.Now())
	var found []images.Image
	for _, image := range stored.Images.Items {
		if keep(image) {
			found = append(found, image)
		}
	}
	return view.NewRegistryImages(found, func(digest string) string {
		if manifest := stored.Manifest(digest); manifest != nil {
			return s.platformOf(manifest, stored)
		}
		return ""
	}, runs)
}

// platformOf returns the platform of an image, or those of an index.
func (s *registryViews) platformOf(manifest *images.Manifest, stored *live.Stored) string {
	if len(manifest.Children) == 0 {
		return s.registry.Platform(manifest)
	}
	var platforms []string
	for _, child := range manifest.Children {
		if found := stored.Manifest(child.Digest); found != nil {
			if platform := s.registry.Platform(found); platform != "" && !strings.HasPrefix(platform, "unknown/") {
				platforms = append(platforms, platform)
			}
		}
	}
	return strings.Join(platforms, ", ")
}

// registryApps shows the repositories of the scope.
func (s *registryViews) registryApps(_ context.Context, r *http.Request) (*page, error) {
	query := r.URL.Query()
	return s.registryPage(r, func(context.Context) (view.Page, error) {
		stored, frame := s.registryFrame()
		model := view.Registry{Text: query.Get("q"), RegistryFrame: frame}
		if stored != nil {
			model.Total = stored.Total
			rows := s.registryRows(stored, func(images.Image) bool { return true })
			apps := view.NewRegistryApps(stored.Apps, rows)
			model.All = len(apps)
			apps = slices.DeleteFunc(apps, func(app view.RegistryApp) bool {
				return !view.Mentions(model.Text, app.Namespace+"/"+app.App)
			})
			model.Matching = len(apps)
			model.Apps, model.Pager = view.Paginate(apps, listSize, "/registry", query)
		}
		return view.Page{Title: "Registry", Section: "registry", Template: "registry", Model: model}, nil
	}), nil
}

// registryApp shows the images of an app.
func (s *registryViews) registryApp(_ context.Context, r *http.Request) (*page, error) {
	query, namespace, app := r.URL.Query(), r.PathValue("namespace"), r.PathValue("app")
	if err := s.inScope(namespace); err != nil {
		return nil, err
	}
	return s.registryPage(r, func(ctx context.Context) (view.Page, error) {
		stored, frame := s.registryFrame()
		model := view.RegistryAppImages{Namespace: namespace, App: app, Text: query.Get("q"), RegistryFrame: frame}
		rows := s.registryRows(stored, func(image images.Image) bool { return image.Namespace == namespace && image.App == app })
		model.All = len(rows)
		if stored != nil && !stored.Config.External {
			model.Delete = deleteSelected(ctx, s.Server, stored, namespace)
		}
		if stored != nil {
			for _, sum := range stored.Apps {
				if sum.Namespace == namespace && sum.App == app {
					model.Stored = sum.Stored
				}
			}
		}
		rows = slices.DeleteFunc(rows, func(row view.RegistryImage) bool { return !row.Mentions(model.Text) })
		model.Matching = len(rows)
		model.Images, model.Pager = view.Paginate(view.Scale(rows), listSize, view.Path("registry", namespace, app), query)
		return view.Page{Title: app + " in the registry", Section: "registry", Template: "registry-app", Model: model}, nil
	}), nil
}

// errScope reports a namespace that the console does not show.
var errScope = errors.New("the console shows another namespace: start it with --namespace or -A")

func (s *registryViews) inScope(namespace string) error {
	if scope := s.cluster.Namespace(); scope != "" && scope != namespace {
		return errScope
	}
	return nil
}

// registryImage shows one image.
func (s *registryViews) registryImage(ctx context.Context, r *http.Request) (*page, error) {
	namespace, app, digest := r.PathValue("namespace"), r.PathValue("app"), r.PathValue("digest")
	if err := s.inScope(namespace); err != nil {
		return nil, err
	}
	content, err := s.registry.Image(ctx, namespace, app, digest)
	if err != nil {
		return nil, err
	}
	return s.registryPage(r, func(ctx context.Context) (view.Page, error) {
		model := s.imageModel(ctx, namespace, app, digest, content)
		return view.Page{Title: app + " " + display.Digest(digest, false), Section: "registry", Template: "registry-image", Model: model}, nil
	}), nil
}

// imageModel returns the model of one image.
func (s *registryViews) imageModel(ctx context.Context, namespace, app, digest string, content *live.Content) *view.Image {
	stored, frame := s.registryFrame()
	model := &view.Image{
		RegistryImage: view.RegistryImage{Namespace: namespace, App: app, Digest: digest, Path: view.Path("registry", namespace, app, digest)},
		AppPath:       view.Path("registry", namespace, app), Notes: frame.Notes, Listed: stored != nil,
	}
	if rows := s.registryRows(stored, func(image images.Image) bool {
		return image.Namespace == namespace && image.App == app && image.Digest == digest
	}); len(rows) > 0 {
		model.RegistryImage = rows[0]
	}
	var manifest *images.Manifest
	if stored != nil {
		model.Reference = stored.Config.NodeRepository(namespace, app) + "@" + digest
		if manifest = stored.Image(namespace, app, digest); manifest == nil {
			model.Missing = "The registry no longer lists this image."
		}
	}
	if content.Config == nil {
		model.Platforms = s.platforms(stored, namespace, app, content)
	} else {
		model.Platform, model.Created = content.Config.Platform(), content.Config.Created
		model.Config, model.Env, model.Labels = view.NewConfig(content.Config)
		analysis := s.analysis(digest)
		model.Layers = view.NewLayers(inspect.Layers(s.recorded(ctx, model, content)), analysis)
		model.Analysis = view.NewImageContent(analysis)
		model.Bytes = layerBytes(content)
		if analysis == nil && model.Missing == "" {
			action := s.analyzeAction(ctx, namespace, app, digest, "")
			model.Analyze = &action
		}
		model.Compare = "/registry/compare?" + url.Values{"b": {namespace + "/" + app + "@" + digest}}.Encode()
	}
	if stored != nil && manifest != nil && !stored.Config.External {
		model.Actions = s.deleteActions(ctx, stored, namespace, app, manifest, model.Users)
	}
	return model
}

// layerBytes is the size of the layers of an image, each once.
func layerBytes(content *live.Content) int64 {
	var sum int64
	seen := map[string]bool{}
	for _, layer := range content.Manifest.Layers {
		if !seen[layer.Digest] {
			sum += layer.Size
		}
		seen[layer.Digest] = true
	}
	return sum
}

// platforms returns the images of an index.
func (s *registryViews) platforms(stored *live.Stored, namespace, app string, content *live.Content) []view.RegistryImage {
	var rows []view.RegistryImage
	for _, child := range content.Manifest.Children {
		row := view.RegistryImage{Namespace: namespace, App: app, Digest: child.Digest, Bytes: child.Size, Path: view.Path("registry", namespace, app, child.Digest)}
		if stored != nil {
			if manifest := stored.Image(namespace, app, child.Digest); manifest != nil {
				row.Platform, row.Created = s.registry.Platform(manifest), manifest.Created
				row.Bytes = 0
				for _, layer := range manifest.Layers {
					row.Bytes += layer.Size
				}
			}
		}
		rows = append(rows, row)
	}
	return view.Scale(rows)
}

// recordedDockerfile is the Dockerfile that a run keeps, and the stage that it built.
type recordedDockerfile struct {
	file   *dockerfile.Dockerfile
	target string
}

// recorded returns an image with the Dockerfile of the run that built it, if it is on record.
func (s *registryViews) recorded(ctx context.Context, model *view.Image, content *live.Content) inspect.Image {
	image := inspect.Image{Manifest: content.Manifest, Config: content.Config}
	if model.Run == nil {
		return image
	}
	key := model.Run.Namespace + "/" + model.Run.Name
	if known, ok := s.dockerfiles.Load(key); ok {
		if recorded, ok := known.(recordedDockerfile); ok {
			image.Dockerfile, image.Target = recorded.file, recorded.target
			return image
		}
	}
	// Without it the layers have no lines.
	run, err := s.options.Clients.Tekton.TektonV1().PipelineRuns(model.Run.Namespace).Get(ctx, model.Run.Name, metav1.GetOptions{})
	if err != nil {
		return image
	}
	image.Dockerfile, image.Target = inspect.Recorded(run)
	s.dockerfiles.Store(key, recordedDockerfile{image.Dockerfile, image.Target})
	return image
}

// analysis returns what an image is made of; nil if it is not analyzed.
func (s *registryViews) analysis(digest string) *inspect.Analysis {
	content := s.registry.Cache().Analysis(digest)
	if content == nil {
		return nil
	}
	analysis := &inspect.Analysis{}
	if err := json.Unmarshal(content, analysis); err != nil || analysis.Kind != inspect.Kind || analysis.Digest != digest {
		return nil
	}
	return analysis
}

// analyzeAction returns the action that finds out what an image is made of.
func (s *registryViews) analyzeAction(ctx context.Context, namespace, app, digest, label string) view.Action {
	return s.action(ctx, view.Action{
		Name: "analyze", ID: "analyze-" + strings.TrimPrefix(digest, "sha256:")[:12], Label: cmp.Or(label, "Analyze"), Title: "Analyze the image",
		Text:   "A pod in the cluster lists the files of the image. Packages, the largest files and what is wasted are shown here; the result is kept on this machine.",
		Fields: fields("namespace", namespace, "image", app+"@"+digest),
	}, createRuns(namespace), access.Permission{Verb: "get", Resource: "secrets", Namespace: namespace, Name: manifests.RegistrySecret})
}

// deleteActions returns the actions that delete an image, and each tag of several.
func (s *registryViews) deleteActions(ctx context.Context, stored *live.Stored, namespace, app string, manifest *images.Manifest, users []view.RegistryUser) []view.Action {
	needs := images.RemovePermissions(stored.Config, namespace)
	force := view.Input{Name: "force", Kind: "checkbox", Label: "Delete it even if the cluster uses it"}
	text := "The image goes with all of its tags. Its space is free after the next prune."
	if len(users) > 0 {
		text = "The cluster uses this image: pods that start on another node could not pull it any more. " + text
	}
	all := []view.Action{s.action(ctx, view.Action{
		Name: "delete-image", ID: "delete", Label: "Delete", Title: "Delete image " + display.Digest(manifest.Digest, false) + "?", Danger: true, Text: text,
		Fields: fields("namespace", namespace, "image", app+"@"+manifest.Digest), Inputs: []view.Input{force},
	}, needs...)}
	if len(manifest.Tags) < 2 {
		return all
	}
	for i, tag := range manifest.Tags[:min(len(manifest.Tags), 20)] {
		all = append(all, s.action(ctx, view.Action{
			Name: "delete-image", ID: "delete-tag-" + strconv.Itoa(i), Label: "Delete tag " + tag, Title: "Delete tag " + tag + "?", Danger: true,
			Text:   "The image stays with its other tags.",
			Fields: fields("namespace", namespace, "image", app+":"+tag), Inputs: []view.Input{force},
		}, needs...))
	}
	return all
}

// deleteSelected returns the action that deletes the images that the user selects.
func deleteSelected(ctx context.Context, s *Server, stored *live.Stored, namespace string) *view.Action {
	action := s.action(ctx, view.Action{
		Name: "delete-images", Label: "Delete", Title: "Delete the selected images?", Danger: true,
		Text:   "The images go with all of their tags. If the cluster uses one of them, none is deleted. Their space is free after the next prune.",
		Fields: fields("namespace", namespace),
		Inputs: []view.Input{{Name: "force", Kind: "checkbox", Label: "Delete those that the cluster uses, too"}},
	}, images.RemovePermissions(stored.Config, namespace)...)
	return &action
}

// registryActions are the actions of the registry.
func (s *registryViews) registryActions() map[string]action {
	return map[string]action{
		"analyze": {
			args: func(form url.Values) ([]string, error) {
				args, err := onImage("inspect", form)
				return append(args, "--output=json"), err
			},
			done: func(form url.Values, out string) {
				_, digest, _ := strings.Cut(form.Get("image"), "@")
				s.registry.Keep(digest, []byte(out))
			},
		},
		"delete-image": {
			args: func(form url.Values) ([]string, error) {
				args, err := onImage("delete", form)
				if form.Get("force") != "" {
					args = append(args, "--force")
				}
				return append(args, "--yes"), err
			},
			done: func(url.Values, string) {
				s.previewed.set(nil, nil)
				s.registry.Refresh()
			},
			to: func(form url.Values, _ string) string {
				app, digest, _ := strings.Cut(form.Get("image"), "@")
				if digest == "" {
					return "" // the image stays
				}
				return view.Path("registry", form.Get("namespace"), app)
			},
		},
		"delete-images": {
			args: func(form url.Values) ([]string, error) {
				args, err := onImages("delete", form)
				if form.Get("force") != "" {
					args = append(args, "--force")
				}
				return append(args, "--yes"), err
			},
			done: func(url.Values, string) {
				s.previewed.set(nil, nil)
				s.registry.Refresh()
			},
		},
		"prune": {
			args: pruneArgs,
			done: func(url.Values, string) {
				s.previewed.set(nil, nil)
				s.registry.Refresh()
			},
			to: func(url.Values, string) string { return "/registry" },
		},
	}
}

// onImage returns a command for one image, with its operand last but for flags.
func onImage(verb string, form url.Values) ([]string, error) {
	if len(form["image"]) != 1 {
		return nil, errors.New("the image is not named")
	}
	return onImages(verb, form)
}

// onImages returns a command for one or more images, with its operands last but for flags.
func onImages(verb string, form url.Values) ([]string, error) {
	args := []string{"images", verb}
	for _, image := range form["image"] {
		name, err := images.ParseName(image)
		if err != nil || name.App == "" || strings.HasPrefix(name.App, "-") {
			return nil, errors.New("the image is not named")
		}
		args = append(args, name.String())
	}
	if len(form["image"]) == 0 || form.Get("namespace") == "" {
		return nil, errors.New("no image is selected")
	}
	return append(args, "--namespace="+form.Get("namespace")), nil
}

// pruneArgs returns the command that prunes, without a dry run.
func pruneArgs(form url.Values) ([]string, error) {
	keep, err := strconv.Atoi(cmp.Or(strings.TrimSpace(form.Get("keep")), defaultKeep))
	if err != nil || keep < 0 {
		return nil, errors.New("how many images of each app stay is not a number")
	}
	args := []string{"images", "prune", "--keep=" + strconv.Itoa(keep)}
	if form.Get("cache") != "" {
		args = append(args, "--cache")
	}
	if namespace := form.Get("namespace"); namespace != "" {
		return append(args, "--namespace="+namespace), nil
	}
	return append(args, "--all-namespaces"), nil
}
