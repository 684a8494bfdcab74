package diagnose

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
)

const (
	// autoscaler is the time that a new node, or a node that comes back, takes.
	autoscaler = 2 * time.Minute
	// release is the time within which the other objects of a release appear: a Secret, a
	// ConfigMap.
	release = 10 * time.Second
	// account is the same for a ServiceAccount: controllers look for one less often.
	account = 15 * time.Second
	// restart is the time that a webhook or a plugin takes to come back.
	restart = time.Minute
	// retries is the time of three pulls: the kubelet pulls again after 10 and 20 seconds.
	retries = 30 * time.Second
)

// The reasons of Kubernetes that code refers to.
const (
	errImagePull     = "ErrImagePull"
	imagePullBackOff = "ImagePullBackOff"
	crashLoopBackOff = "CrashLoopBackOff"
	unhealthy        = "Unhealthy"
	notReady         = "NotReady"
	failedCreate     = "FailedCreate"
)

// InText returns the problem in a line that kubectl prints when the API server refuses a
// request. ok is false for any other line.
func InText(namespace, line string) (p Problem, ok bool) {
	match := serverError.FindStringSubmatch(line)
	if match == nil {
		return Problem{}, false
	}
	return New(Problem{Namespace: namespace, Reason: match[1], Message: plain(match[2])}), true
}

var serverError = regexp.MustCompile(`Error from server \((\w+)\): (.*)`)

// rule is one row of the table: which problems it applies to, how long they may last and
// what to do.
type rule struct {
	// reasons are those of the problem; a rule without reasons applies to all of them.
	reasons []string
	// words match the message of the problem; nil matches every message.
	words *regexp.Regexp
	// limit returns how long the problem may last; nil is Forever. remedy returns what to do;
	// nil is nothing. Both get the match of words.
	limit  func(Problem, []string) time.Duration
	remedy func(Problem, []string) string
}

// find returns the first rule that applies to p, and the match of its words.
func find(p Problem) (rule, []string) {
	for _, rule := range rules {
		if len(rule.reasons) > 0 && !slices.Contains(rule.reasons, p.Reason) {
			continue
		}
		if rule.words == nil {
			return rule, nil
		}
		if match := rule.words.FindStringSubmatch(p.Message); match != nil {
			return rule, match
		}
	}
	return rule{}, nil
}

func within(limit time.Duration) func(Problem, []string) time.Duration {
	return func(Problem, []string) time.Duration { return limit }
}

func always(remedy string) func(Problem, []string) string {
	return func(Problem, []string) string { return remedy }
}

// either returns one remedy for the pod of a build, and another for all other pods.
func either(build, other string) func(Problem, []string) string {
	return func(p Problem, _ []string) string {
		if p.Build {
			return build
		}
		return other
	}
}

func (p Problem) kubectl(command string) string {
	if p.Namespace == "" {
		return "kubectl " + command
	}
	return "kubectl --namespace " + p.Namespace + " " + command
}

func (p Problem) describe() string {
	if p.Pod == "" {
		return p.kubectl("get events")
	}
	return p.kubectl("describe pod " + p.Pod)
}

// rules is the table, by subject. The first rule that applies counts.
//
//nolint:gochecknoglobals // a table with regular expressions, compiled once
var rules = slices.Concat(terminated, refused, scheduling, starting, runs)

// terminated are the rules for containers and pods that ended.
//
//nolint:gochecknoglobals // as above
var terminated = []rule{
	{
		reasons: []string{"OOMKilled", "StepOOM", "SidecarOOM", "InitContainerOOM"},
		limit:   within(0),
		remedy:  either("the build needs more memory than its limit: raise it with --memory", "the program needs more memory than its limit: raise resources.limits.memory, or reduce what the program uses"),
	},
	{
		reasons: []string{crashLoopBackOff},
		words:   regexp.MustCompile(`OOMKilled`),
		limit:   within(0),
		remedy:  either("the build needs more memory than its limit: raise it with --memory", "the program needs more memory than its limit: raise resources.limits.memory, or reduce what the program uses"),
	},
	{
		reasons: []string{crashLoopBackOff},
		limit:   within(0),
		remedy: func(p Problem, _ []string) string {
			return "the program exits after it starts; see its log: " + p.kubectl(fmt.Sprintf("logs %s --container %s --previous", p.Pod, p.Container))
		},
	},
	{
		reasons: []string{"Error"},
		words:   regexp.MustCompile(`^exited with code`),
		remedy: func(p Problem, _ []string) string {
			return "the program exits after it starts; see its log: " + p.kubectl(fmt.Sprintf("logs %s --container %s", p.Pod, p.Container))
		},
	},
	{
		reasons: []string{"Evicted", "PodEvicted", "TerminationByKubelet"},
		words:   regexp.MustCompile(`(?i)EmptyDir volume "([^"]+)" exceeds`),
		remedy: func(p Problem, match []string) string {
			if p.Build {
				return "the source or the image is larger than the volume " + match[1] + " of the run: an admin raises its size with kubectl pyflow setup --build-storage"
			}
			return "the program wrote more to the volume " + match[1] + " than its limit: raise sizeLimit of its emptyDir"
		},
	},
	{
		reasons: []string{"Evicted", "PodEvicted", "TerminationByKubelet"},
		words:   regexp.MustCompile(`(?i)ephemeral[- ](?:local )?storage|emptydir|nodefs|imagefs|inode`),
		remedy:  either("the build needs more disk than its limit: raise it with --storage", "the program wrote more to disk than its limit: raise resources.limits.ephemeral-storage, or give it a volume"),
	},
	{
		reasons: []string{"Evicted", "PodEvicted", "TerminationByKubelet"},
		words:   regexp.MustCompile(`(?i)memory`),
		remedy:  either("the node ran out of memory: reserve memory for the build with --memory", "the node ran out of memory: reserve memory for the program with resources.requests.memory"),
	},
	{
		reasons: []string{"Evicted", "PodEvicted", "TerminationByKubelet"},
		remedy:  always("the node ran out of a resource and evicted the pod: try again, or free the node"),
	},
	{
		reasons: []string{"TaskRunTimeout", "PipelineRunTimeout", "PipelineRunTimeoutRunningFinally", "DeadlineExceeded"},
		remedy:  either("raise --timeout", "raise activeDeadlineSeconds of the pod"),
	},
	{
		reasons: []string{"NodeLost", "NodeNotReady", "DeletionByTaintManager", "TaintManagerEviction", "NodeShutdown", "Shutdown", "Terminated", "DeletionByPodGC"},
		remedy:  always("the node of the pod is down or does not answer: check kubectl get nodes, and try again when the node is Ready"),
	},
	{
		reasons: []string{"PreemptionByScheduler", "Preempting", "Preempted"},
		remedy:  always("a pod with a higher priority took its place: try again, or set priorityClassName"),
	},
}

// refused are the rules for pods that the API server does not create: quota, limits, admission.
//
//nolint:gochecknoglobals // as above
var refused = []rule{
	{
		words: regexp.MustCompile(`exceeded quota: ([^,\s]+), requested: (\S+), used: (\S+), limited: (\S+?)\.?$`),
		limit: func(_ Problem, match []string) time.Duration {
			if len(tooLarge(match[2], match[4])) > 0 {
				return 0
			}
			return Forever // other pods may be deleted
		},
		remedy: func(p Problem, match []string) string {
			quota := p.kubectl("describe resourcequota " + match[1])
			if large := tooLarge(match[2], match[4]); len(large) > 0 {
				remedy := "ask an admin to raise it"
				if smaller := p.smaller(large); smaller != "" {
					remedy = "lower " + smaller + ", or " + remedy
				}
				return fmt.Sprintf("ResourceQuota %s allows the namespace less %s than this pod alone requests: %s (%s)", match[1], strings.Join(large, " and "), remedy, quota)
			}
			return fmt.Sprintf("the namespace has used up ResourceQuota %s: delete what you no longer need, or ask an admin to raise it (%s)", match[1], quota)
		},
	},
	{
		words: regexp.MustCompile(`exceeded quota`),
		remedy: func(p Problem, _ []string) string {
			return "the namespace has used up its ResourceQuota: delete what you no longer need, or ask an admin to raise it (" + p.kubectl("describe resourcequota") + ")"
		},
	},
	{
		words: regexp.MustCompile(`failed quota: ([^:\s]+): must specify (.*)`),
		limit: within(0),
		remedy: func(p Problem, match []string) string {
			if p.Build {
				return "ResourceQuota " + match[1] + " requires resources on every container: pass --memory and --cpu, or ask an admin for a LimitRange with defaults"
			}
			return "ResourceQuota " + match[1] + " requires resources on every container: set resources.requests and resources.limits, or ask an admin for a LimitRange with defaults"
		},
	},
	{
		words: regexp.MustCompile(`(?:minimum|maximum) \S+ usage per \w+ is|max limit to request ratio per \w+ is`),
		limit: within(0),
		remedy: func(p Problem, _ []string) string {
			limits := p.kubectl("describe limitrange")
			if p.Build {
				return "the LimitRange of the namespace restricts what a pod may request: pass another --memory, --cpu or --storage (" + limits + ")"
			}
			return "the LimitRange of the namespace restricts what a pod may request: change the container's resources (" + limits + ")"
		},
	},
	{
		words: regexp.MustCompile(`violates PodSecurity(?: "(\w+)[^"]*")?`),
		limit: within(0),
		remedy: func(p Problem, match []string) string {
			level := strings.TrimSpace(match[1] + " level")
			relax := "kubectl label --overwrite namespace " + orNamespace(p.Namespace) + " pod-security.kubernetes.io/enforce=baseline"
			if p.Build {
				return "a build runs as root, as Dockerfiles expect, and the namespace's " + level + " forbids that: build in another namespace, or ask an admin to relax this one: " + relax
			}
			return "add what is missing to the securityContext of the pod, or ask an admin to relax the namespace's " + level + ": " + relax
		},
	},
	{
		words:  regexp.MustCompile(`security context constraint`),
		limit:  within(0),
		remedy: always("no SecurityContextConstraints allow this pod: ask an admin to allow its ServiceAccount one that does"),
	},
	{
		words: regexp.MustCompile(`(?i)serviceaccount "([^"]+)" not found`),
		limit: within(account),
		remedy: func(p Problem, match []string) string {
			if p.Build {
				return "the namespace is not set up for builds: run kubectl pyflow setup --namespace " + orNamespace(p.Namespace)
			}
			return "there is no ServiceAccount " + match[1] + ": deploy it too, or create it: " + p.kubectl("create serviceaccount "+match[1])
		},
	},
	{
		words: regexp.MustCompile(`failed calling webhook "([^"]+)"`),
		limit: within(restart),
		remedy: func(_ Problem, match []string) string {
			return "admission webhook " + match[1] + " does not answer: ask an admin to start its server, or to delete its configuration if it is gone (kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations)"
		},
	},
	{
		words: regexp.MustCompile(`admission webhook "([^"]+)" denied the request`),
		limit: within(account),
		remedy: func(_ Problem, match []string) string {
			return "admission webhook " + match[1] + " forbids this: change what the message names, or ask an admin"
		},
	},
	{
		words: regexp.MustCompile(`(?i)policy ['"]([^'"]+)['"](?: with binding \S+)? denied request`),
		limit: within(0),
		remedy: func(_ Problem, match []string) string {
			return "admission policy " + match[1] + " forbids this: change what the message names, or ask an admin"
		},
	},
	{
		words:  regexp.MustCompile(`runtime does not support user namespaces|MOUNT_ATTR_IDMAP`),
		limit:  within(0),
		remedy: either("the node cannot run builds in user namespaces: ask an admin to run kubectl pyflow setup, which looks at all nodes again", "the node cannot run pods with hostUsers: false: upgrade its container runtime, or remove the field"),
	},
	{
		words: regexp.MustCompile(`no PriorityClass with name (\S+) was found`),
		limit: within(release),
		remedy: func(_ Problem, match []string) string {
			return "there is no PriorityClass " + match[1] + ": correct priorityClassName (kubectl get priorityclasses)"
		},
	},
	{
		words: regexp.MustCompile(`RuntimeClass "([^"]+)" not found`),
		limit: within(release),
		remedy: func(_ Problem, match []string) string {
			return "there is no RuntimeClass " + match[1] + ": correct runtimeClassName (kubectl get runtimeclasses)"
		},
	},
	{
		reasons: []string{failedCreate, "PodCreationFailed"},
		words:   regexp.MustCompile(`is invalid: `),
		limit:   within(0),
		remedy:  always("correct the pod's manifest: the message names the field"),
	},
	{
		reasons: []string{failedCreate},
		limit:   within(account),
	},
}

// scheduling are the rules for pods without a node.
//
//nolint:gochecknoglobals // as above
var scheduling = []rule{
	{
		words: regexp.MustCompile(`persistentvolumeclaim "([^"]+)" not found`),
		limit: within(account),
		remedy: func(_ Problem, match []string) string {
			return "there is no PersistentVolumeClaim " + match[1] + ": deploy it too, or correct claimName"
		},
	},
	{
		words: regexp.MustCompile(`storageclass(?:\.storage\.k8s\.io)? "([^"]+)" not found`),
		limit: within(account),
		remedy: func(_ Problem, match []string) string {
			return "there is no StorageClass " + match[1] + ": correct storageClassName (kubectl get storageclasses)"
		},
	},
	{
		words:  regexp.MustCompile(`no storage class is set`),
		limit:  within(account),
		remedy: always("the cluster has no default StorageClass: set storageClassName in the claim (kubectl get storageclasses)"),
	},
	{
		words: regexp.MustCompile(`(?i)unbound (?:immediate )?PersistentVolumeClaims|persistent volumes? to bind|ProvisioningFailed`),
		limit: within(autoscaler),
		remedy: func(p Problem, _ []string) string {
			return "a PersistentVolumeClaim has no volume; see why: " + p.kubectl("describe persistentvolumeclaims")
		},
	},
	{
		reasons: unschedulableReasons,
		words:   regexp.MustCompile(`Insufficient `),
		limit:   within(autoscaler),
		remedy: func(p Problem, _ []string) string {
			var scarce []string
			for _, match := range insufficient.FindAllStringSubmatch(p.Message, -1) {
				scarce = append(scarce, "requests."+match[1])
			}
			remedy := "make room"
			if smaller := p.smaller(scarce); smaller != "" {
				remedy = "lower " + smaller + ", or " + remedy
			}
			return "no node has that much free: " + remedy + " (kubectl describe nodes)"
		},
	},
	{
		// Tekton reports it without the message of the scheduler.
		reasons: []string{"ExceededNodeResources"},
		limit:   within(autoscaler),
		remedy:  always("no node has that much free: lower --memory and --cpu, or make room (kubectl describe nodes)"),
	},
	{
		reasons: unschedulableReasons,
		words:   regexp.MustCompile(`Too many pods`),
		limit:   within(autoscaler),
		remedy:  always("the nodes take no more pods: delete what you no longer need, or add a node"),
	},
	{
		reasons: unschedulableReasons,
		words:   regexp.MustCompile(`node\.kubernetes\.io/(?:not-ready|unreachable|disk-pressure|memory-pressure|pid-pressure|network-unavailable)`),
		limit:   within(autoscaler),
		remedy:  always("a node that could take the pod is not ready or runs out of resources: check kubectl describe nodes, and repair the node"),
	},
	{
		reasons: unschedulableReasons,
		words:   regexp.MustCompile(`didn't match (?:Pod's|scheduler-enforced) node affinity|didn't match the requested node name`),
		limit:   within(autoscaler),
		remedy:  either("no node that could take the build has these labels: correct --node-selector (kubectl get nodes --show-labels)", "no node that could take the pod has these labels: correct nodeSelector or affinity (kubectl get nodes --show-labels)"),
	},
	{
		reasons: unschedulableReasons,
		words:   regexp.MustCompile(`untolerated taint|taints that the pod didn't tolerate`),
		limit:   within(autoscaler),
		remedy:  always("the nodes are reserved for other pods, or are not ready: check their taints with kubectl describe nodes; remove one, or give the pod a toleration"),
	},
	{
		reasons: unschedulableReasons,
		words:   regexp.MustCompile(`were unschedulable`),
		limit:   within(autoscaler),
		remedy:  always("the nodes are cordoned: ask an admin to open one with kubectl uncordon NODE"),
	},
	{
		reasons: unschedulableReasons,
		words:   regexp.MustCompile(`free ports`),
		limit:   within(autoscaler),
		remedy:  always("another pod has the hostPort on every node: use another port, or no hostPort"),
	},
	{
		reasons: unschedulableReasons,
		words:   regexp.MustCompile(`volume node affinity|available volume zone`),
		limit:   within(autoscaler),
		remedy:  always("the pod's volume is on a node or in a zone where the pod cannot run: free that node, or recreate the PersistentVolumeClaim"),
	},
	{
		reasons: unschedulableReasons,
		words:   regexp.MustCompile(`affinity rules|topology spread`),
		limit:   within(autoscaler),
		remedy:  always("the pod may not run beside others: relax its podAffinity, podAntiAffinity or topologySpreadConstraints, or add a node"),
	},
	{
		reasons: unschedulableReasons,
		limit:   within(autoscaler),
		remedy: func(p Problem, _ []string) string {
			return "no node takes the pod: " + p.describe()
		},
	},
	{
		reasons: []string{"SchedulingGated"},
		remedy:  always("the pod waits until a controller removes its scheduling gates: check the controller that sets them"),
	},
}

//nolint:gochecknoglobals // as above
var startReasons = []string{"CreateContainerError", "RunContainerError", "StartError", "ContainerCannotRun"}

//nolint:gochecknoglobals // as above
var unschedulableReasons = []string{"Unschedulable", "FailedScheduling"}

// starting are the rules for pods that a node cannot start: images, volumes, configuration, probes.
//
//nolint:gochecknoglobals // as above
var starting = []rule{
	{
		words: regexp.MustCompile(`couldn't find key (\S+) in (Secret|ConfigMap) (?:[^/\s]+/)?(\S+)`),
		limit: within(release),
		remedy: func(p Problem, match []string) string {
			return fmt.Sprintf("%s %s has no key %s: add it, or correct the manifest (%s)", match[2], match[3], match[1], p.kubectl("describe "+strings.ToLower(match[2])+" "+match[3]))
		},
	},
	{
		words: regexp.MustCompile(`references non-existent (secret|config) key: (\S+)`),
		limit: within(release),
		remedy: func(p Problem, match []string) string {
			kind := map[string]string{"secret": "Secret", "config": "ConfigMap"}[match[1]]
			return fmt.Sprintf("the %s of a volume has no key %s: add it, or correct the manifest (%s)", kind, match[2], p.describe())
		},
	},
	{
		words: regexp.MustCompile(`(secret|configmap) "([^"]+)" not found`),
		limit: within(release),
		remedy: func(p Problem, match []string) string {
			if p.Build {
				return "a " + match[1] + " of the build does not exist: run kubectl pyflow setup --namespace " + orNamespace(p.Namespace) + ", or correct --build-secret and --git-secret"
			}
			if match[1] == "secret" {
				return "create the Secret, which does not belong into the source code: " + p.kubectl("create secret generic "+match[2]) + " --from-literal=KEY=VALUE"
			}
			return "deploy the ConfigMap too, or create it: " + p.kubectl("create configmap "+match[2]) + " --from-literal=KEY=VALUE"
		},
	},
	{
		reasons: []string{"InvalidImageName"},
		limit:   within(0),
		remedy:  always("correct the name of the image: HOST/NAME:TAG, in lower case"),
	},
	{
		reasons: []string{"ErrImageNeverPull"},
		limit:   within(0),
		remedy:  always("the node does not have the image and may not pull it: set imagePullPolicy to IfNotPresent"),
	},
	{
		words:  regexp.MustCompile(`no space left on device`),
		limit:  within(autoscaler),
		remedy: always("the node's disk is full: free it, or use another node (kubectl describe nodes)"),
	},
	{
		reasons: pullReasons,
		limit: func(p Problem, _ []string) time.Duration {
			if OfPull(p.Message).Passes() {
				return autoscaler
			}
			return retries
		},
		remedy: func(p Problem, _ []string) string { return OfPull(p.Message).remedy(p) },
	},
	{
		words:  regexp.MustCompile(`runAsNonRoot`),
		limit:  within(release),
		remedy: always("the image runs as root and the manifest forbids that: add a numeric USER to the Dockerfile, or set runAsUser"),
	},
	{
		reasons: []string{"CreateContainerConfigError"},
		limit:   within(release),
		remedy:  func(p Problem, _ []string) string { return "correct the reference in the pod: " + p.describe() },
	},
	{
		reasons: startReasons,
		words:   regexp.MustCompile(`(?:exec: |stat |fork/exec )"?([^\s":]+)"?: permission denied`),
		limit:   within(retries),
		remedy: func(p Problem, match []string) string {
			return p.user() + " may not run " + match[1] + ": make it executable in the Dockerfile (COPY --chmod=0755, or RUN chmod), and its directories accessible"
		},
	},
	{
		reasons: startReasons,
		words:   regexp.MustCompile(`chdir to cwd \("?([^"\s)]+)"?\).*permission denied`),
		limit:   within(retries),
		remedy: func(p Problem, match []string) string {
			return p.user() + " may not enter the WORKDIR " + match[1] + ": give it to that user in the Dockerfile (RUN chown), or use another WORKDIR"
		},
	},
	{
		reasons: startReasons,
		words:   regexp.MustCompile(`executable file not found|no such file or directory|permission denied|no command specified|exec format error`),
		limit:   within(retries),
		remedy:  always("the program of the container cannot be started: correct CMD and ENTRYPOINT of the Dockerfile, or command and args of the manifest"),
	},
	{
		reasons: startReasons,
		limit:   within(retries),
		remedy:  func(p Problem, _ []string) string { return "see the events of the node: " + p.describe() },
	},
	{
		reasons: []string{"FailedCreatePodSandBox", "NetworkNotReady", "FailedKillPod"},
		limit:   within(autoscaler),
		remedy:  always("the node cannot set up the network of the pod: check the pods of the network plugin on it (kubectl --namespace kube-system get pods --output wide)"),
	},
	{
		reasons: []string{"FailedMount", "FailedAttachVolume", "FailedMapVolume"},
		remedy: func(p Problem, _ []string) string {
			return "the node cannot mount a volume of the pod: " + p.describe()
		},
	},
	{
		reasons: []string{onlyLocal},
		limit:   within(0),
		remedy:  always(`listen on 0.0.0.0: uvicorn.run(app, host="0.0.0.0"), app.run(host="0.0.0.0"), or --host 0.0.0.0 in CMD`),
	},
	{
		reasons: []string{unhealthy},
		words:   regexp.MustCompile(`^(Readiness|Liveness|Startup) probe`),
		remedy: func(p Problem, match []string) string {
			return "make the program answer its " + strings.ToLower(match[1]) + "Probe, or correct the path, port and timeouts of the probe; see its log: " + p.kubectl(strings.TrimSpace("logs "+p.Pod))
		},
	},
	{
		reasons: []string{notReady},
		remedy: func(p Problem, _ []string) string {
			return "check what the program does, and what its readinessProbe expects: " + p.kubectl(strings.TrimSpace("logs "+p.Pod))
		},
	},
	{
		reasons: []string{"OutOfcpu", "OutOfmemory", "OutOfpods", "OutOfephemeral-storage", "UnexpectedAdmissionError", "NodeAffinity"},
		limit:   within(autoscaler),
		remedy:  always("the node had no room left for the pod: try again"),
	},
}

// runs are the rules for runs and tasks that Tekton does not start.
//
//nolint:gochecknoglobals // as above
var runs = []rule{
	{
		reasons: []string{
			"CouldntGetPipeline", "CouldntGetTask", "TaskRunResolutionFailed", "TaskRunValidationFailed", "TaskValidationFailed",
			"PipelineValidationFailed", "ParameterMissing", "ParameterTypeMismatch", "InvalidParamValue", "InvalidWorkspaceBindings", "CreateRunFailed",
		},
		limit:  within(0),
		remedy: always("the Pipeline and Tasks in the cluster are missing, or of another version: run kubectl pyflow setup"),
	},
	{
		reasons: []string{"ResolvingPipelineRef", "ResolvingTaskRef", "ResolvingStepActionRef"},
		remedy:  always("Tekton has not found the Pipeline or Task yet: kubectl --namespace tekton-pipelines-resolvers get pods"),
	},
	{
		reasons: []string{"NotStarted", "InternalError"},
		remedy:  always("check that Tekton's controller runs: kubectl --namespace tekton-pipelines get pods"),
	},
	{
		reasons: []string{"PipelineRunPending", "TaskRunPending"},
		remedy:  always("the run is on hold: a queue such as Kueue starts it when there is room"),
	},
}

func orNamespace(namespace string) string {
	if namespace == "" {
		return "NAMESPACE"
	}
	return namespace
}

// smaller returns what sets the resources: the flags of a build, or the fields of a
// container. The names are those of a quota (requests.memory). It returns an empty string if
// nothing sets them.
func (p Problem) smaller(resources []string) string {
	var names []string
	for _, resource := range resources {
		bound, name, ok := strings.Cut(resource, ".")
		if !ok || (bound != "requests" && bound != "limits") {
			bound, name = "requests", resource // cpu is short for requests.cpu
		}
		flag := map[string]string{"memory": "--memory", "cpu": "--cpu", "ephemeral-storage": "--storage"}[name]
		knob := flag
		if !p.Build && (flag != "" || strings.ContainsAny(name, "./")) {
			knob = "resources." + bound + "." + name
		}
		if knob != "" && !slices.Contains(names, knob) {
			names = append(names, knob)
		}
	}
	return strings.Join(names, " and ")
}

// tooLarge returns the requested resources that exceed the limit of the quota as a whole.
// Both arguments have the form NAME=QUANTITY,NAME=QUANTITY.
func tooLarge(requested, limited string) []string {
	limits := map[string]string{}
	for part := range strings.SplitSeq(limited, ",") {
		name, limit, _ := strings.Cut(part, "=")
		limits[name] = limit
	}
	var large []string
	for part := range strings.SplitSeq(requested, ",") {
		name, request, _ := strings.Cut(part, "=")
		asked, err := resource.ParseQuantity(request)
		limit, limitErr := resource.ParseQuantity(limits[name])
		if err == nil && limitErr == nil && asked.Cmp(limit) > 0 {
			large = append(large, name)
		}
	}
	return large
}
