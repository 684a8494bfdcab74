package console

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/console/live"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/console/view"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/images"
)

// chosen is an image as the address of a comparison names it.
type chosen struct{ namespace, app, digest string }

// parseChosen reads NAMESPACE/APP@DIGEST. It returns nil for another text.
func parseChosen(text string) *chosen {
	path, digest, ok := strings.Cut(text, "@")
	namespace, app, split := strings.Cut(path, "/")
	if !ok || !split || namespace == "" || app == "" || strings.Contains(app, "/") || !strings.HasPrefix(digest, "sha256:") {
		return nil
	}
	return &chosen{namespace, app, digest}
}

func (c chosen) String() string { return c.namespace + "/" + c.app + "@" + c.digest }

// registryCompare shows two images side by side.
func (s *registryViews) registryCompare(ctx context.Context, r *http.Request) (*page, error) {
	query := r.URL.Query()
	sides := [2]*chosen{parseChosen(query.Get("a")), parseChosen(query.Get("b"))}
	var contents [2]*live.Content
	var problems []view.Problem
	for i, name := range []string{"a", "b"} {
		side := sides[i]
		if side == nil {
			if text := query.Get(name); text != "" {
				problems = append(problems, view.Problem{Message: fmt.Sprintf("%q is not of the form NAMESPACE/APP@DIGEST", text)})
			}
			continue
		}
		content, err := s.registry.Image(ctx, side.namespace, side.app, side.digest)
		if err == nil {
			err = s.inScope(side.namespace)
		}
		switch {
		case err != nil:
			problems = append(problems, *s.problem(err))
		case content.Config == nil:
			problems = append(problems, view.Problem{Message: side.String() + " is for several platforms", Advice: "choose the image of one platform on its page"})
		default:
			contents[i] = content
		}
	}
	return s.registryPage(r, func(ctx context.Context) (view.Page, error) {
		_, frame := s.registryFrame()
		model := &view.Comparison{Problems: problems, Choices: s.choices(sides), Reading: frame.Reading}
		for i, side := range []**view.Side{&model.A, &model.B} {
			if sides[i] == nil {
				continue
			}
			text := []*string{&model.ChosenA, &model.ChosenB}[i]
			*text = sides[i].String()
			if contents[i] != nil {
				*side = s.side(ctx, *sides[i], contents[i])
			}
		}
		model.Compare()
		return view.Page{Title: "Compare images", Section: "registry", Template: "registry-compare", Model: model}, nil
	}), nil
}

// side returns one of two images.
func (s *registryViews) side(ctx context.Context, c chosen, content *live.Content) *view.Side {
	side := &view.Side{Image: *s.imageModel(ctx, c.namespace, c.app, c.digest, content), Full: s.analysis(c.digest)}
	if side.Analyze != nil {
		action := s.analyzeAction(ctx, c.namespace, c.app, c.digest, "Analyze "+display.Digest(c.digest, false))
		side.Analyze = &action
	}
	return side
}

// choices returns the newest images of the apps that are compared, and those that are chosen.
func (s *registryViews) choices(sides [2]*chosen) []view.Choice {
	stored, _, _ := s.registry.State()
	apps, wanted, listed := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, side := range sides {
		if side != nil {
			apps[side.namespace+"/"+side.app], wanted[side.String()] = true, true
		}
	}
	var choices []view.Choice
	for _, row := range s.registryRows(stored, func(image images.Image) bool { return apps[image.Namespace+"/"+image.App] || len(apps) == 0 }) {
		value := chosen{row.Namespace, row.App, row.Digest}.String()
		if len(choices) >= maxChoices && !wanted[value] {
			continue
		}
		label := row.App + " " + display.JoinMax(row.Tags, 2) + " · " + display.Bytes(row.Bytes) + " · " + display.Age(metav1.NewTime(row.Created), time.Now())
		if len(apps) == 0 {
			label = row.Namespace + " / " + label
		}
		choices, listed[value] = append(choices, view.Choice{Value: value, Label: label}), true
	}
	for _, side := range sides {
		if side != nil && !listed[side.String()] {
			choices = append(choices, view.Choice{Value: side.String(), Label: side.app + " " + display.Digest(side.digest, false)})
		}
	}
	return choices
}
