package uninstall

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
)

// maxNames is the number of names that a line lists.
const maxNames = 10

// Describe returns lines for the user about what the plan does to the cluster.
func (c *Cluster) Describe(p *Plan) []string {
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	if len(p.stages) > 0 {
		add("Will be deleted:")
	}
	for _, stage := range p.stages {
		add("  %s: %s", stage.name, display.Count(len(stage.all()), "object"))
	}
	if p.deletesTekton {
		c.describeTekton(add)
	}
	if len(c.running) > 0 && len(p.stages) > 0 {
		add("%s running and will fail: %s", be(len(c.running), "build"), display.JoinMax(c.running, maxNames))
	}
	if len(c.imageUsers) > 0 && len(p.stages) > 0 {
		add("These workloads use images of the registry. They keep running, but cannot start on a node that has to pull:")
		lines = append(lines, indent(c.imageUsers)...)
	}
	c.describeStays(p, add)
	return lines
}

func (c *Cluster) describeTekton(add func(string, ...any)) {
	runs, others := 0, map[string]int{}
	for _, instance := range c.instances {
		if isOthers(instance) {
			others[instance.GetNamespace()+"\x00"+strings.ToLower(instance.GetKind())]++
		} else if instance.GetKind() == "PipelineRun" {
			runs++
		}
	}
	if runs > 0 {
		add("Deleting Tekton's kinds deletes the history of %s.", display.Count(runs, "build"))
	}
	if len(others) > 0 {
		add("Deleting Tekton's kinds deletes these objects, which are NOT pyflow's:")
	}
	for _, key := range slices.Sorted(maps.Keys(others)) {
		namespace, kind, _ := strings.Cut(key, "\x00")
		where := "in namespace " + namespace
		if namespace == "" {
			where = "cluster-wide"
		}
		add("  %s %s", display.Count(others[key], kind), where)
	}
}

func (c *Cluster) describeStays(p *Plan, add func(string, ...any)) {
	for _, object := range p.kept {
		if isClaim(object) {
			add("%s stays with the stored images for the next setup; --purge deletes it.", kube.Describe(object))
		}
	}
	if c.config.external() {
		add("The images in the registry %s stay.", c.config.registry("host"))
	}
	tekton := 0
	for _, released := range p.released {
		if released.reason == "" {
			tekton++
			continue
		}
		add("%s stays: it %s.", kube.Describe(released.object), released.reason)
	}
	switch {
	case tekton > 0 && c.tekton != nil && !c.tekton.Managed:
		add("Tekton Pipelines in namespace %s stays (%s): another tool has taken it over.", c.tekton.Namespace, display.Count(tekton, "object"))
	case tekton > 0:
		add("Tekton Pipelines stays (%s); the next setup adopts it.", display.Count(tekton, "object"))
	case c.tekton != nil && !c.tekton.Managed:
		add("Tekton Pipelines in namespace %s stays: setup did not install it.", c.tekton.Namespace)
	}
	for _, object := range p.Objects() {
		if volume := c.retained[object.GetName()]; volume != "" && isClaim(object) {
			add("persistentvolume/%s stays with the stored images: its reclaim policy is Retain. Delete it yourself if you do not need it.", volume)
		}
	}
}

// be returns the start of a sentence: "1 build is", "2 builds are".
func be(n int, thing string) string {
	if n == 1 {
		return display.Count(n, thing) + " is"
	}
	return display.Count(n, thing) + " are"
}

func indent(items []string) []string {
	lines := make([]string, len(items))
	for i, item := range items {
		lines[i] = "  " + item
	}
	return lines
}
