package status

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/kubectl/pkg/util/podutils"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/workload"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
)

const (
	pipelinePart    = "pipeline"
	componentLabel  = "app.kubernetes.io/component"
	versionLabel    = "app.kubernetes.io/version"
	certificateSoon = 30 * 24 * time.Hour
)

// check reads one or more parts. part is reported in their place if the user may not read them.
type check struct {
	part Part
	read func(context.Context) ([]Part, error)
}

// parts reports the parts of the platform, always in the same order.
func (c *collector) parts(ctx context.Context) ([]Part, error) {
	checks := c.checks()
	parts := make([][]Part, len(checks))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i, check := range checks {
		group.Go(func() error {
			found, err := check.read(ctx)
			missing, err := denied(err)
			if missing != nil {
				unknown := check.part
				unknown.Unknown, unknown.Message = true, missing.Error()
				found = []Part{unknown}
			}
			parts[i] = found
			return err
		})
	}
	err := group.Wait()
	return slices.Concat(parts...), err
}

// checks returns the checks in the order of the report.
func (c *collector) checks() []check {
	system := manifests.SystemNamespace
	checks := []check{
		{Part{Name: "kubernetes"}, c.kubernetes},
		{Part{Name: "tekton", Namespace: c.config.Tekton.Namespace, Version: c.config.Tekton.Version}, c.tekton},
		{Part{Name: manifests.RegistryName, Namespace: system}, c.registry},
		{Part{Name: manifests.NodeAccessName, Namespace: system}, c.nodeAccess},
		{Part{Name: pipelinePart, Namespace: system, Version: c.config.Version}, c.pipeline},
	}
	var namespaces []string
	switch {
	case c.AllNamespaces:
		namespaces = c.config.Namespaces
	case c.Namespace != "":
		namespaces = []string{c.Namespace}
	}
	for _, namespace := range namespaces {
		checks = append(checks, check{Part{Name: "namespace", Namespace: namespace}, func(ctx context.Context) ([]Part, error) {
			return c.namespace(ctx, namespace)
		}})
	}
	return checks
}

// kubernetes returns the version of the server, and the nodes if the user may list them.
func (c *collector) kubernetes(context.Context) ([]Part, error) {
	info, err := c.Kube.Discovery().ServerVersion()
	if err != nil {
		return nil, fmt.Errorf("ask the API server for its version: %w", err)
	}
	part := Part{Name: "kubernetes", Version: info.GitVersion, Healthy: true}
	if !c.nodesKnown {
		return []Part{part}, nil
	}
	var notReady []string
	for _, node := range c.nodes {
		part.Desired++
		if node.ready {
			part.Ready++
		} else {
			notReady = append(notReady, node.name)
		}
	}
	// A cluster that has lost a node still works.
	part.Healthy = part.Ready > 0
	if len(notReady) > 0 {
		part.Message = "not ready: " + display.JoinMax(notReady, maxNames)
	}
	return []Part{part}, nil
}

// tekton returns one part per Deployment of Tekton Pipelines, whatever installed it and in
// whichever namespace.
func (c *collector) tekton(ctx context.Context) ([]Part, error) {
	found := map[string]*appsv1.Deployment{}
	err := each(ctx, access.Permission{Verb: "list", Group: "apps", Resource: "deployments"}, platform.TektonSelector,
		func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			return c.Kube.AppsV1().Deployments(metav1.NamespaceAll).List(ctx, options)
		},
		func(object *appsv1.Deployment) { found[object.Labels[componentLabel]] = object })
	if err != nil {
		return nil, err
	}
	var parts []Part
	for _, component := range []string{"controller", "webhook", "events", "resolvers"} {
		object, ok := found[component]
		if !ok {
			// The controller can also send events by itself.
			if component != "events" {
				parts = append(parts, Part{Name: "tekton-" + component, Namespace: c.config.Tekton.Namespace, Message: "not found"})
			}
			continue
		}
		part, err := c.workloadPart(ctx, object)
		if err != nil {
			return nil, err
		}
		part.Name = "tekton-" + component
		part.Version = object.Labels[versionLabel]
		parts = append(parts, part)
	}
	return parts, nil
}

// workloadPart returns a workload as a part. Its version is the tag of its image.
func (c *collector) workloadPart(ctx context.Context, object runtime.Object) (Part, error) {
	w, err := workload.Of(object)
	if err != nil {
		return Part{}, err
	}
	v, err := c.judge(ctx, w)
	if err != nil {
		return Part{}, err
	}
	part := Part{
		Name: w.Meta.Name, Namespace: w.Meta.Namespace, Desired: w.State.Desired, Ready: ready(w),
		Healthy: v.healthy, Message: v.message,
	}
	if len(w.Template.Spec.Containers) > 0 {
		part.Version = tag(w.Template.Spec.Containers[0].Image)
	}
	if w.State.Desired == 0 && w.Kind != workload.DaemonSet {
		part.Healthy, part.Message = false, "scaled to zero"
	}
	return part, nil
}

// registry returns the front and the storage of the registry, or the external registry.
func (c *collector) registry(ctx context.Context) ([]Part, error) {
	expires, err := c.certificates(ctx)
	if err != nil {
		return nil, err
	}
	if c.config.Registry.External {
		part := Part{Name: manifests.RegistryName, Healthy: true, Message: "external: " + c.config.Registry.Host}
		withCertificate(&part, expires, c.Now)
		return []Part{part}, nil
	}
	var parts []Part
	right := access.Permission{Verb: "get", Group: "apps", Resource: "statefulsets", Namespace: manifests.SystemNamespace}
	for _, name := range []string{manifests.RegistryName, manifests.StorageName} {
		object, err := read(right, func() (*appsv1.StatefulSet, error) {
			return c.Kube.AppsV1().StatefulSets(manifests.SystemNamespace).Get(ctx, name, metav1.GetOptions{})
		})
		if apierrors.IsNotFound(err) {
			parts = append(parts, Part{Name: name, Namespace: manifests.SystemNamespace, Message: "not found"})
			continue
		}
		if err != nil {
			return nil, err
		}
		part, err := c.workloadPart(ctx, object)
		if err != nil {
			return nil, err
		}
		if name == manifests.RegistryName {
			withCertificate(&part, expires, c.Now)
		}
		parts = append(parts, part)
	}
	return parts, nil
}

// certificates returns the first expiry of the registry's certificates that the user may read,
// or the zero time.
func (c *collector) certificates(ctx context.Context) (time.Time, error) {
	right := access.Permission{Verb: "get", Resource: "configmaps", Namespace: manifests.SystemNamespace}
	ca, err := read(right, func() (*corev1.ConfigMap, error) {
		return c.Kube.CoreV1().ConfigMaps(manifests.SystemNamespace).Get(ctx, manifests.CAName, metav1.GetOptions{})
	})
	if _, err := denied(err); err != nil && !apierrors.IsNotFound(err) {
		return time.Time{}, err
	}
	right.Resource = "secrets"
	server, err := read(right, func() (*corev1.Secret, error) {
		return c.Kube.CoreV1().Secrets(manifests.SystemNamespace).Get(ctx, manifests.TLSName, metav1.GetOptions{})
	})
	if _, err := denied(err); err != nil && !apierrors.IsNotFound(err) {
		return time.Time{}, err
	}
	var certificates []byte
	if ca != nil {
		trusted := []byte(ca.Data[manifests.CAKey])
		if block, rest := pem.Decode(trusted); block != nil && !c.config.Registry.External {
			// The certificates after the CA in use are those that it replaced.
			trusted = trusted[:len(trusted)-len(rest)]
		}
		certificates = append(certificates, trusted...)
	}
	if server != nil {
		certificates = append(certificates, server.Data[corev1.TLSCertKey]...)
	}
	return firstExpiry(certificates), nil
}

// firstExpiry returns the first expiry of the PEM certificates, or the zero time if there is
// none.
func firstExpiry(data []byte) time.Time {
	var expiry time.Time
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err == nil && (expiry.IsZero() || certificate.NotAfter.Before(expiry)) {
			expiry = certificate.NotAfter
		}
	}
	return expiry
}

// withCertificate adds the expiry of the certificate to a part, and a message if it is soon.
func withCertificate(part *Part, expires, now time.Time) {
	if expires.IsZero() {
		return
	}
	part.CertificateExpires = &metav1.Time{Time: expires}
	date := expires.Format(time.DateOnly)
	switch {
	case !now.Before(expires):
		part.Healthy, part.Message = false, "certificate expired on "+date
	case part.Message == "" && expires.Sub(now) < certificateSoon:
		part.Message = "certificate expires on " + date
	}
}

// nodeAccess is healthy if every ready Linux node has a ready pod.
func (c *collector) nodeAccess(ctx context.Context) ([]Part, error) {
	if c.config.NodeAccess.Mode == manifests.NodeAccessNone {
		return nil, nil
	}
	system := manifests.SystemNamespace
	right := access.Permission{Verb: "get", Group: "apps", Resource: "daemonsets", Namespace: system}
	object, err := read(right, func() (*appsv1.DaemonSet, error) {
		return c.Kube.AppsV1().DaemonSets(system).Get(ctx, manifests.NodeAccessName, metav1.GetOptions{})
	})
	if apierrors.IsNotFound(err) {
		return []Part{{Name: manifests.NodeAccessName, Namespace: system, Message: "not found"}}, nil
	}
	if err != nil {
		return nil, err
	}
	part, err := c.workloadPart(ctx, object)
	if err != nil || !c.nodesKnown {
		return []Part{withMode(part, c.config.NodeAccess)}, err
	}
	served := map[string]bool{}
	err = each(ctx, access.Permission{Verb: "list", Resource: "pods", Namespace: system}, metav1.FormatLabelSelector(object.Spec.Selector),
		func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			return c.Kube.CoreV1().Pods(system).List(ctx, options)
		},
		func(pod *corev1.Pod) {
			served[pod.Spec.NodeName] = served[pod.Spec.NodeName] || podutils.IsPodReady(pod)
		})
	if err != nil {
		return nil, err
	}
	c.served = served
	withNodes(&part, c.nodes, served)
	return []Part{withMode(part, c.config.NodeAccess)}, nil
}

// withMode adds to a healthy part the node-access mode, and whether it was proven.
func withMode(part Part, access manifests.NodeAccessConfig) Part {
	if part.Message == "" {
		part.Message = string(cmp.Or(access.Mode, manifests.NodeAccessHostPort))
		if !access.Proven {
			part.Message += ", not proven: run setup"
		}
	}
	return part
}

// withNodes counts the ready Linux nodes and those with a ready pod, instead of what the
// DaemonSet counts: a node that is down needs no access.
func withNodes(part *Part, nodes []node, served map[string]bool) {
	var lacking []string
	part.Desired, part.Ready = 0, 0
	for _, node := range nodes {
		if !node.ready || !node.linux {
			continue
		}
		part.Desired++
		if served[node.name] {
			part.Ready++
		} else {
			lacking = append(lacking, node.name)
		}
	}
	part.Healthy = len(lacking) == 0
	switch {
	case part.Healthy && part.Desired == 0:
		part.Healthy, part.Message = false, "no Linux node is ready"
	case part.Healthy:
		part.Message = ""
	case part.Message == "":
		part.Message = "no ready pod on " + display.JoinMax(lacking, maxNames)
	default:
		part.Message = "no ready pod on " + display.JoinMax(lacking, maxNames) + "; " + part.Message
	}
}

// pipeline is healthy if the Pipelines for folders exist, and all Tasks that they refer to.
func (c *collector) pipeline(ctx context.Context) ([]Part, error) {
	part := Part{Name: pipelinePart, Namespace: manifests.SystemNamespace, Version: c.config.Version}
	client := c.Tekton.TektonV1()
	var missing, tasks []string
	count := func(kind, name string, get func() error) error {
		part.Desired++
		right := access.Permission{Verb: "get", Group: "tekton.dev", Resource: kind + "s", Namespace: part.Namespace}
		_, err := read(right, func() (any, error) { return nil, get() })
		switch {
		case apierrors.IsNotFound(err):
			missing = append(missing, kind+" "+name)
			return nil
		case err == nil:
			part.Ready++
		}
		return err
	}
	for _, name := range []string{manifests.PipelineName, manifests.TestedPipelineName} {
		err := count("pipeline", name, func() error {
			object, err := client.Pipelines(part.Namespace).Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			for _, task := range object.Spec.Tasks {
				tasks = append(tasks, referred(task, object.Spec.Params)...)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(tasks)
	for _, name := range slices.Compact(tasks) {
		err := count("task", name, func() error {
			_, err := client.Tasks(part.Namespace).Get(ctx, name, metav1.GetOptions{})
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	part.Healthy, part.Message = len(missing) == 0, c.config.BuildUsers.String()
	if !part.Healthy {
		part.Message = "not found: " + display.JoinMax(missing, maxNames)
	}
	return []Part{part}, nil
}

// referred returns the name of the Task that a task of a Pipeline with these parameters
// refers to, if any; of one that a parameter chooses, the default.
func referred(task tektonv1.PipelineTask, params tektonv1.ParamSpecs) []string {
	if task.TaskRef == nil {
		return nil
	}
	for _, param := range task.TaskRef.Params {
		if param.Name != "name" {
			continue
		}
		name := param.Value.StringVal
		for _, chosen := range params {
			if chosen.Default != nil && name == "$(params."+chosen.Name+")" {
				name = chosen.Default.StringVal
			}
		}
		return []string{name}
	}
	return []string{task.TaskRef.Name}
}

// namespace returns what setup creates in a namespace for apps.
func (c *collector) namespace(ctx context.Context, namespace string) ([]Part, error) {
	part := Part{Name: "namespace", Namespace: namespace}
	if err := kube.CheckNamespace(ctx, c.Kube, namespace); err != nil {
		if c.AllNamespaces {
			// The next run of setup drops the namespace, too.
			return nil, nil
		}
		return nil, err
	}
	objects := []struct {
		group, resource, name string
		get                   func(name string) error
	}{
		{"", "serviceaccounts", manifests.BuildServiceAccount, func(name string) error {
			_, err := c.Kube.CoreV1().ServiceAccounts(namespace).Get(ctx, name, metav1.GetOptions{})
			return err
		}},
		{"", "serviceaccounts", manifests.DeployServiceAccount, func(name string) error {
			_, err := c.Kube.CoreV1().ServiceAccounts(namespace).Get(ctx, name, metav1.GetOptions{})
			return err
		}},
		{"rbac.authorization.k8s.io", "rolebindings", manifests.DeployRole, func(name string) error {
			_, err := c.Kube.RbacV1().RoleBindings(namespace).Get(ctx, name, metav1.GetOptions{})
			return err
		}},
		{"", "secrets", manifests.RegistrySecret, func(name string) error {
			_, err := c.Kube.CoreV1().Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
			return err
		}},
	}
	var missing []string
	var err error
	for _, object := range objects {
		part.Desired++
		right := access.Permission{Verb: "get", Group: object.group, Resource: object.resource, Namespace: namespace}
		_, err := read(right, func() (struct{}, error) { return struct{}{}, object.get(object.name) })
		switch {
		case apierrors.IsNotFound(err):
			missing = append(missing, strings.TrimSuffix(object.resource, "s")+" "+object.name)
		case err != nil:
			return nil, err
		default:
			part.Ready++
		}
	}
	switch {
	case len(missing) == 0:
		part.Healthy = true
		part.Message, err = c.podSecurity(ctx, namespace)
		if err != nil {
			return nil, err
		}
	case part.Ready == 0:
		part.Message = (&platform.NamespaceNotSetUpError{Namespace: namespace}).Error()
	default:
		part.Message = "not found: " + display.JoinMax(missing, maxNames)
	}
	return []Part{part}, nil
}

// podSecurity returns a warning about a namespace that enforces no Pod Security Standard; empty if
// it does, and for a user who may not read it.
func (c *collector) podSecurity(ctx context.Context, name string) (string, error) {
	namespace, err := read(access.Permission{Verb: "get", Resource: "namespaces"}, func() (*corev1.Namespace, error) {
		return c.Kube.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
	})
	if missing, err := denied(err); missing != nil || err != nil {
		return "", err
	}
	if namespace.Labels[platform.EnforceLabel] != "" {
		return "", nil
	}
	return "it enforces no Pod Security Standard, so who may deploy there can start privileged pods", nil
}

// maxNames is the number of names that a message lists.
const maxNames = 3

// tag returns the tag of an image reference, or its digest if it has none.
func tag(image string) string {
	image, digest, _ := strings.Cut(image, "@")
	_, tag, _ := strings.Cut(image[strings.LastIndex(image, "/")+1:], ":")
	return cmp.Or(tag, digest)
}
