package status

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// AppListKind is the kind of an AppList. Its APIVersion is that of Status.
const AppListKind = "AppList"

// AppList lists apps by namespace and name. Its JSON form is documented in docs/output.md.
type AppList struct {
	metav1.TypeMeta `json:",inline"`
	// Items is never nil.
	Items []App `json:"items"`
}

var _ runtime.Object = (*AppList)(nil)

// NewAppList returns the list of apps.
func NewAppList(apps []App) *AppList {
	return &AppList{TypeMeta: metav1.TypeMeta{Kind: AppListKind, APIVersion: APIVersion}, Items: append([]App{}, apps...)}
}

// DeepCopyObject makes AppList an object that kubectl's printers accept.
func (l *AppList) DeepCopyObject() runtime.Object {
	c := *l
	c.Items = slices.Clone(l.Items)
	for i := range c.Items {
		c.Items[i].Workloads = slices.Clone(l.Items[i].Workloads)
	}
	return &c
}

// Address returns the URL of an app if it answers, otherwise how to open the app.
func (a App) Address() string {
	switch {
	case a.Reach != "":
		return "kubectl pyflow open " + a.Name
	case a.URL == "":
		return "<none>"
	}
	return a.URL
}

// State returns the state of an app in a word, with the reason of Kubernetes in parentheses for
// one that has a problem.
func (a App) State() string {
	switch {
	case a.Healthy && a.Desired == 0:
		return "Stopped"
	case a.Healthy && a.Message != "":
		return "RollingOut"
	case a.Healthy:
		return "Healthy"
	case a.Reason != "":
		return "Unhealthy (" + a.Reason + ")"
	}
	return "Unhealthy"
}
