package release

import (
	"slices"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/app"
)

// autoscaler returns the HorizontalPodAutoscaler of an app; none without Autoscale.
func autoscaler(options *Options) ([]object, error) {
	scale := options.Autoscale.WithDefaults()
	if scale.Max == 0 {
		return nil, nil
	}
	return []object{&autoscalingv2.HorizontalPodAutoscaler{
		TypeMeta:   metav1.TypeMeta{APIVersion: "autoscaling/v2", Kind: "HorizontalPodAutoscaler"},
		ObjectMeta: metav1.ObjectMeta{Name: options.App},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: options.App},
			MinReplicas:    &scale.Min,
			MaxReplicas:    scale.Max,
			Metrics: []autoscalingv2.MetricSpec{{
				Type: autoscalingv2.ResourceMetricSourceType,
				Resource: &autoscalingv2.ResourceMetricSource{
					Name:   corev1.ResourceCPU,
					Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: &scale.CPU},
				},
			}},
		},
	}}, nil
}

// disruptionBudgets returns a PodDisruptionBudget for each process with at least two replicas: a
// drained node takes one replica at a time. It never holds back pods that are not ready.
func disruptionBudgets(options *Options) ([]object, error) {
	var budgets []object
	add := func(name string, replicas int32, labels map[string]string) {
		if replicas < 2 {
			return
		}
		one, always := intstr.FromInt32(1), policyv1.AlwaysAllow
		budgets = append(budgets, &policyv1.PodDisruptionBudget{
			TypeMeta:   metav1.TypeMeta{APIVersion: "policy/v1", Kind: "PodDisruptionBudget"},
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec: policyv1.PodDisruptionBudgetSpec{
				MaxUnavailable: &one, UnhealthyPodEvictionPolicy: &always,
				Selector: &metav1.LabelSelector{MatchLabels: labels},
			},
		})
	}
	replicas := options.Replicas
	if options.Autoscale.Max > 0 {
		replicas = options.Autoscale.Min
	}
	if !options.NoWeb {
		add(options.App, replicas, selector(options))
	}
	for i := range options.Processes {
		if process := &options.Processes[i]; process.Kind() == app.Worker {
			add(process.Object(options.App), process.Replicas, processSelector(options, process))
		}
	}
	return budgets, nil
}

// networkPolicies returns the NetworkPolicy of an app that asks for one, and another one that lets
// nobody in to its other processes. They leave alone what the app connects to. Probes of the
// kubelet are always let in.
func networkPolicies(options *Options) ([]object, error) {
	if !options.NetworkPolicy.Enabled {
		return nil, nil
	}
	port := intstr.FromString("http")
	rule := networkingv1.NetworkPolicyIngressRule{Ports: []networkingv1.NetworkPolicyPort{{Port: &port}}}
	namespaces := options.NetworkPolicy.Namespaces
	if len(namespaces) > 0 || !options.outside() {
		rule.From = []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{}}}
	}
	if len(namespaces) > 0 {
		rule.From = append(rule.From, networkingv1.NetworkPolicyPeer{NamespaceSelector: &metav1.LabelSelector{
			MatchExpressions: []metav1.LabelSelectorRequirement{{Key: corev1.LabelMetadataName, Operator: metav1.LabelSelectorOpIn, Values: namespaces}},
		}})
	}
	policies := []object{policyFor(options.App, metav1.LabelSelector{MatchLabels: selector(options)}, rule)}
	if slices.ContainsFunc(options.Processes, func(process app.Process) bool { return process.Kind() != app.Web }) {
		policies = append(policies, policyFor(options.App+processesSuffix, metav1.LabelSelector{
			MatchLabels: map[string]string{manifests.LabelApp: options.App},
			MatchExpressions: []metav1.LabelSelectorRequirement{
				{Key: manifests.LabelProcess, Operator: metav1.LabelSelectorOpExists},
				{Key: manifests.LabelProcess, Operator: metav1.LabelSelectorOpNotIn, Values: []string{app.WebProcess}},
			},
		}))
	}
	return policies, nil
}

// processesSuffix ends the name of the NetworkPolicy of all processes but the web process.
const processesSuffix = "-processes"

func policyFor(name string, pods metav1.LabelSelector, rules ...networkingv1.NetworkPolicyIngressRule) *networkingv1.NetworkPolicy {
	return &networkingv1.NetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"},
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       networkingv1.NetworkPolicySpec{PodSelector: pods, PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}, Ingress: rules},
	}
}

// outside reports whether clients reach the app from outside of the cluster.
func (o *Options) outside() bool {
	return len(o.Route.Hosts) > 0 || o.Expose != app.ExposeClusterIP && o.Expose != app.ExposeNone
}
