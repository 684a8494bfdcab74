package view

import (
	"fmt"
	"slices"
	"time"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/status"
)

// expirySoon is how long before its end a certificate is marked.
const expirySoon = 30 * 24 * time.Hour

// Platform is the model of the platform.
type Platform struct {
	// Ready is false until it has been read once. Reading reports that it is being read.
	Ready, Reading bool
	Read           time.Time
	Problem        *Problem

	Healthy bool
	// Summary is the health in one line.
	Summary string
	// Setup is the version of the plugin that ran setup, Registry the registry as nodes know
	// it, Tekton which Tekton Pipelines runs the builds, Access how nodes reach the registry.
	Setup, Registry, Tekton, Access string
	Parts                           []Part
	Nodes                           []Node
	NodesDenied                     string
	// Namespaces are the parts for namespaces; Others counts the prepared ones that are not
	// among them.
	Namespaces []Part
	Others     int
}

// Part is a part of the platform.
type Part struct {
	status.Part
	// State is its health in a word, Tone the class of its color.
	State, Tone string
	// Expires is how long its certificate is valid; empty if it has none. ExpiresTone is the
	// class of its color; empty for plain text.
	Expires, ExpiresTone string
}

// Node is a node of the cluster.
type Node struct {
	status.Node
	State, Tone string
	// Proof is what is known of whether it can pull from the registry, ProofTone the class of
	// its color.
	Proof, ProofTone string
}

// NewPlatform returns the model of a report at a time. It is pure.
func NewPlatform(report *status.Report, now time.Time) Platform {
	model := Platform{Ready: true, Setup: report.Version, Registry: report.Registry, NodesDenied: report.NodesDenied}
	model.Tekton = report.Tekton.Version
	if report.Tekton.Adopted {
		model.Tekton += ", which setup found here"
	}
	model.Access = string(report.NodeAccess.Mode)
	if model.Access == "" {
		model.Access = string(manifests.NodeAccessHostPort)
	}
	if report.NodeAccess.Proven {
		model.Access += ", proven by setup: every node pulled an image"
	} else {
		model.Access += ", not proven: run setup"
	}
	for _, one := range report.Parts {
		if one.Name == manifests.NodeAccessName && one.Healthy {
			one.Message = "" // it is the mode
		}
		part := newPart(one, now)
		if one.Name == "namespace" {
			model.Namespaces = append(model.Namespaces, part)
		} else {
			model.Parts = append(model.Parts, part)
		}
	}
	model.Others = len(slices.DeleteFunc(slices.Clone(report.Namespaces), func(name string) bool {
		return slices.ContainsFunc(model.Namespaces, func(part Part) bool { return part.Namespace == name })
	}))
	for _, node := range report.Nodes {
		model.Nodes = append(model.Nodes, newNode(node, report.NodeAccess))
	}
	model.Healthy, model.Summary = Health(report)
	return model
}

// Health returns the health of the platform in one line.
func Health(report *status.Report) (healthy bool, line string) {
	return (&status.Status{Platform: report.Parts}).PlatformSummary()
}

func newPart(one status.Part, now time.Time) Part {
	part := Part{Part: one, State: "Unhealthy", Tone: toneBad}
	switch {
	case one.Unknown:
		part.State, part.Tone = "Unknown", toneIdle
	case one.Healthy:
		part.State, part.Tone = "Healthy", toneGood
	}
	if one.CertificateExpires == nil {
		return part
	}
	date, left := one.CertificateExpires.Format(time.DateOnly), one.CertificateExpires.Sub(now)
	switch days := int(left.Hours() / 24); {
	case left <= 0:
		part.Expires, part.ExpiresTone = "expired on "+date, toneBad
	case left < expirySoon:
		part.Expires, part.ExpiresTone = fmt.Sprintf("%s, in %s", date, display.Count(days, "day")), toneBusy
	default:
		part.Expires = fmt.Sprintf("%s, in %s", date, display.Count(days, "day"))
	}
	return part
}

func newNode(one status.Node, through manifests.NodeAccessConfig) Node {
	node := Node{Node: one, State: "Ready", Tone: toneGood}
	if !one.Ready {
		node.State, node.Tone = "Not ready", toneBad
	}
	switch {
	case !one.Linux:
		node.Proof, node.ProofTone = "Runs no images of builds: it is no Linux node", toneIdle
	case one.Served != nil && !*one.Served && one.Ready:
		node.Proof, node.ProofTone = "No ready pod of node-access: it cannot pull", toneBad
	case one.Pulled > 0:
		node.Proof, node.ProofTone = fmt.Sprintf("Has %s of the registry", display.Count(one.Pulled, "image")), toneGood
	case through.Proven:
		node.Proof, node.ProofTone = "Proven by setup, if the node was there", toneGood
	default:
		node.Proof, node.ProofTone = "Not proven: run setup", toneBusy
	}
	return node
}
