package input

import (
	"fmt"
	"maps"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// ParseQuantity parses a positive quantity of a resource. The example is for the error.
// Empty text is zero.
func ParseQuantity(text, example string) (resource.Quantity, error) {
	if text == "" {
		return resource.Quantity{}, nil
	}
	quantity, err := resource.ParseQuantity(text)
	if err != nil || quantity.Sign() <= 0 {
		return resource.Quantity{}, fmt.Errorf("%s is not a quantity, such as %s", text, example)
	}
	return quantity, nil
}

// ParseNodeSelector parses labels of nodes. Empty text is nil.
func ParseNodeSelector(text string) (map[string]string, error) {
	if text == "" {
		return nil, nil
	}
	selector, err := labels.ConvertSelectorToLabelsMap(text)
	if err == nil {
		_, err = metav1.LabelSelectorAsSelector(metav1.SetAsLabelSelector(selector))
	}
	if err != nil {
		return nil, fmt.Errorf("%s is not of the form KEY=VALUE,…: %w", text, err)
	}
	return maps.Clone(selector), nil
}
