package option

import (
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/input"
)

// Resources are the flags for what the pod of a build requests.
type Resources struct{ CPU, Memory, Storage string }

// ParseResources returns the quantities; those of flags that were not given are zero. Its errors are
// usage errors that name the flag.
func (r Resources) ParseResources() (cpu, memory, storage resource.Quantity, err error) {
	for _, flag := range []struct {
		name, text, example string
		into                *resource.Quantity
	}{{"cpu", r.CPU, "2 or 500m", &cpu}, {"memory", r.Memory, "2Gi", &memory}, {"storage", r.Storage, "10Gi", &storage}} {
		if *flag.into, err = input.ParseQuantity(flag.text, flag.example); err != nil {
			return cpu, memory, storage, Usagef("--%s %w", flag.name, err)
		}
	}
	return cpu, memory, storage, nil
}
