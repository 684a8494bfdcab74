package diagnose_test

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"knative.dev/pkg/apis"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/diagnose"
)

const quota = `exceeded quota: small, requested: limits.memory=8Gi,pods=1, used: limits.memory=0,pods=3, limited: limits.memory=4Gi,pods=10`

// The messages are those of Kubernetes 1.36, of containerd, CRI-O and Tekton.
func TestRules(t *testing.T) {
	for name, test := range map[string]struct {
		reason, message string
		limit           time.Duration
		// build and other are words of the advice for the pod of a build, and for
		// one of an app; the same if other is empty.
		build, other string
	}{
		"too little memory": {
			"Unschedulable", "0/1 nodes are available: 1 Insufficient memory; the pod requests 64Gi memory", 2 * time.Minute,
			"lower --memory,", "lower resources.requests.memory,",
		},
		"too little of two": {
			"Unschedulable", "0/3 nodes are available: 1 Insufficient memory, 2 Insufficient cpu.", 2 * time.Minute,
			"lower --memory and --cpu,", "lower resources.requests.memory and resources.requests.cpu,",
		},
		"no GPU":          {"Unschedulable", "0/1 nodes are available: 1 Insufficient nvidia.com/gpu.", 2 * time.Minute, "make room", "lower resources.requests.nvidia.com/gpu"},
		"no node, Tekton": {"ExceededNodeResources", "TaskRun Pod exceeded available resources", 2 * time.Minute, "--memory", ""},
		"node selector": {
			"Unschedulable", "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector", 2 * time.Minute,
			"correct --node-selector", "nodeSelector",
		},
		"taint": {"Unschedulable", "0/1 nodes are available: 1 node(s) had untolerated taint(s)", 2 * time.Minute, "toleration", ""},
		"node not ready": {
			"Unschedulable", "0/1 nodes are available: 1 node(s) had untolerated taint(s); node a has the taint node.kubernetes.io/not-ready", 2 * time.Minute,
			"is not ready", "",
		},
		"disk pressure, before 1.34": {"Unschedulable", "0/1 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/disk-pressure: }", 2 * time.Minute, "runs out of resources", ""},
		"cordoned":                   {"Unschedulable", "0/1 nodes are available: 1 node(s) were unschedulable", 2 * time.Minute, "kubectl uncordon", ""},
		"too many pods":              {"Unschedulable", "0/1 nodes are available: 1 Too many pods", 2 * time.Minute, "no more pods", ""},
		"host port":                  {"Unschedulable", "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports", 2 * time.Minute, "hostPort", ""},
		"volume elsewhere":           {"Unschedulable", "0/1 nodes are available: 1 node(s) had volume node affinity conflict", 2 * time.Minute, "volume is on a node", ""},
		"anti-affinity":              {"Unschedulable", "0/1 nodes are available: 1 node(s) didn't match pod anti-affinity rules", 2 * time.Minute, "podAntiAffinity", ""},
		"unschedulable":              {"Unschedulable", "0/1 nodes are available: a new reason", 2 * time.Minute, "describe pod app-1", ""},
		"gated":                      {"SchedulingGated", "Scheduling is blocked due to non-empty scheduling gates", diagnose.Forever, "scheduling gates", ""},
		"no claim":                   {"Unschedulable", `0/1 nodes are available: persistentvolumeclaim "data" not found`, 15 * time.Second, "no PersistentVolumeClaim data", ""},
		"unbound":                    {"Unschedulable", "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims", 2 * time.Minute, "describe persistentvolumeclaims", ""},
		"no class": {
			"Unschedulable", `0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims; PersistentVolumeClaim data: storageclass "fast" not found`, 15 * time.Second,
			"no StorageClass fast: correct storageClassName", "",
		},
		"no class, by Event": {"ProvisioningFailed", `storageclass.storage.k8s.io "fast" not found`, 15 * time.Second, "no StorageClass fast", ""},
		"no default class":   {"Unschedulable", "pod has unbound immediate PersistentVolumeClaims; PersistentVolumeClaim data: no storage class is set", 15 * time.Second, "no default StorageClass", ""},

		"no image":           {"ImagePullBackOff", "127.0.0.1:5180/hiking/app:9: not found", 30 * time.Second, "no such image: correct its name", ""},
		"no credentials":     {"ErrImagePull", "pull access denied, repository does not exist or may require authorization", 30 * time.Second, "imagePullSecrets", ""},
		"unknown CA":         {"ErrImagePull", "tls: failed to verify certificate: x509: certificate signed by unknown authority", 30 * time.Second, "install its CA", ""},
		"no TLS":             {"ErrImagePull", "http: server gave HTTP response to HTTPS client", 30 * time.Second, "insists on TLS", ""},
		"no route":           {"ErrImagePull", "dial tcp 192.0.2.77:5000: connect: no route to host", 2 * time.Minute, "does not reach the registry", ""},
		"refused":            {"ErrImagePull", "dial tcp 127.0.0.1:5180: connect: connection refused", 2 * time.Minute, "does not reach the registry", ""},
		"rate limit":         {"ImagePullBackOff", "429 Too Many Requests", 2 * time.Minute, "limits the rate", ""},
		"another platform":   {"ErrImagePull", "no match for platform in manifest: not found", 30 * time.Second, "not built for the CPU", ""},
		"no such host":       {"ErrImagePull", "lookup nowhere.example: no such host", 30 * time.Second, "cannot resolve the name of the registry", ""},
		"not a registry":     {"ErrImagePull", "405 Method Not Allowed", 30 * time.Second, "is no registry", ""},
		"pull":               {"ErrImagePull", "the moon is in the wrong phase", 30 * time.Second, "kubectl --namespace hiking describe pod app-1", ""},
		"pull, Tekton":       {"TaskRunImagePullFailed", "docker.io/library/nope:1: not found", 30 * time.Second, "no such image", ""},
		"image name":         {"InvalidImageName", `couldn't parse image name "App:1": invalid reference format`, 0, "lower case", ""},
		"never pulled":       {"ErrImageNeverPull", `Container image "app:1" is not present with pull policy of Never`, 0, "imagePullPolicy", ""},
		"the node's disk":    {"ErrImagePull", "write /var/lib/containerd/ingest/1/data: no space left on device", 2 * time.Minute, "disk is full", ""},
		"quota too small":    {"FailedCreate", quota, 0, "ResourceQuota small allows the namespace less limits.memory than this pod alone requests: lower --memory,", "lower resources.limits.memory,"},
		"quota, Tekton":      {"ExceededResourceQuota", quota, 0, "describe resourcequota small", ""},
		"quota without pods": {"FailedCreate", "exceeded quota: none, requested: pods=1, used: pods=0, limited: pods=0", 0, "ResourceQuota none allows the namespace less pods than this pod alone requests: ask an admin to raise it", ""},
		"quota used up":      {"FailedCreate", "exceeded quota: few, requested: pods=1, used: pods=4, limited: pods=4", diagnose.Forever, "used up ResourceQuota few", ""},
		"quota in other words": {
			"FailedCreate", "exceeded quota", diagnose.Forever, "used up its ResourceQuota", "",
		},
		"quota wants resources": {"FailedCreate", "failed quota: few: must specify limits.cpu for: app; limits.memory for: app", 0, "pass --memory and --cpu", "set resources.requests"},
		"limit range": {
			"FailedCreate", "[maximum memory usage per Container is 1Gi, but limit is 2Gi, maximum cpu usage per Container is 1, but limit is 2]", 0,
			"pass another --memory", "change the container's resources (kubectl --namespace hiking describe limitrange)",
		},
		"limit range's ratio": {"PodCreationFailed", "cpu max limit to request ratio per Container is 2, but provided ratio is 4.000000", 0, "LimitRange", ""},
		"pod security": {
			"FailedCreate", `violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false (container "app" must set securityContext.allowPrivilegeEscalation=false)`, 0,
			"restricted level forbids", "relax the namespace's restricted level: kubectl label --overwrite namespace hiking pod-security.kubernetes.io/enforce=baseline",
		},
		"OpenShift":         {"PodAdmissionFailed", "unable to validate against any security context constraint: []", 0, "SecurityContextConstraints", ""},
		"no ServiceAccount": {"FailedCreate", `error looking up service account hiking/walker: serviceaccount "walker" not found`, 15 * time.Second, "kubectl pyflow setup --namespace hiking", "create serviceaccount walker"},
		"webhook down": {
			"FailedCreate", `failed calling webhook "v.example.com": failed to call webhook: Post "https://v.example.svc:443/?timeout=10s": service "v" not found`, time.Minute,
			"webhook v.example.com does not answer", "",
		},
		"webhook denies": {"FailedCreate", `admission webhook "v.example.com" denied the request: no`, 15 * time.Second, "webhook v.example.com forbids", ""},
		"policy denies":  {"FailedCreate", `ValidatingAdmissionPolicy 'p.example.com' with binding 'b' denied request: failed expression`, 0, "policy p.example.com forbids", ""},
		"no user namespaces": {
			"FailedCreatePodSandBox", "Failed to create pod sandbox: can't set `spec.hostUsers: false`, runtime does not support user namespaces", 0,
			"run kubectl pyflow setup, which looks", "remove the field",
		},
		"no priority":      {"FailedCreate", "no PriorityClass with name urgent was found", 10 * time.Second, "no PriorityClass urgent", ""},
		"no runtime":       {"FailedCreate", `pod rejected: RuntimeClass "gvisor" not found`, 10 * time.Second, "no RuntimeClass gvisor", ""},
		"invalid":          {"FailedCreate", `Pod "app-1" is invalid: spec.containers[0].image: Required value`, 0, "names the field", ""},
		"other refusal":    {"FailedCreate", "words", 15 * time.Second, "", ""},
		"no Secret":        {"CreateContainerConfigError", `secret "db" not found`, 10 * time.Second, "run kubectl pyflow setup --namespace hiking", "kubectl --namespace hiking create secret generic db"},
		"no ConfigMap":     {"CreateContainerConfigError", `configmap "settings" not found`, 10 * time.Second, "setup", "create configmap settings"},
		"no Secret volume": {"FailedMount", `MountVolume.SetUp failed for volume "db" : secret "db" not found`, 10 * time.Second, "setup", "create secret generic db"},
		"no key":           {"CreateContainerConfigError", "couldn't find key password in Secret hiking/db", 10 * time.Second, "Secret db has no key password", ""},
		"no key, ConfigMap": {
			"CreateContainerConfigError", "couldn't find key port in ConfigMap hiking/settings", 10 * time.Second, "ConfigMap settings has no key port", "describe configmap settings",
		},
		"no key, volume": {"FailedMount", `MountVolume.SetUp failed for volume "db" : references non-existent secret key: password`, 10 * time.Second, "no key password", ""},
		"root":           {"CreateContainerConfigError", "container has runAsNonRoot and image will run as root", 10 * time.Second, "USER", ""},
		"config":         {"CreateContainerConfigError", "words", 10 * time.Second, "describe pod app-1", ""},
		"no permission":  {"RunContainerError", `failed to create containerd task: runc create failed: exec: "/app/start.sh": permission denied: unknown`, 30 * time.Second, "the user of the image may not run /app/start.sh", ""},
		"no directory":   {"StartError", `runc create failed: unable to start container process: chdir to cwd ("/root") set in config.json failed: permission denied: unknown`, 30 * time.Second, "the user of the image may not enter the WORKDIR /root", ""},
		"no program":     {"RunContainerError", `failed to create containerd task: exec: "app": executable file not found in $PATH`, 30 * time.Second, "CMD and ENTRYPOINT", ""},
		"create":         {"CreateContainerError", "words", 30 * time.Second, "describe pod", ""},
		"mount":          {"FailedMount", "timed out waiting for the condition", diagnose.Forever, "mount a volume", ""},
		"no network":     {"FailedCreatePodSandBox", `Failed to create pod sandbox: plugin type="bridge" failed (add)`, 2 * time.Minute, "network plugin", ""},
		"node lost":      {"NodeLost", "Node a which was running pod app-1 is unresponsive", diagnose.Forever, "kubectl get nodes", ""},
		"node away":      {"DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint", diagnose.Forever, "kubectl get nodes", ""},
		"no room":        {"OutOfcpu", "Node didn't have enough resource: cpu", 2 * time.Minute, "try again", ""},

		"crash":            {"CrashLoopBackOff", "exited with code 3, restarted twice", 0, "logs app-1 --container app --previous", ""},
		"out of memory":    {"OOMKilled", "", 0, "--memory", "resources.limits.memory"},
		"OOM, Tekton":      {"StepOOM", `"step-build" exited with code 137: OOMKilled`, 0, "--memory", "resources.limits.memory"},
		"OOM, again":       {"CrashLoopBackOff", "exited with code 137 (OOMKilled), restarted once", 0, "--memory", "resources.limits.memory"},
		"wrote too much":   {"PodEvicted", "Pod ephemeral local storage usage exceeds the total limit of containers 1Gi. ", diagnose.Forever, "--storage", "resources.limits.ephemeral-storage"},
		"volume too small": {"Evicted", `Usage of EmptyDir volume "work" exceeds the limit "1Gi". `, diagnose.Forever, "setup --build-storage", "raise sizeLimit"},
		"node's memory":    {"Evicted", "The node was low on resource: memory. Threshold quantity: 100Mi", diagnose.Forever, "--memory", "resources.requests.memory"},
		"node's pids":      {"Evicted", "The node was low on resource: pids.", diagnose.Forever, "try again", ""},
		"task's time":      {"TaskRunTimeout", `TaskRun "run-build" failed to finish within "1h0m0s"`, diagnose.Forever, "--timeout", "activeDeadlineSeconds"},
		"run's time":       {"PipelineRunTimeout", `PipelineRun "run" failed to finish within "1h0m0s"`, diagnose.Forever, "--timeout", "activeDeadlineSeconds"},
		"pod's time":       {"DeadlineExceeded", "Pod was active on the node longer than the specified deadline", diagnose.Forever, "--timeout", "activeDeadlineSeconds"},
		"readiness":        {"Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503", diagnose.Forever, "readinessProbe", ""},
		"liveness":         {"Unhealthy", "Liveness probe failed: dial tcp 10.0.0.1:80: connection refused", diagnose.Forever, "livenessProbe", ""},
		"startup":          {"Unhealthy", "Startup probe failed: command timed out", diagnose.Forever, "startupProbe", ""},
		"not ready":        {"NotReady", "the container runs and is not ready", diagnose.Forever, "logs app-1", ""},

		"no pipeline":    {"CouldntGetPipeline", "Error retrieving pipeline", 0, "run kubectl pyflow setup", ""},
		"no task":        {"CouldntGetTask", "it contains Tasks that don't exist", 0, "run kubectl pyflow setup", ""},
		"no controller":  {"NotStarted", "Tekton has not taken up the run", diagnose.Forever, "tekton-pipelines", ""},
		"on hold":        {"PipelineRunPending", "", diagnose.Forever, "on hold", ""},
		"unknown reason": {"Whatever", "words", diagnose.Forever, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			found := diagnose.New(diagnose.Problem{Namespace: "hiking", Pod: "app-1", Container: "app", Reason: test.reason, Message: test.message})
			if got := found.Limit(); got != test.limit || found.Terminal != (test.limit == 0) {
				t.Errorf("limit %s, terminal %t, want %s", got, found.Terminal, test.limit)
			}
			other := test.other
			if other == "" {
				other = test.build
			}
			for build, want := range map[bool]string{true: test.build, false: other} {
				found.Build = build
				got := diagnose.New(found).Remedy
				if !strings.Contains(got, want) || (got == "") != (want == "") || strings.Contains(got, "\n") {
					t.Errorf("remedy %q, want %q (build: %t)", got, want, build)
				}
				if !build && test.other != "" && strings.Contains(got, "--memory") {
					t.Errorf("advice %q names a flag of build", got)
				}
			}
		})
	}
}

func pod(change func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "hiking", Name: "app-1", UID: "pod"},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "app", Image: "registry.example/hiking/app:1",
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("64Gi")}},
		}}},
		Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "app", Image: "registry.example/hiking/app:1"}}},
	}
	change(p)
	return p
}

func unschedulable(message string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Status.ContainerStatuses = nil
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: message}}
	}
}

func waiting(reason, message string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Status.ContainerStatuses[0].State.Waiting = &corev1.ContainerStateWaiting{Reason: reason, Message: message}
	}
}

func TestOfPod(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*corev1.Pod)
		want   string
	}{
		"new":      {func(*corev1.Pod) {}, ""},
		"creating": {waiting("ContainerCreating", ""), ""},
		"unschedulable": {
			unschedulable("0/1 nodes are available: 1 Insufficient memory. no new claims to deallocate, preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."),
			"pod app-1: Unschedulable: 0/1 nodes are available: 1 Insufficient memory; the pod requests 64Gi memory",
		},
		"a claim, to which preemption has nothing to say": {
			unschedulable(`0/2 nodes are available: persistentvolumeclaim "data" not found. not found`),
			`pod app-1: Unschedulable: 0/2 nodes are available: persistentvolumeclaim "data" not found`,
		},
		"containers that ask together": {
			func(p *corev1.Pod) {
				unschedulable("0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory.")(p)
				p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
					corev1.ResourceMemory: resource.MustParse("960Gi"), corev1.ResourceCPU: resource.MustParse("1500m"),
				}}})
			},
			"pod app-1: Unschedulable: 0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory; the pod requests 1500m cpu and 1Ti memory",
		},
		"pull": {
			waiting("ImagePullBackOff", `Back-off pulling image "registry.example/hiking/app:1": ErrImagePull: rpc error: code = NotFound desc = failed to pull and unpack image "registry.example/hiking/app:1": failed to resolve reference "registry.example/hiking/app:1": registry.example/hiking/app:1: not found`),
			"pod app-1, container app: ImagePullBackOff: registry.example/hiking/app:1: not found",
		},
		"pull that does not name the image": {
			waiting("ErrImagePull", `failed to pull and unpack image "registry.example/hiking/app:1": failed to resolve reference "registry.example/hiking/app:1": unexpected status from HEAD request to https://registry.example/v2/hiking/app/manifests/1: 401 Unauthorized`),
			"pod app-1, container app: ErrImagePull: image registry.example/hiking/app:1: 401 Unauthorized",
		},
		"nothing said": {waiting("ErrImagePull", ""), "pod app-1, container app: ErrImagePull: image registry.example/hiking/app:1"},
		"crash": {
			func(p *corev1.Pod) {
				waiting("CrashLoopBackOff", "back-off 10s restarting failed container")(p)
				p.Status.ContainerStatuses[0].RestartCount = 2
				p.Status.ContainerStatuses[0].LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"}
			},
			"pod app-1, container app: CrashLoopBackOff: exited with code 137 (OOMKilled), restarted twice",
		},
		"the one with less limit first": {
			func(p *corev1.Pod) {
				waiting("ImagePullBackOff", "words")(p)
				p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, corev1.ContainerStatus{
					Name: "sidecar", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "InvalidImageName", Message: "Bad"}},
				})
			},
			"pod app-1, container sidecar: InvalidImageName: Bad; pod app-1, container app: ImagePullBackOff: image registry.example/hiking/app:1: words",
		},
		"evicted": {
			func(p *corev1.Pod) {
				p.Status.Phase, p.Status.Reason, p.Status.Message = corev1.PodFailed, "Evicted", "The node was low on resource: memory. "
				p.Status.Conditions = []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "TerminationByKubelet"}}
			},
			"pod app-1: Evicted: The node was low on resource: memory.",
		},
		"driven away": {
			func(p *corev1.Pod) {
				p.Status.Conditions = []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "DeletionByTaintManager", Message: "Taint manager: deleting"}}
			},
			"pod app-1: DeletionByTaintManager: Taint manager: deleting",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, found := range diagnose.OfPod(pod(test.change)) {
				got = append(got, found.String())
			}
			if got := strings.Join(got, "; "); got != test.want {
				t.Errorf("OfPod() = %q, want %q", got, test.want)
			}
		})
	}
}

// What is around the cause goes, above all names that are new with every attempt.
func TestRefused(t *testing.T) {
	for message, want := range map[string]string{
		`pods "app-1-x7x2v" is forbidden: ` + quota:                                             quota,
		`Error creating: pods "app-1-x7x2v" is forbidden: ` + quota:                             quota,
		`create Pod app-0 in StatefulSet app failed error: pods "app-0" is forbidden: ` + quota: quota,
		`Internal error occurred: failed calling webhook "v": service "v" not found`:            `failed calling webhook "v": service "v" not found`,
		"two\nlines": "two lines",
	} {
		if got := diagnose.Refused("hiking", message); got.Message != want || got.Reason != "FailedCreate" || got.Namespace != "hiking" {
			t.Errorf("Refused(%q) = %+v, want %q", message, got, want)
		}
	}
}

func TestOfCondition(t *testing.T) {
	for name, test := range map[string]struct {
		status                   corev1.ConditionStatus
		reason, message          string
		ok                       bool
		container, want, advised string
	}{
		"at work":   {corev1.ConditionUnknown, "Running", "Not all Steps in the Task have finished executing", false, "", "", ""},
		"succeeded": {corev1.ConditionTrue, "Succeeded", "All Steps have completed executing", false, "", "", ""},
		"canceled":  {corev1.ConditionFalse, "TaskRunCancelled", "TaskRun was cancelled", false, "", "", ""},
		"quota": {
			corev1.ConditionUnknown, "ExceededResourceQuota", `TaskRun Pod exceeded available resources: pods "run-build-pod" is forbidden: ` + quota,
			true, "", quota, "ResourceQuota small",
		},
		"account": {
			corev1.ConditionFalse, "PodCreationFailed",
			`failed to create task run pod "run-build": pods "run-build-pod" is forbidden: error looking up service account hiking/pyflow-build: serviceaccount "pyflow-build" not found. Maybe missing or invalid Task hiking/pyflow-build`,
			true, "", `error looking up service account hiking/pyflow-build: serviceaccount "pyflow-build" not found`, "setup --namespace hiking",
		},
		"invalid": {
			corev1.ConditionFalse, "PodCreationFailed",
			`failed to create task run pod "run-build": pods "run-build-pod" is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi. Maybe invalid TaskSpec`,
			true, "", "maximum memory usage per Container is 1Gi, but limit is 2Gi", "--memory",
		},
		"pull": {
			corev1.ConditionFalse, "TaskRunImagePullFailed",
			`the step "build" in TaskRun "run-build" failed to pull the image "". The pod errored with the message: "Back-off pulling image "registry.example/kaniko:1": ErrImagePull: failed to pull and unpack image "registry.example/kaniko:1": failed to resolve reference "registry.example/kaniko:1": registry.example/kaniko:1: not found."`,
			true, "build", "registry.example/kaniko:1: not found", "no such image",
		},
		"config": {
			corev1.ConditionFalse, "CreateContainerConfigError", `the step "build" in TaskRun "run-build" failed to start. The pod errored with the message: "secret "pyflow-build" not found."`,
			true, "build", `secret "pyflow-build" not found`, "setup --namespace hiking",
		},
		"evicted": {corev1.ConditionFalse, "PodEvicted", "Pod ephemeral local storage usage exceeds the total limit of containers 1Gi. ", true, "", "Pod ephemeral local storage usage exceeds the total limit of containers 1Gi.", "--storage"},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := diagnose.OfCondition("hiking", &apis.Condition{Type: apis.ConditionSucceeded, Status: test.status, Reason: test.reason, Message: test.message})
			if ok != test.ok || got.Message != test.want || got.Container != test.container {
				t.Errorf("OfCondition() = %+v, %t, want %q in %q, %t", got, ok, test.want, test.container, test.ok)
			}
			if !strings.Contains(got.Remedy, test.advised) {
				t.Errorf("remedy %q, want %q", got.Remedy, test.advised)
			}
		})
	}
	if _, ok := diagnose.OfCondition("hiking", nil); ok {
		t.Error("no condition reports a problem")
	}
}

func TestInText(t *testing.T) {
	for line, want := range map[string]string{
		`Error from server (InternalError): error when creating "app.yaml": Internal error occurred: failed calling webhook "v.example.com": failed to call webhook`:                                                                 "webhook v.example.com does not answer",
		`Error from server (Forbidden): error when applying patch: deployments.apps "app" is forbidden: exceeded quota: few, requested: count/deployments.apps=1, used: count/deployments.apps=1, limited: count/deployments.apps=1`: "used up ResourceQuota few",
		`2026/05/01 failed calling webhook "v.example.com"`: "",
	} {
		got, ok := diagnose.InText("hiking", line)
		if ok != (want != "") || !strings.Contains(got.Remedy, want) {
			t.Errorf("InText(%q) = %+v, %t with remedy %q, want %q", line, got, ok, got.Remedy, want)
		}
	}
}

func TestNotReady(t *testing.T) {
	running := pod(func(p *corev1.Pod) { p.Status.ContainerStatuses[0].State.Running = &corev1.ContainerStateRunning{} })
	if got, ok := diagnose.NotReady(running); !ok || got.Container != "app" || !got.Logs {
		t.Errorf("NotReady() = %+v, %t", got, ok)
	}
	running.Status.ContainerStatuses[0].Ready = true
	if got, ok := diagnose.NotReady(running); ok {
		t.Errorf("NotReady() of a ready pod = %+v", got)
	}
}

func TestTolerance(t *testing.T) {
	begin := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	type look struct {
		after           time.Duration
		reason, message string
		exceeded        bool
		again           time.Duration // after begin; -1 is never
	}
	for name, looks := range map[string][]look{
		"at once":         {{0, "InvalidImageName", "", true, 0}},
		"after its limit": {{0, "Unschedulable", "Insufficient cpu", false, 2 * time.Minute}, {119 * time.Second, "Unschedulable", "Insufficient cpu", false, 2 * time.Minute}, {2 * time.Minute, "Unschedulable", "Insufficient memory", true, 0}},
		"never":           {{0, "FailedMount", "words", false, -1}, {time.Hour, "FailedMount", "words", false, -1}},
		"second pull":     {{0, "ErrImagePull", "not found", false, 30 * time.Second}, {time.Second, "ImagePullBackOff", "not found", false, 30 * time.Second}, {10 * time.Second, "ErrImagePull", "not found", true, 0}},
		"one pull seen twice": {
			{0, "ErrImagePull", "not found", false, 30 * time.Second}, {time.Second, "ErrImagePull", "not found", false, 30 * time.Second},
		},
		"second pull that may pass": {
			{0, "ErrImagePull", "i/o timeout", false, 2 * time.Minute},
			{1, "ImagePullBackOff", "i/o timeout", false, 2 * time.Minute},
			{30 * time.Second, "ErrImagePull", "i/o timeout", false, 2 * time.Minute},
			{2 * time.Minute, "ErrImagePull", "i/o timeout", true, 0},
		},
	} {
		t.Run(name, func(t *testing.T) {
			tolerance := diagnose.NewTolerance()
			for i, look := range looks {
				exceeded, again := tolerance.Exceeded(diagnose.New(diagnose.Problem{Pod: "app-1", Reason: look.reason, Message: look.message}), begin.Add(look.after))
				if exceeded != look.exceeded {
					t.Errorf("look %d: exceeded %t, want %t", i, exceeded, look.exceeded)
				}
				if want := begin.Add(look.again); !exceeded && look.again >= 0 && !again.Equal(want) || look.again < 0 && !again.IsZero() {
					t.Errorf("look %d: again at %s, want %s", i, again, want)
				}
			}
		})
	}
}
