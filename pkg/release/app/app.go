// Package app parses and checks the settings of the default Deployment and Service: type of
// Service, probes, variables and resources.
package app

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Expose is the type of the Service of an app. The zero value is ExposeNodePort.
type Expose string

// The types, as Kubernetes names them.
const (
	// ExposeNodePort is a Service with a port on every node, which the cluster chooses.
	ExposeNodePort Expose = "NodePort"
	// ExposeClusterIP is a Service for the pods of the cluster.
	ExposeClusterIP Expose = "ClusterIP"
	// ExposeLoadBalancer is a Service with an address of the cloud provider.
	ExposeLoadBalancer Expose = "LoadBalancer"
	// ExposeNone creates no Service.
	ExposeNone Expose = "None"
)

// Exposes returns all types, the default first.
func Exposes() []Expose {
	return []Expose{ExposeNodePort, ExposeClusterIP, ExposeLoadBalancer, ExposeNone}
}

// ParseExpose reads one of Exposes, in upper or lower case.
func ParseExpose(text string) (Expose, error) {
	for _, expose := range Exposes() {
		if strings.EqualFold(text, string(expose)) {
			return expose, nil
		}
	}
	return "", fmt.Errorf("%q is not one of NodePort, ClusterIP, LoadBalancer and None", text)
}

// UnmarshalText is ParseExpose.
func (e *Expose) UnmarshalText(text []byte) (err error) {
	*e, err = ParseExpose(string(text))
	return err
}

// User is who the pods run as.
type User struct {
	// ID is the user. Group is the group; negative leaves it to the image's /etc/passwd.
	ID, Group int64
	// Name is the user as USER of a Dockerfile has it, USER or USER:GROUP, if one of them is a
	// name: only the image knows its number. ID and Group do not count then.
	Name string
}

// userPattern is how ParseUser takes a user in numbers, namePattern how it takes one with a
// name. The JSON schema of the settings has them as well.
var (
	userPattern = regexp.MustCompile(`^([1-9][0-9]{0,9})(?::(0|[1-9][0-9]{0,9}))?$`)
	namePattern = regexp.MustCompile(`^(?:[1-9][0-9]{0,9}|[A-Za-z_][A-Za-z0-9._-]{0,31})(?::(?:0|[1-9][0-9]{0,9}|[A-Za-z_][A-Za-z0-9._-]{0,31}))?$`)
)

// ParseUser parses USER or USER:GROUP, each a number or a name of the image. Root is an error,
// as the pods refuse to run as root.
func ParseUser(text string) (User, error) {
	match := userPattern.FindStringSubmatch(text)
	switch person, _, _ := strings.Cut(text, ":"); {
	case person == "root" || person == "0":
		return User{}, fmt.Errorf("%q is root, as which no pod of the default Deployment runs: for that, write manifests of your own", text)
	case match == nil && namePattern.MatchString(text):
		return User{Name: text}, nil
	case match == nil:
		return User{}, fmt.Errorf("%q is not USER or USER:GROUP, each a number or a name of the image, such as 10001:10001 or app", text)
	}
	user := User{Group: -1}
	for _, half := range []struct {
		text string
		into *int64
	}{{match[1], &user.ID}, {match[2], &user.Group}} {
		if half.text == "" {
			continue
		}
		number, err := strconv.ParseInt(half.text, 10, 32)
		if err != nil {
			return User{}, fmt.Errorf("%s is too large for a user or a group: use at most %d", half.text, math.MaxInt32)
		}
		*half.into = number
	}
	return user, nil
}

// DefaultUser returns the user of an image that would run as root.
func DefaultUser() User { return User{ID: 1000, Group: 1000} }

// String returns the user and the group as USER has them.
func (u User) String() string {
	if u.Name != "" {
		return u.Name
	}
	if u.Group < 0 {
		return strconv.FormatInt(u.ID, 10)
	}
	return fmt.Sprintf("%d:%d", u.ID, u.Group)
}

// Probe is a health check: the path of an HTTP request that is answered with a status below
// 400, ProbeTCP or ProbeNone. The zero value is not set.
type Probe string

// The probes without a path.
const (
	// ProbeTCP connects to the app's port.
	ProbeTCP Probe = "tcp"
	// ProbeNone checks nothing.
	ProbeNone Probe = "none"
)

// ParseProbe reads "tcp", "none", or a path that starts with a slash and may have a
// query.
func ParseProbe(text string) (Probe, error) {
	switch Probe(text) {
	case ProbeTCP, ProbeNone:
		return Probe(text), nil
	}
	if !strings.HasPrefix(text, "/") {
		return "", fmt.Errorf("%q is not tcp, none, or a path that starts with /", text)
	}
	// The kubelet takes what follows two slashes for a host, and cuts off a fragment.
	_, err := url.ParseRequestURI(text)
	odd := func(char rune) bool { return char <= ' ' || char == 0x7f || char == '#' }
	if err != nil || strings.HasPrefix(text, "//") || strings.ContainsFunc(text, odd) {
		return "", fmt.Errorf("%q is not the path of an HTTP request", text)
	}
	return Probe(text), nil
}

// UnmarshalText is ParseProbe.
func (p *Probe) UnmarshalText(text []byte) (err error) {
	*p, err = ParseProbe(string(text))
	return err
}

// Probes are the probes of the default Deployment. By default Readiness and Liveness are
// ProbeTCP, and Startup is Liveness if that is a path, otherwise ProbeTCP. Startup does not
// follow Readiness: a startup probe that fails restarts the app, and readiness may depend on
// other services.
type Probes struct {
	Startup   Probe `toml:"startup"`
	Readiness Probe `toml:"readiness"`
	Liveness  Probe `toml:"liveness"`
}

// ParseProbes reads probes of the form NAME=PROBE, each name at most once.
func ParseProbes(texts []string) (Probes, error) {
	var probes Probes
	named := map[string]*Probe{"startup": &probes.Startup, "readiness": &probes.Readiness, "liveness": &probes.Liveness}
	for _, text := range texts {
		name, value, ok := strings.Cut(text, "=")
		into, known := named[name]
		if !ok || !known {
			return Probes{}, fmt.Errorf("%q is not of the form startup=PROBE, readiness=PROBE or liveness=PROBE", text)
		}
		if *into != "" {
			return Probes{}, fmt.Errorf("the %s probe is given twice", name)
		}
		var err error
		if *into, err = ParseProbe(value); err != nil {
			return Probes{}, fmt.Errorf("%s probe: %w", name, err)
		}
	}
	return probes, nil
}

// Or returns the probes that are set, and those of others for the rest.
func (p Probes) Or(others Probes) Probes {
	return Probes{
		Startup:   cmp.Or(p.Startup, others.Startup),
		Readiness: cmp.Or(p.Readiness, others.Readiness),
		Liveness:  cmp.Or(p.Liveness, others.Liveness),
	}
}

// ParseEnv reads variables of the form NAME=VALUE, each name at most once, by the
// rules of CheckVariable. No error repeats a value.
func ParseEnv(texts []string) (map[string]string, error) {
	env := map[string]string{}
	for i, text := range texts {
		name, value, ok := strings.Cut(text, "=")
		if !ok {
			// The text may be a secret.
			return nil, fmt.Errorf("variable %d of %d is not of the form NAME=VALUE", i+1, len(texts))
		}
		if err := CheckVariable(name, value); err != nil {
			return nil, fmt.Errorf("variable %q: %w", name, err)
		}
		if _, twice := env[name]; twice {
			return nil, fmt.Errorf("variable %q is given twice", name)
		}
		env[name] = value
	}
	return env, nil
}

// CheckVariable checks that a container can have a variable. The error repeats neither the
// name nor the value.
func CheckVariable(name, value string) error {
	if problems := validation.IsEnvVarName(name); len(problems) > 0 {
		return fmt.Errorf("this is not the name of a variable: %s", strings.Join(problems, "; "))
	}
	if strings.ContainsRune(value, 0) {
		return errors.New("the value has a character U+0000, which no variable can hold")
	}
	return nil
}

// ParseResources reads NAME=QUANTITY,… as kubectl does, each name at most once, by
// the rules of ParseResource. Empty is nil.
func ParseResources(text string) (corev1.ResourceList, error) {
	if text == "" {
		return nil, nil
	}
	list := corev1.ResourceList{}
	for item := range strings.SplitSeq(text, ",") {
		key, value, ok := strings.Cut(item, "=")
		if !ok {
			return nil, fmt.Errorf("%q is not of the form NAME=QUANTITY, such as cpu=500m", item)
		}
		name, quantity, err := ParseResource(key, value)
		if err != nil {
			return nil, err
		}
		if _, twice := list[name]; twice {
			return nil, fmt.Errorf("%s is given twice", name)
		}
		list[name] = quantity
	}
	return list, nil
}

// ParseResource reads how much of a resource a container asks for or may use. The
// name is cpu, memory, ephemeral-storage, hugepages-SIZE, or that of an extended
// resource, such as nvidia.com/gpu, of which there are whole ones only.
func ParseResource(name, text string) (corev1.ResourceName, resource.Quantity, error) {
	if err := checkResourceName(name); err != nil {
		return "", resource.Quantity{}, err
	}
	quantity, err := resource.ParseQuantity(text)
	// To Kubernetes a point or a unit alone is nothing of it.
	digits := strings.TrimLeft(text, "+-.")
	switch {
	case err != nil || digits == "" || digits[0] < '0' || digits[0] > '9':
		return "", quantity, fmt.Errorf("%s %q is not a quantity, such as %s", name, text, example(name))
	case strings.HasPrefix(text, "-"):
		return "", quantity, fmt.Errorf("%s %s is negative", name, text)
	case strings.Contains(name, "/") && quantity.MilliValue()%1000 != 0:
		return "", quantity, fmt.Errorf("%s %s is not a whole number", name, text)
	}
	return corev1.ResourceName(name), quantity, nil
}

func checkResourceName(name string) error {
	switch name {
	case string(corev1.ResourceCPU), string(corev1.ResourceMemory), string(corev1.ResourceEphemeralStorage):
		return nil
	}
	size, huge := strings.CutPrefix(name, corev1.ResourceHugePagesPrefix)
	switch {
	case huge:
		if quantity, err := resource.ParseQuantity(size); err == nil && quantity.Sign() > 0 {
			return nil
		}
	case strings.Contains(name, "/") && len(validation.IsQualifiedName(name)) == 0:
		return nil
	}
	return fmt.Errorf("%q is not a resource: it is cpu, memory, ephemeral-storage, hugepages-SIZE, or the name of a device, such as nvidia.com/gpu", name)
}

func example(name string) string {
	switch {
	case name == string(corev1.ResourceCPU):
		return "2 or 500m"
	case strings.Contains(name, "/"):
		return "1"
	}
	return "2Gi"
}

// CheckResources checks that a container may have these requests and limits: no request is
// above its limit, and resources that cannot be shared (all but CPU, memory and disk) have a
// request equal to the limit. The error joins one for each mistake, sorted by name.
func CheckResources(requests, limits corev1.ResourceList) error {
	var problems []error
	for _, name := range slices.Sorted(maps.Keys(requests)) {
		request := requests[name]
		limit, limited := limits[name]
		shared := name == corev1.ResourceCPU || name == corev1.ResourceMemory || name == corev1.ResourceEphemeralStorage
		switch {
		case limited && request.Cmp(limit) > 0:
			problems = append(problems, fmt.Errorf("%s is requested %s, more than its limit of %s", name, request.String(), limit.String()))
		case !shared && (!limited || request.Cmp(limit) != 0):
			problems = append(problems, fmt.Errorf("%s cannot be shared: set the request equal to the limit, or set the limit alone", name))
		}
	}
	return errors.Join(problems...)
}
