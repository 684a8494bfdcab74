//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tektoncd/pipeline/pkg/apis/pipeline/pod"
	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
)

// attacker is a user who has the role pyflow-developer in a namespace, and no other.
type attacker struct {
	kube   *kubernetes.Clientset
	tekton *versioned.Clientset
	// flags make the plugin and kubectl act as that user.
	flags []string
}

func newAttacker(t *testing.T, ns *env.NS) attacker {
	t.Helper()
	user := "attacker-" + ns.Name
	_, err := ns.Kube.RbacV1().RoleBindings(ns.Name).Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "attacker"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "pyflow-developer"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}, metav1.CreateOptions{})
	env.Check(t, err)
	config, err := clientcmd.BuildConfigFromFlags("", ns.Kubeconfig)
	env.Check(t, err)
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: []string{"system:authenticated"}}
	a := attacker{flags: []string{"--as", user, "--as-group", "system:authenticated"}}
	a.kube, err = kubernetes.NewForConfig(config)
	env.Check(t, err)
	a.tekton, err = versioned.NewForConfig(config)
	env.Check(t, err)
	return a
}

// refused wants a policy to refuse what an attack tries.
func refused(t *testing.T, attack, policy string, err error) {
	t.Helper()
	t.Logf("%s: %v", attack, err)
	if err == nil || !strings.Contains(err.Error(), policy) {
		t.Errorf("%s: %s should have refused it: %v", attack, policy, err)
	}
}

// run returns a run that builds an app, as the plugin makes it.
func (a attacker) run(name string, change func(*tektonv1.PipelineRun)) *tektonv1.PipelineRun {
	value := func(name, text string) tektonv1.Param {
		return tektonv1.Param{Name: name, Value: *tektonv1.NewStructuredValues(text)}
	}
	run := &tektonv1.PipelineRun{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{manifests.LabelManagedBy: manifests.FieldManager, manifests.LabelApp: "app"}},
		Spec: tektonv1.PipelineRunSpec{
			PipelineRef: &tektonv1.PipelineRef{ResolverRef: tektonv1.ResolverRef{Resolver: "cluster", Params: tektonv1.Params{
				value("kind", "pipeline"), value("name", manifests.DeliverPipelineName), value("namespace", manifests.SystemNamespace),
			}}},
			Params: tektonv1.Params{value("name", "app"), value("node-image", "x"), value("digest", "sha256:0")},
			Workspaces: []tektonv1.WorkspaceBinding{
				{Name: "manifests", Secret: &corev1.SecretVolumeSource{SecretName: name + "-manifests"}},
			},
			TaskRunTemplate: tektonv1.PipelineTaskRunTemplate{ServiceAccountName: manifests.BuildServiceAccount},
			TaskRunSpecs:    []tektonv1.PipelineTaskRunSpec{{PipelineTaskName: "deploy", ServiceAccountName: manifests.DeployServiceAccount}},
			Status:          tektonv1.PipelineRunSpecStatusPending,
		},
	}
	if change != nil {
		change(run)
	}
	return run
}

// runAttacks are runs that reach for more than a build.
func runAttacks() map[string]func(*tektonv1.PipelineRun) {
	value := func(text string) tektonv1.ParamValue { return *tektonv1.NewStructuredValues(text) }
	mount := func(secret string) func(*tektonv1.PipelineRun) {
		return func(run *tektonv1.PipelineRun) {
			run.Spec.Workspaces = append(run.Spec.Workspaces, tektonv1.WorkspaceBinding{Name: "secrets", Secret: &corev1.SecretVolumeSource{SecretName: secret}})
		}
	}
	return map[string]func(*tektonv1.PipelineRun){
		"a Task of its own": func(run *tektonv1.PipelineRun) {
			run.Spec.PipelineRef = nil
			run.Spec.PipelineSpec = &tektonv1.PipelineSpec{Tasks: []tektonv1.PipelineTask{{Name: "x", TaskSpec: &tektonv1.EmbeddedTask{
				TaskSpec: tektonv1.TaskSpec{Steps: []tektonv1.Step{{Name: "x", Image: env.SmallBase, Script: "true"}}},
			}}}}
		},
		"a Pipeline of its namespace": func(run *tektonv1.PipelineRun) {
			run.Spec.PipelineRef = &tektonv1.PipelineRef{Name: manifests.DeliverPipelineName}
		},
		"a Pipeline of another namespace": func(run *tektonv1.PipelineRun) { run.Spec.PipelineRef.Params[2].Value = value("default") },
		"another Pipeline":                func(run *tektonv1.PipelineRun) { run.Spec.PipelineRef.Params[1].Value = value("other") },
		"the test as the deployment": func(run *tektonv1.PipelineRun) {
			run.Spec.Params = append(run.Spec.Params, tektonv1.Param{Name: "deploy-task", Value: value("pyflow-test")})
		},
		"another ServiceAccount": func(run *tektonv1.PipelineRun) { run.Spec.TaskRunTemplate.ServiceAccountName = "default" },
		"a build as pyflow-deploy": func(run *tektonv1.PipelineRun) {
			run.Spec.TaskRunSpecs = append(run.Spec.TaskRunSpecs, tektonv1.PipelineTaskRunSpec{PipelineTaskName: "build", ServiceAccountName: manifests.DeployServiceAccount})
		},
		"the disk of the node": func(run *tektonv1.PipelineRun) {
			run.Spec.TaskRunTemplate.PodTemplate = &pod.PodTemplate{Volumes: []corev1.Volume{{Name: "x", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}}}}
		},
		"the network of the node": func(run *tektonv1.PipelineRun) {
			run.Spec.TaskRunSpecs[0].PodTemplate = &pod.PodTemplate{HostNetwork: true}
		},
		"the users of the node": func(run *tektonv1.PipelineRun) {
			run.Spec.TaskRunSpecs[0].PodTemplate = &pod.PodTemplate{HostUsers: new(true)}
		},
		"a variable from a Secret": func(run *tektonv1.PipelineRun) {
			run.Spec.TaskRunSpecs[0].PodTemplate = &pod.PodTemplate{Env: []corev1.EnvVar{{Name: "X", ValueFrom: &corev1.EnvVarSource{
				SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "of-others"}, Key: "password"},
			}}}}
		},
		"a token in the build": func(run *tektonv1.PipelineRun) {
			run.Spec.TaskRunTemplate.PodTemplate = &pod.PodTemplate{AutomountServiceAccountToken: new(true)}
		},
		"a Secret of others":               mount("of-others"),
		"a Secret of another app's run":    mount("other-1-build-secrets"),
		"a Secret that looks like a run's": mount("of-others-manifests"),
		"a projected token": func(run *tektonv1.PipelineRun) {
			run.Spec.Workspaces[0] = tektonv1.WorkspaceBinding{Name: "manifests", Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
				{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token"}},
			}}}
		},
		"the volume of an app": func(run *tektonv1.PipelineRun) {
			run.Spec.Workspaces[0] = tektonv1.WorkspaceBinding{Name: "manifests", PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}
		},
		"a place after all runs": func(run *tektonv1.PipelineRun) {
			run.Spec.Params = append(run.Spec.Params, tektonv1.Param{Name: "sequence", Value: value("2999-01-01T00:00:00Z " + run.Name)})
		},
		"the place of another run": func(run *tektonv1.PipelineRun) {
			run.Spec.Params = append(run.Spec.Params, tektonv1.Param{Name: "sequence", Value: value("2020-01-01T00:00:00Z zzz")})
		},
		"a run without an owner": func(run *tektonv1.PipelineRun) { delete(run.Labels, manifests.LabelManagedBy) },
	}
}

// TestDeveloperRuns tries runs that reach for more than the plugin's, when they are created and
// when they are pending.
func TestDeveloperRuns(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	a := newAttacker(t, ns)
	runs := a.tekton.TektonV1().PipelineRuns(ns.Name)
	pending, err := runs.Create(t.Context(), a.run("app-1", nil), metav1.CreateOptions{})
	env.Check(t, err)
	for name, change := range runAttacks() {
		_, err := runs.Create(t.Context(), a.run("app-2", change), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		refused(t, name, "pyflow-developer-runs", err)
		changed := a.run("app-1", change)
		patch, err := json.Marshal([]any{
			map[string]any{"op": "replace", "path": "/spec", "value": changed.Spec},
			map[string]any{"op": "replace", "path": "/metadata/labels", "value": changed.Labels},
		})
		env.Check(t, err)
		_, err = runs.Patch(t.Context(), pending.Name, types.JSONPatchType, patch, metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}})
		refused(t, name+", of a pending run", "pyflow-developer-runs", err)
	}
	// The older version of the API is no way around.
	old, err := json.Marshal(a.run("app-3", func(run *tektonv1.PipelineRun) {
		run.APIVersion, run.Kind = "tekton.dev/v1beta1", "PipelineRun"
		run.Spec.Workspaces[0].Secret.SecretName = "of-others"
	}))
	env.Check(t, err)
	err = a.tekton.TektonV1beta1().RESTClient().Post().Namespace(ns.Name).Resource("pipelineruns").Body(old).Do(t.Context()).Error()
	refused(t, "v1beta1", "pyflow-developer-runs", err)
	// Who may read a Secret may use it.
	kubectl(t, ns, "create", "role", "reader", "--verb=get", "--resource=secrets", "--resource-name=of-others").Succeeded(t)
	kubectl(t, ns, "create", "rolebinding", "reader", "--role=reader", "--user=attacker-"+ns.Name).Succeeded(t)
	env.Eventually(t, "a run with a Secret that its user may read", func(ctx context.Context) error {
		_, err := runs.Create(ctx, a.run("app-2", runAttacks()["a Secret of others"]), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err
	})
	_, err = a.tekton.TektonV1().TaskRuns(ns.Name).Create(t.Context(), &tektonv1.TaskRun{ObjectMeta: metav1.ObjectMeta{Name: "x"}}, metav1.CreateOptions{})
	refused(t, "a TaskRun", "cannot create resource", err)
	env.Check(t, runs.Delete(t.Context(), pending.Name, metav1.DeleteOptions{}))
}

// TestDeveloperPods tries pods, and changes of pods, that reach for more than compare and shell.
func TestDeveloperPods(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	// The policy alone, without the Pod Security Standard that setup has set.
	ns.Run(t, nil, "kubectl", "label", "--overwrite", "namespace", ns.Name, "pod-security.kubernetes.io/enforce=privileged").Succeeded(t)
	a := newAttacker(t, ns)
	ns.Build(t, env.Page(t, "app", "hello", "")).Released(t)
	pods := a.kube.CoreV1().Pods(ns.Name)
	dry := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
	measure := func(change func(*corev1.Pod)) *corev1.Pod {
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "pyflow-compare-x", Labels: map[string]string{manifests.LabelManagedBy: manifests.FieldManager}},
			Spec: corev1.PodSpec{
				ActiveDeadlineSeconds: new(int64(60)), AutomountServiceAccountToken: new(false),
				SecurityContext: &corev1.PodSecurityContext{SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
				Containers: []corev1.Container{{Name: "app", Image: env.SmallBase, SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: new(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				}}},
			},
		}
		if change != nil {
			change(pod)
		}
		return pod
	}
	_, err := pods.Create(t.Context(), measure(nil), dry)
	env.Check(t, err)
	secret := &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "of-others"}, Key: "password"}
	for name, change := range map[string]func(*corev1.Pod){
		"another name": func(pod *corev1.Pod) { pod.Name = "x" },
		"privileged": func(pod *corev1.Pod) {
			pod.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{Privileged: new(true)}
		},
		"capabilities": func(pod *corev1.Pod) {
			pod.Spec.Containers[0].SecurityContext.Capabilities.Add = []corev1.Capability{"SYS_ADMIN"}
		},
		"the node's disk": func(pod *corev1.Pod) {
			pod.Spec.Volumes = []corev1.Volume{{Name: "x", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}}}
		},
		"a volume of a Secret": func(pod *corev1.Pod) {
			pod.Spec.Volumes = []corev1.Volume{{Name: "x", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "of-others"}}}}
		},
		"the node's network":   func(pod *corev1.Pod) { pod.Spec.HostNetwork = true },
		"the node's processes": func(pod *corev1.Pod) { pod.Spec.HostPID = true },
		"a node":               func(pod *corev1.Pod) { pod.Spec.NodeName = "x" },
		"pyflow-deploy":        func(pod *corev1.Pod) { pod.Spec.ServiceAccountName = manifests.DeployServiceAccount },
		"a token":              func(pod *corev1.Pod) { pod.Spec.AutomountServiceAccountToken = new(true) },
		"a variable": func(pod *corev1.Pod) {
			pod.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "X", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: secret}}}
		},
		"all variables": func(pod *corev1.Pod) {
			pod.Spec.Containers[0].EnvFrom = []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: secret.LocalObjectReference}}}
		},
		"a port of the node": func(pod *corev1.Pod) {
			pod.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 1, HostPort: 1}}
		},
		"an init container": func(pod *corev1.Pod) {
			init := *pod.Spec.Containers[0].DeepCopy()
			init.Name = "init"
			pod.Spec.InitContainers = []corev1.Container{init}
		},
		"without an end":      func(pod *corev1.Pod) { pod.Spec.ActiveDeadlineSeconds = nil },
		"another pull secret": func(pod *corev1.Pod) { pod.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "of-others"}} },
	} {
		policy := "pyflow-developer-pods"
		if name == manifests.DeployServiceAccount {
			policy = "pyflow-" // pyflow-identity refuses it, too, and either of them answers
		}
		_, err := pods.Create(t.Context(), measure(change), dry)
		refused(t, "a pod with "+name, policy, err)
	}

	list, err := ns.Kube.CoreV1().Pods(ns.Name).List(t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=app"})
	env.Check(t, err)
	app := list.Items[0].Name
	run := ns.Runs(t)[0].Name
	patch := func(pod, change string, subresources ...string) error {
		_, err := pods.Patch(t.Context(), pod, types.StrategicMergePatchType, []byte(change), metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}}, subresources...)
		return err
	}
	refused(t, "a label of a pod", "pyflow-developer-marks", patch(app, `{"metadata":{"labels":{"x":"y"}}}`))
	refused(t, "another image", "pyflow-developer-marks", patch(app, `{"spec":{"containers":[{"name":"app","image":"x"}]}}`))
	refused(t, "an annotation", "pyflow-developer-marks", patch(app, `{"metadata":{"annotations":{"x":"y"}}}`))
	refused(t, "a mark on another pod", "pyflow-developer-marks", patch(app, `{"metadata":{"annotations":{"pyflow.dev/checked":"y"}}}`))
	debug := func(container string) string { return `{"spec":{"ephemeralContainers":[` + container + `]}}` }
	good := `{"name":"debug-1","image":"` + env.SmallBase + `","securityContext":{"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]}}`
	env.Check(t, patch(app, debug(good+`}`), "ephemeralcontainers"))
	refused(t, "debug with a variable", "pyflow-developer-debug", patch(app, debug(good+`,"env":[{"name":"X","valueFrom":{"secretKeyRef":{"name":"of-others","key":"x"}}}]}`), "ephemeralcontainers"))
	refused(t, "debug with all variables", "pyflow-developer-debug", patch(app, debug(good+`,"envFrom":[{"secretRef":{"name":"of-others"}}]}`), "ephemeralcontainers"))
	refused(t, "debug with privileges", "pyflow-developer-debug", patch(app, debug(`{"name":"debug-1","image":"x","securityContext":{"privileged":true}}`), "ephemeralcontainers"))
	refused(t, "debug beside a deployment", "pyflow-developer-debug", patch(run+"-deploy-pod", debug(good+`}`), "ephemeralcontainers"))
	exec := a.kube.CoreV1().RESTClient().Post().Namespace(ns.Name).Resource("pods").Name(run+"-deploy-pod").SubResource("exec").Param("command", "true")
	refused(t, "exec in a pod that deploys", "pyflow-developer-exec", exec.Do(t.Context()).Error())
	refused(t, "delete the pod of an app", "pyflow-developer-deletions", pods.Delete(t.Context(), app, metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}))
}

// TestDeveloperObjects tries to read, spoof and delete objects that the platform or others trust.
func TestDeveloperObjects(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	a := newAttacker(t, ns)
	ns.Build(t, env.Page(t, "app", "hello", "")).Released(t)
	kubectl(t, ns, "create", "secret", "generic", "of-others", "--from-literal=password=winter").Succeeded(t)
	kubectl(t, ns, "create", "configmap", "of-others").Succeeded(t)
	kubectl(t, ns, "create", "serviceaccount", "of-others").Succeeded(t)
	kubectl(t, ns, "create", "deployment", "of-others", "--image="+env.SmallBase, "--replicas=0").Succeeded(t)
	core, apps := a.kube.CoreV1(), a.kube.AppsV1()
	dry := []string{metav1.DryRunAll}

	for name, patch := range map[string]string{
		"nothing": `{}`, "a label": `{"metadata":{"labels":{"pyflow.dev/app":"x"}}}`, "data": `{"data":{"password":"eA=="}}`,
		"the labels of env": `{"metadata":{"labels":{"pyflow.dev/app":"of-others","app.kubernetes.io/managed-by":"kubectl-pyflow"}}}`,
	} {
		found, err := core.Secrets(ns.Name).Patch(t.Context(), "of-others", types.MergePatchType, []byte(patch), metav1.PatchOptions{})
		refused(t, "a patch of a Secret with "+name, "pyflow-developer-secrets", err)
		if found != nil && len(found.Data) > 0 {
			t.Errorf("a patch with %s shows the Secret: %v", name, found.Data)
		}
	}
	for name, secret := range map[string]*corev1.Secret{
		"a token": {ObjectMeta: metav1.ObjectMeta{Name: "x", Annotations: map[string]string{corev1.ServiceAccountNameKey: manifests.DeployServiceAccount}}, Type: corev1.SecretTypeServiceAccountToken},
		"a token with the name of env": {
			ObjectMeta: metav1.ObjectMeta{
				Name: "app-pyflow-env", Labels: map[string]string{manifests.LabelApp: "app", manifests.LabelManagedBy: manifests.FieldManager},
				Annotations: map[string]string{corev1.ServiceAccountNameKey: manifests.DeployServiceAccount},
			}, Type: corev1.SecretTypeServiceAccountToken,
		},
		"the environment of builds":    {ObjectMeta: metav1.ObjectMeta{Name: manifests.BuildSecret, Labels: map[string]string{manifests.LabelApp: "app", manifests.LabelManagedBy: manifests.FieldManager}}},
		"the manifests of another run": {ObjectMeta: metav1.ObjectMeta{Name: "app-9-manifests", Labels: map[string]string{manifests.LabelApp: "app", manifests.LabelManagedBy: manifests.FieldManager}}},
	} {
		_, err := core.Secrets(ns.Name).Create(t.Context(), secret, metav1.CreateOptions{DryRun: dry})
		refused(t, "a Secret: "+name, "pyflow-developer-secrets", err)
	}
	_, err := core.ConfigMaps(ns.Name).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
		Name: manifests.RecordName("app", 7), Labels: map[string]string{manifests.LabelApp: "app", manifests.LabelRelease: "7", manifests.LabelManagedBy: manifests.FieldManager},
	}}, metav1.CreateOptions{DryRun: dry})
	refused(t, "the record of a release", "pyflow-developer-configmaps", err)
	_, err = core.ConfigMaps(ns.Name).Patch(t.Context(), "of-others", types.MergePatchType, []byte(`{"data":{"x":"y"}}`), metav1.PatchOptions{DryRun: dry})
	refused(t, "a change of a ConfigMap of others", "pyflow-developer-configmaps", err)

	for name, patch := range map[string]string{
		"a later sequence": `{"metadata":{"annotations":{"pyflow.dev/sequence":"2999-01-01T00:00:00Z x"}}}`,
		"another image":    `{"spec":{"template":{"spec":{"containers":[{"name":"app","image":"x"}]}}}}`,
		"another account":  `{"spec":{"template":{"spec":{"serviceAccountName":"pyflow-deploy"}}}}`,
		"another app":      `{"metadata":{"labels":{"pyflow.dev/app":"x"}}}`,
		"a pause":          `{"spec":{"paused":true}}`,
	} {
		_, err := apps.Deployments(ns.Name).Patch(t.Context(), "app", types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{DryRun: dry})
		refused(t, "a Deployment with "+name, "pyflow-developer-workloads", err)
	}
	restart := `{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"now"}}}}}`
	_, err = apps.Deployments(ns.Name).Patch(t.Context(), "of-others", types.StrategicMergePatchType, []byte(restart), metav1.PatchOptions{DryRun: dry})
	refused(t, "a restart of others", "pyflow-developer-workloads", err)

	gone := metav1.DeleteOptions{DryRun: dry}
	for name, err := range map[string]error{
		"the ServiceAccount of builds":    core.ServiceAccounts(ns.Name).Delete(t.Context(), manifests.BuildServiceAccount, gone),
		"a ServiceAccount of others":      core.ServiceAccounts(ns.Name).Delete(t.Context(), "of-others", gone),
		"a ConfigMap of others":           core.ConfigMaps(ns.Name).Delete(t.Context(), "of-others", gone),
		"a Deployment of others":          apps.Deployments(ns.Name).Delete(t.Context(), "of-others", gone),
		"the CA of the cluster's servers": core.ConfigMaps(ns.Name).Delete(t.Context(), "kube-root-ca.crt", gone),
	} {
		refused(t, "delete "+name, "pyflow-developer-deletions", err)
	}

	// The same by a release.
	for _, attack := range []struct{ document, says string }{
		{"apiVersion: v1\nkind: Secret\nmetadata:\n  name: token\n  annotations:\n    kubernetes.io/service-account.name: pyflow-deploy\ntype: kubernetes.io/service-account-token\n", "a release has no tokens of ServiceAccounts"},
		{"apiVersion: v1\nkind: Secret\nmetadata:\n  name: pyflow-build\nstringData:\n  environment: x\n", "the name is the platform's own"},
	} {
		dir := env.StuckApp(t, "evil", "containers: [{name: evil, image: evil}]\n", attack.document)
		r := ns.Pyflow(t, append([]string{"build", dir, "--adopt"}, a.flags...)...)
		r.Failed(t, attack.says)
	}
}

// TestDeveloperVerbs does with each verb what the policies must leave to developers.
func TestDeveloperVerbs(t *testing.T) {
	t.Parallel()
	ns, production := env.Namespace(t), env.Namespace(t)
	a := newAttacker(t, ns)
	kubectl(t, production, "create", "rolebinding", "promoter", "--clusterrole=pyflow-developer", "--user=attacker-"+ns.Name).Succeeded(t)
	as := func(args ...string) env.Result {
		t.Helper()
		at := len(args)
		for i, arg := range args {
			if arg == "--" {
				at = i
				break
			}
		}
		return ns.Pyflow(t, append(append(append([]string{}, args[:at]...), a.flags...), args[at:]...)...)
	}
	dir := env.Page(t, "app", "one", "")
	_, url := as("build", dir).Released(t)
	as("env", "set", "app", "MODE=fast").Succeeded(t)
	in := func(stdin string, args ...string) env.Result {
		t.Helper()
		return ns.Run(t, strings.NewReader(stdin), "kubectl", append(append([]string{"pyflow", "-n", ns.Name}, a.flags...), args...)...)
	}
	in("hunter2\n", "env", "set", "app", "TOKEN", "--secret").Succeeded(t)
	in("hunter3\n", "env", "set", "app", "TOKEN", "--secret").Succeeded(t)
	as("shell", "app", "--", "sh", "-c", "echo $MODE $TOKEN").Succeeded(t).Prints(t, "fast hunter3")
	as("env", "unset", "app", "TOKEN").Succeeded(t)
	as("scale", "app", "2").Succeeded(t)
	as("restart", "app").Succeeded(t)
	rewrite(t, dir, "two")
	as("build", dir, "--build-secret", "id=x,env=HOME").Released(t)
	as("images", "inspect", "app").Succeeded(t)
	as("history", "app").Succeeded(t)
	as("rollback", "app").Succeeded(t)
	env.Serves(t, url, "one")
	as("rerun", "app").Succeeded(t)
	as("promote", "app", "--to", production.Name).Succeeded(t)
	held := env.Project(t, "app", map[string]string{"Dockerfile": "FROM " + env.SmallBase + "\nRUN sleep 900\n"})
	run := strings.TrimSpace(as("build", held, "--detach", "-o", "name").Succeeded(t).Stdout)
	as("cancel", run).Succeeded(t)
	as("delete", "app", "--yes").Succeeded(t)
}

// TestImagesOfNamespaces runs the image of a namespace in another one, where the node has it.
func TestImagesOfNamespaces(t *testing.T) {
	t.Parallel()
	ns, other := env.Namespace(t), env.Namespace(t)
	unprepared := ns.EmptyNamespace(t)
	ns.Build(t, env.Page(t, "app", "one", "")).Released(t)
	list, err := ns.Kube.CoreV1().Pods(ns.Name).List(t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=app"})
	env.Check(t, err)
	image, id := list.Items[0].Spec.Containers[0].Image, list.Items[0].Status.ContainerStatuses[0].ImageID
	_, id, _ = strings.Cut(id, "@")
	pod := func(image string) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "stolen"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: image}}}}
	}
	for _, namespace := range []string{other.Name, unprepared} {
		pods := ns.Kube.CoreV1().Pods(namespace)
		for name, image := range map[string]string{"by its digest": image, "by its ID": id} {
			_, err := pods.Create(t.Context(), pod(image), metav1.CreateOptions{})
			refused(t, "the image of another namespace "+name, "pyflow-images", err)
		}
		good, err := pods.Create(t.Context(), pod(env.SmallBase), metav1.CreateOptions{})
		env.Check(t, err)
		_, err = pods.Patch(t.Context(), good.Name, types.StrategicMergePatchType, []byte(`{"spec":{"containers":[{"name":"app","image":"`+image+`"}]}}`), metav1.PatchOptions{})
		refused(t, "a changed image", "pyflow-images", err)
		_, err = pods.Patch(t.Context(), good.Name, types.StrategicMergePatchType, []byte(`{"spec":{"ephemeralContainers":[{"name":"x","image":"`+image+`"}]}}`), metav1.PatchOptions{}, "ephemeralcontainers")
		refused(t, "a debug container", "pyflow-images", err)
		env.Check(t, pods.Delete(t.Context(), good.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}))
	}
	// A controller creates the pod, whoever wrote the Deployment.
	kubectl(t, other, "create", "deployment", "stolen", "--image="+image).Succeeded(t)
	env.Eventually(t, "the ReplicaSet to be refused", func(ctx context.Context) error {
		events, err := ns.Kube.CoreV1().Events(other.Name).List(ctx, metav1.ListOptions{FieldSelector: "reason=FailedCreate"})
		if err == nil && !strings.Contains(fmt.Sprint(events.Items), "pyflow-images") {
			err = errors.New("no event says so")
		}
		return err
	})
	thief := pod(env.SmallBase)
	thief.Spec.ServiceAccountName = manifests.DeployServiceAccount
	_, err = ns.Kube.CoreV1().Pods(ns.Name).Create(t.Context(), thief, metav1.CreateOptions{})
	refused(t, "a pod as pyflow-deploy", "pyflow-identity", err)
}
