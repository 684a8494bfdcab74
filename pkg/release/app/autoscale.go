package app

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// Autoscale is how many replicas an autoscaler may choose. The zero value is none: the replicas
// are a number.
type Autoscale struct {
	// Min and Max are the least and the most replicas. Min is 1 by default.
	Min int32 `toml:"min"`
	Max int32 `toml:"max"`
	// CPU is the mean use of CPU, in percent of the request, that the autoscaler aims at;
	// DefaultCPU by default.
	CPU int32 `toml:"cpu"`
}

// DefaultCPU is the use of CPU that autoscalers aim at, as for kubectl autoscale.
const DefaultCPU = 80

// maxCPU is far above what a request can be exceeded by and still mean something.
const maxCPU = 10000

// WithDefaults returns the values with the defaults of those that are not set; the zero value
// for the zero value.
func (a Autoscale) WithDefaults() Autoscale {
	if a == (Autoscale{}) {
		return a
	}
	if a.Min == 0 {
		a.Min = 1
	}
	if a.CPU == 0 {
		a.CPU = DefaultCPU
	}
	return a
}

// Check checks the values, with their defaults.
func (a Autoscale) Check() error {
	switch a := a.WithDefaults(); {
	case a.Max == 0:
		return errors.New("max is missing: it is the most replicas")
	case a.Min < 0 || a.Max < 0 || a.CPU < 0:
		return errors.New("a number is negative")
	case a.Min > a.Max:
		return fmt.Errorf("min is %d, more than the max of %d", a.Min, a.Max)
	case a.CPU > maxCPU:
		return fmt.Errorf("cpu is %d: it is percent of the request, such as 80", a.CPU)
	}
	return nil
}

// String returns the values as ParseAutoscale reads them.
func (a Autoscale) String() string {
	a = a.WithDefaults()
	return fmt.Sprintf("min=%d,max=%d,cpu=%d", a.Min, a.Max, a.CPU)
}

// ParseAutoscale reads max=MAX[,min=MIN][,cpu=PERCENT] in any order, by the rules of Check.
func ParseAutoscale(text string) (Autoscale, error) {
	var a Autoscale
	numbers := map[string]*int32{"min": &a.Min, "max": &a.Max, "cpu": &a.CPU}
	for item := range strings.SplitSeq(text, ",") {
		key, value, _ := strings.Cut(item, "=")
		into, known := numbers[key]
		number, err := strconv.ParseInt(value, 10, 32)
		if !known || err != nil || number <= 0 {
			return Autoscale{}, fmt.Errorf("%q is not of the form min=NUMBER, max=NUMBER or cpu=PERCENT", item)
		}
		if *into != 0 {
			return Autoscale{}, fmt.Errorf("%s is given twice", key)
		}
		*into = int32(number)
	}
	return a, a.Check()
}

// NetworkPolicy is who may connect to the app. The zero value is no policy: whoever the cluster
// lets.
type NetworkPolicy struct {
	// Enabled closes all ports of the app but the one that it serves on.
	Enabled bool
	// Namespaces may connect to that port, beside that of the app; none leaves it to where the
	// app is reached: from everywhere if it has a host or a Service for clients outside of the
	// cluster, otherwise from its namespace.
	Namespaces []string
}

// Check checks the names of the namespaces.
func (n NetworkPolicy) Check() error {
	for _, name := range n.Namespaces {
		if len(validation.IsDNS1123Label(name)) > 0 {
			return fmt.Errorf("%q is not the name of a namespace", name)
		}
	}
	return nil
}

// String returns the policy as ParseNetworkPolicy reads it.
func (n NetworkPolicy) String() string {
	if len(n.Namespaces) > 0 {
		return strings.Join(n.Namespaces, ",")
	}
	return strconv.FormatBool(n.Enabled)
}

// ParseNetworkPolicy reads true, false, or the names of namespaces with commas between them.
func ParseNetworkPolicy(text string) (NetworkPolicy, error) {
	if text == "true" || text == "false" {
		return NetworkPolicy{Enabled: text == "true"}, nil
	}
	policy := NetworkPolicy{Enabled: true, Namespaces: strings.Split(text, ",")}
	return policy, policy.Check()
}
