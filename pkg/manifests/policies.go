package manifests

import (
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// The policies of platform/pods.yaml.
const (
	imagesPolicy   = "pyflow-images"
	identityPolicy = "pyflow-identity"
)

// setPolicies tells the policies about pods what differs between clusters: where nodes pull from,
// and the namespace of Tekton. An external registry needs no policy about images: another party
// decides there who may pull, and it may have the images of others.
func setPolicies(r *renderer, objects []*unstructured.Unstructured) []*unstructured.Unstructured {
	setPolicyText(r, find(objects, policyKind, identityPolicy), "tekton", "system:serviceaccount:"+r.Config.Tekton.Namespace+":")
	if r.Config.Registry.External {
		return slices.DeleteFunc(objects, func(object *unstructured.Unstructured) bool { return object.GetName() == imagesPolicy })
	}
	setPolicyText(r, find(objects, policyKind, imagesPolicy), "registry", r.Config.Registry.NodeHost+"/")
	return objects
}

const policyKind = "ValidatingAdmissionPolicy"

// setPolicyText gives a variable of a policy a text. The text is a host or a namespace, and has no
// quotes.
func setPolicyText(r *renderer, policy *unstructured.Unstructured, name, value string) {
	path := []string{"spec", "variables"}
	variables, _, err := unstructured.NestedSlice(policy.Object, path...)
	if err != nil && r.err == nil {
		r.err = err
	}
	for _, item := range variables {
		if variable, ok := item.(map[string]any); ok && variable["name"] == name {
			variable["expression"] = "'" + value + "'"
		}
	}
	r.set(policy, variables, path...)
}
