package kube

import (
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Describe names an object as kubectl does: kind.group/name, with the namespace.
func Describe(object *unstructured.Unstructured) string {
	kind := strings.ToLower(object.GetKind())
	if group := object.GroupVersionKind().Group; group != "" {
		kind += "." + group
	}
	text := kind + "/" + object.GetName()
	if namespace := object.GetNamespace(); namespace != "" {
		text += " in namespace " + namespace
	}
	return text
}
