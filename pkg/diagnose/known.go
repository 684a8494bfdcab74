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
	// autoscaler is what a new node, or a node that comes back, takes.
	autoscaler = 2 * time.Minute
	// release is within what the rest of a release comes: a Secret, a ConfigMap.
	release = 10 * time.Second
	// account is the same for a ServiceAccount, whose absence is tried again less
	// often.
	account = 15 * time.Second
	// restart is what a webhook or a plugin takes to come back.
	restart = time.Minute
	// retries is what three pulls take: the kubelet tries again after 10 and 20 s.
	retries = 30 * time.Second
)

// Patience is how long a trouble may last before waiting can not help; 0 is not
// at all, Forever that it may pass at any time.
func Patience(t Trouble) time.Duration {
	if known, match := find(t); known.patience != nil {
		return known.patience(t, match)
	}
	return Forever
}

// Advice is what to do about a trouble, in one line; empty when nothing is known
// to help.
func Advice(t Trouble) string {
	if known, match := find(t); known.advice != nil {
		return known.advice(t, match)
	}
	return ""
}

// InText is what the API server refused, if a line of kubectl's output tells of
// that.
func InText(namespace, line string) (t Trouble, ok bool) {
	match := serverError.FindStringSubmatch(line)
	if match == nil {
		return Trouble{}, false
	}
	return Trouble{Namespace: namespace, Reason: match[1], Message: plain(match[2])}, true
}

var serverError = regexp.MustCompile(`Error from server \((\w+)\): (.*)`)

// known is one kind of trouble.
type known struct {
	// reasons are those of the trouble, any if there are none; words are in its
	// message.
	reasons  []string
	words    *regexp.Regexp
	patience func(Trouble, []string) time.Duration
	advice   func(Trouble, []string) string
}

func find(t Trouble) (known, []string) {
	for _, known := range kinds {
		if len(known.reasons) > 0 && !slices.Contains(known.reasons, t.Reason) {
			continue
		}
		if known.words == nil {
			return known, nil
		}
		if match := known.words.FindStringSubmatch(t.Message); match != nil {
			return known, match
		}
	}
	return known{}, nil
}

func within(patience time.Duration) func(Trouble, []string) time.Duration {
	return func(Trouble, []string) time.Duration { return patience }
}

func always(advice string) func(Trouble, []string) string {
	return func(Trouble, []string) string { return advice }
}

// either is the advice for the pod of a build, and for any other.
func either(build, other string) func(Trouble, []string) string {
	return func(t Trouble, _ []string) string {
		if t.Build {
			return build
		}
		return other
	}
}

func (t Trouble) kubectl(command string) string {
	if t.Namespace == "" {
		return "kubectl " + command
	}
	return "kubectl --namespace " + t.Namespace + " " + command
}

func (t Trouble) describe() string {
	if t.Pod == "" {
		return t.kubectl("get events")
	}
	return t.kubectl("describe pod " + t.Pod)
}

// kinds are ordered: the first that fits counts.
//
//nolint:gochecknoglobals // a table with regular expressions, compiled once
var kinds = slices.Concat(ends, refusals, placing, starting, tekton)

// ends are those of containers and pods.
//
//nolint:gochecknoglobals // as above
var ends = []known{
	{
		reasons:  []string{"OOMKilled", "StepOOM", "SidecarOOM", "InitContainerOOM"},
		patience: within(0),
		advice:   either("the build needs more memory than it may have: allow it more with --memory", "the program needs more memory than it may have: raise resources.limits.memory, or let it use less"),
	},
	{
		reasons:  []string{"CrashLoopBackOff"},
		words:    regexp.MustCompile(`OOMKilled`),
		patience: within(0),
		advice:   either("the build needs more memory than it may have: allow it more with --memory", "the program needs more memory than it may have: raise resources.limits.memory, or let it use less"),
	},
	{
		reasons:  []string{"CrashLoopBackOff"},
		patience: within(0),
		advice: func(t Trouble, _ []string) string {
			return "the program ends as soon as it is started; its log says why: " + t.kubectl(fmt.Sprintf("logs %s --container %s --previous", t.Pod, t.Container))
		},
	},
	{
		reasons: []string{"Evicted", "PodEvicted", "TerminationByKubelet"},
		words:   regexp.MustCompile(`(?i)ephemeral[- ](?:local )?storage|emptydir|nodefs|imagefs|inode`),
		advice:  either("the build needs more disk than it may have: allow it more with --storage", "the program wrote more to disk than it may: raise resources.limits.ephemeral-storage, or give it a volume"),
	},
	{
		reasons: []string{"Evicted", "PodEvicted", "TerminationByKubelet"},
		words:   regexp.MustCompile(`(?i)memory`),
		advice:  either("the node ran out of memory: reserve it for the build with --memory", "the node ran out of memory: reserve it for the program with resources.requests.memory"),
	},
	{
		reasons: []string{"Evicted", "PodEvicted", "TerminationByKubelet"},
		advice:  always("the node ran out of something and sent the pod away: try again, or free the node"),
	},
	{
		reasons: []string{"TaskRunTimeout", "PipelineRunTimeout", "PipelineRunTimeoutRunningFinally", "DeadlineExceeded"},
		advice:  either("allow it more time with --timeout", "raise activeDeadlineSeconds of the pod"),
	},
	{
		reasons: []string{"NodeLost", "NodeNotReady", "DeletionByTaintManager", "TaintManagerEviction", "NodeShutdown", "Shutdown", "Terminated", "DeletionByPodGC"},
		advice:  always("the pod's node is down or does not answer: see it with kubectl get nodes, and try again when it is Ready"),
	},
	{
		reasons: []string{"PreemptionByScheduler", "Preempting", "Preempted"},
		advice:  always("a pod of a higher priority took its place: try again, or give it a priorityClassName"),
	},
}

// refusals are the API server's: the pod is not made at all.
//
//nolint:gochecknoglobals // as above
var refusals = []known{
	{
		words: regexp.MustCompile(`exceeded quota: ([^,\s]+), requested: (\S+), used: (\S+), limited: (\S+?)\.?$`),
		patience: func(_ Trouble, match []string) time.Duration {
			if len(tooLarge(match[2], match[4])) > 0 {
				return 0
			}
			return Forever // other pods may end
		},
		advice: func(t Trouble, match []string) string {
			quota := t.kubectl("describe resourcequota " + match[1])
			if large := tooLarge(match[2], match[4]); len(large) > 0 {
				remedy := "let an admin raise it"
				if smaller := t.smaller(large); smaller != "" {
					remedy = "lower " + smaller + ", or " + remedy
				}
				return fmt.Sprintf("ResourceQuota %s allows the namespace less %s than this pod alone asks for: %s (%s)", match[1], strings.Join(large, " and "), remedy, quota)
			}
			return fmt.Sprintf("the namespace has used up ResourceQuota %s: delete what is no longer needed, or let an admin raise it (%s)", match[1], quota)
		},
	},
	{
		words: regexp.MustCompile(`exceeded quota`),
		advice: func(t Trouble, _ []string) string {
			return "the namespace has used up its ResourceQuota: delete what is no longer needed, or let an admin raise it (" + t.kubectl("describe resourcequota") + ")"
		},
	},
	{
		words:    regexp.MustCompile(`failed quota: ([^:\s]+): must specify (.*)`),
		patience: within(0),
		advice: func(t Trouble, match []string) string {
			if t.Build {
				return "ResourceQuota " + match[1] + " wants every container to name its resources: pass --memory and --cpu, or let an admin give the namespace a LimitRange with defaults"
			}
			return "ResourceQuota " + match[1] + " wants every container to name its resources: set resources.requests and resources.limits, or let an admin give the namespace a LimitRange with defaults"
		},
	},
	{
		words:    regexp.MustCompile(`(?:minimum|maximum) \S+ usage per \w+ is|max limit to request ratio per \w+ is`),
		patience: within(0),
		advice: func(t Trouble, _ []string) string {
			limits := t.kubectl("describe limitrange")
			if t.Build {
				return "the namespace's LimitRange bounds what a pod may ask for: pass another --memory, --cpu or --storage (" + limits + ")"
			}
			return "the namespace's LimitRange bounds what a pod may ask for: change the container's resources (" + limits + ")"
		},
	},
	{
		words:    regexp.MustCompile(`violates PodSecurity(?: "(\w+)[^"]*")?`),
		patience: within(0),
		advice: func(t Trouble, match []string) string {
			level := strings.TrimSpace(match[1] + " level")
			relax := "kubectl label --overwrite namespace " + orNamespace(t.Namespace) + " pod-security.kubernetes.io/enforce=baseline"
			if t.Build {
				return "a build runs as root, as Dockerfiles expect, which the namespace's " + level + " forbids: build in another namespace, or let an admin relax this one: " + relax
			}
			return "set in the pod's securityContext what is missing, or let an admin relax the namespace's " + level + ": " + relax
		},
	},
	{
		words:    regexp.MustCompile(`security context constraint`),
		patience: within(0),
		advice:   always("no SecurityContextConstraints allow this pod: let an admin give its ServiceAccount one that does"),
	},
	{
		words:    regexp.MustCompile(`(?i)serviceaccount "([^"]+)" not found`),
		patience: within(account),
		advice: func(t Trouble, match []string) string {
			if t.Build {
				return "the namespace is not set up for builds: run kubectl pyflow setup --namespace " + orNamespace(t.Namespace)
			}
			return "the pod names ServiceAccount " + match[1] + ", which is not there: deliver it as well, or create it: " + t.kubectl("create serviceaccount "+match[1])
		},
	},
	{
		words:    regexp.MustCompile(`failed calling webhook "([^"]+)"`),
		patience: within(restart),
		advice: func(_ Trouble, match []string) string {
			return "admission webhook " + match[1] + " does not answer: let an admin start what serves it, or delete its configuration if it is gone (kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations)"
		},
	},
	{
		words:    regexp.MustCompile(`admission webhook "([^"]+)" denied the request`),
		patience: within(account),
		advice: func(_ Trouble, match []string) string {
			return "admission webhook " + match[1] + " forbids this: change what it complains about, or ask the admin whose rule it is"
		},
	},
	{
		words:    regexp.MustCompile(`(?i)policy ['"]([^'"]+)['"](?: with binding \S+)? denied request`),
		patience: within(0),
		advice: func(_ Trouble, match []string) string {
			return "admission policy " + match[1] + " forbids this: change what it complains about, or ask the admin whose rule it is"
		},
	},
	{
		words:    regexp.MustCompile(`no PriorityClass with name (\S+) was found`),
		patience: within(release),
		advice: func(_ Trouble, match []string) string {
			return "there is no PriorityClass " + match[1] + ": correct priorityClassName (kubectl get priorityclasses)"
		},
	},
	{
		words:    regexp.MustCompile(`RuntimeClass "([^"]+)" not found`),
		patience: within(release),
		advice: func(_ Trouble, match []string) string {
			return "there is no RuntimeClass " + match[1] + ": correct runtimeClassName (kubectl get runtimeclasses)"
		},
	},
	{
		reasons:  []string{"FailedCreate", "PodCreationFailed"},
		words:    regexp.MustCompile(`is invalid: `),
		patience: within(0),
		advice:   always("correct the pod's manifest: the message names the field"),
	},
	{
		reasons:  []string{"FailedCreate"},
		patience: within(account),
	},
}

// placing is what keeps the scheduler from finding a node.
//
//nolint:gochecknoglobals // as above
var placing = []known{
	{
		words:    regexp.MustCompile(`persistentvolumeclaim "([^"]+)" not found`),
		patience: within(account),
		advice: func(_ Trouble, match []string) string {
			return "there is no PersistentVolumeClaim " + match[1] + ": deliver it as well, or correct claimName"
		},
	},
	{
		words:    regexp.MustCompile(`storageclass(?:\.storage\.k8s\.io)? "([^"]+)" not found`),
		patience: within(account),
		advice: func(_ Trouble, match []string) string {
			return "there is no StorageClass " + match[1] + ": correct storageClassName (kubectl get storageclasses)"
		},
	},
	{
		words:    regexp.MustCompile(`no storage class is set`),
		patience: within(account),
		advice:   always("the cluster has no default StorageClass: set storageClassName in the claim (kubectl get storageclasses)"),
	},
	{
		words:    regexp.MustCompile(`(?i)unbound (?:immediate )?PersistentVolumeClaims|persistent volumes? to bind|ProvisioningFailed`),
		patience: within(autoscaler),
		advice: func(t Trouble, _ []string) string {
			return "no volume was made for a PersistentVolumeClaim; it says why: " + t.kubectl("describe persistentvolumeclaims")
		},
	},
	{
		reasons:  unschedulableReasons,
		words:    regexp.MustCompile(`Insufficient `),
		patience: within(autoscaler),
		advice: func(t Trouble, _ []string) string {
			var scarce []string
			for _, match := range insufficient.FindAllStringSubmatch(t.Message, -1) {
				scarce = append(scarce, "requests."+match[1])
			}
			remedy := "make room"
			if smaller := t.smaller(scarce); smaller != "" {
				remedy = "lower " + smaller + ", or " + remedy
			}
			return "no node has that much free: " + remedy + " (kubectl describe nodes)"
		},
	},
	{
		// Tekton says it without the scheduler's words.
		reasons:  []string{"ExceededNodeResources"},
		patience: within(autoscaler),
		advice:   always("no node has that much free: lower --memory and --cpu, or make room (kubectl describe nodes)"),
	},
	{
		reasons:  unschedulableReasons,
		words:    regexp.MustCompile(`Too many pods`),
		patience: within(autoscaler),
		advice:   always("the nodes take no more pods: delete what is no longer needed, or add a node"),
	},
	{
		reasons:  unschedulableReasons,
		words:    regexp.MustCompile(`node\.kubernetes\.io/(?:not-ready|unreachable|disk-pressure|memory-pressure|pid-pressure|network-unavailable)`),
		patience: within(autoscaler),
		advice:   always("a node that could take the pod is not ready or runs out of resources: see it with kubectl describe nodes, and repair it"),
	},
	{
		reasons:  unschedulableReasons,
		words:    regexp.MustCompile(`didn't match (?:Pod's|scheduler-enforced) node affinity|didn't match the requested node name`),
		patience: within(autoscaler),
		advice:   either("no node that could take the build has these labels: correct --node-selector (kubectl get nodes --show-labels)", "no node that could take the pod has these labels: correct nodeSelector or affinity (kubectl get nodes --show-labels)"),
	},
	{
		reasons:  unschedulableReasons,
		words:    regexp.MustCompile(`untolerated taint|taints that the pod didn't tolerate`),
		patience: within(autoscaler),
		advice:   always("the nodes are kept for other pods, or are not ready: see their taints with kubectl describe nodes; remove one, or give the pod a toleration"),
	},
	{
		reasons:  unschedulableReasons,
		words:    regexp.MustCompile(`were unschedulable`),
		patience: within(autoscaler),
		advice:   always("the nodes are closed for new pods: let an admin open one with kubectl uncordon NODE"),
	},
	{
		reasons:  unschedulableReasons,
		words:    regexp.MustCompile(`free ports`),
		patience: within(autoscaler),
		advice:   always("another pod has the hostPort on every node: take another, or do without"),
	},
	{
		reasons:  unschedulableReasons,
		words:    regexp.MustCompile(`volume node affinity|available volume zone`),
		patience: within(autoscaler),
		advice:   always("the pod's volume is on a node or in a zone where the pod can not run: free that node, or recreate the PersistentVolumeClaim"),
	},
	{
		reasons:  unschedulableReasons,
		words:    regexp.MustCompile(`affinity rules|topology spread`),
		patience: within(autoscaler),
		advice:   always("the pod may not run where others do: relax its podAffinity, podAntiAffinity or topologySpreadConstraints, or add a node"),
	},
	{
		reasons:  unschedulableReasons,
		patience: within(autoscaler),
		advice: func(t Trouble, _ []string) string {
			return "no node takes the pod: " + t.describe()
		},
	},
	{
		reasons: []string{"SchedulingGated"},
		advice:  always("the pod waits until a controller takes off its scheduling gates: look at the one that sets them"),
	},
}

//nolint:gochecknoglobals // as above
var unschedulableReasons = []string{"Unschedulable", "FailedScheduling"}

// starting is what keeps a pod that has a node from coming up there.
//
//nolint:gochecknoglobals // as above
var starting = []known{
	{
		words:    regexp.MustCompile(`couldn't find key (\S+) in (Secret|ConfigMap) (?:[^/\s]+/)?(\S+)`),
		patience: within(release),
		advice: func(t Trouble, match []string) string {
			return fmt.Sprintf("%s %s has no key %s: add it, or correct the manifest (%s)", match[2], match[3], match[1], t.kubectl("describe "+strings.ToLower(match[2])+" "+match[3]))
		},
	},
	{
		words:    regexp.MustCompile(`references non-existent (secret|config) key: (\S+)`),
		patience: within(release),
		advice: func(t Trouble, match []string) string {
			kind := map[string]string{"secret": "Secret", "config": "ConfigMap"}[match[1]]
			return fmt.Sprintf("the %s of a volume has no key %s: add it, or correct the manifest (%s)", kind, match[2], t.describe())
		},
	},
	{
		words:    regexp.MustCompile(`(secret|configmap) "([^"]+)" not found`),
		patience: within(release),
		advice: func(t Trouble, match []string) string {
			if t.Build {
				return "a " + match[1] + " of the build is not there: run kubectl pyflow setup --namespace " + orNamespace(t.Namespace) + ", or correct --build-secret and --git-secret"
			}
			if match[1] == "secret" {
				return "create the Secret, which is better not delivered with the code: " + t.kubectl("create secret generic "+match[2]) + " --from-literal=KEY=VALUE"
			}
			return "deliver the ConfigMap as well, or create it: " + t.kubectl("create configmap "+match[2]) + " --from-literal=KEY=VALUE"
		},
	},
	{
		reasons:  []string{"InvalidImageName"},
		patience: within(0),
		advice:   always("correct the image's name: HOST/NAME:TAG, in lower case"),
	},
	{
		reasons:  []string{"ErrImageNeverPull"},
		patience: within(0),
		advice:   always("the node does not have the image and may not pull it: set imagePullPolicy to IfNotPresent"),
	},
	{
		words:    regexp.MustCompile(`no space left on device`),
		patience: within(autoscaler),
		advice:   always("the node's disk is full: free it, or use another node (kubectl describe nodes)"),
	},
	{
		reasons: []string{"ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "ImageInspectError", "SignatureValidationFailed", "PullImageFailed", "TaskRunImagePullFailed"},
		patience: func(t Trouble, _ []string) time.Duration {
			if OfPull(t.Message).Passes() {
				return autoscaler
			}
			return retries
		},
		advice: func(t Trouble, _ []string) string { return OfPull(t.Message).advice(t) },
	},
	{
		words:    regexp.MustCompile(`runAsNonRoot`),
		patience: within(release),
		advice:   always("the image runs as root, and the manifest forbids that: add a USER with a number to the Dockerfile, or set runAsUser"),
	},
	{
		reasons:  []string{"CreateContainerConfigError"},
		patience: within(release),
		advice:   func(t Trouble, _ []string) string { return "correct what the pod refers to: " + t.describe() },
	},
	{
		reasons:  []string{"CreateContainerError", "RunContainerError", "StartError", "ContainerCannotRun"},
		words:    regexp.MustCompile(`executable file not found|no such file or directory|permission denied|no command specified|exec format error`),
		patience: within(retries),
		advice:   always("the container's program can not be started: correct CMD and ENTRYPOINT of the Dockerfile, or command and args of the manifest"),
	},
	{
		reasons:  []string{"CreateContainerError", "RunContainerError", "StartError", "ContainerCannotRun"},
		patience: within(retries),
		advice:   func(t Trouble, _ []string) string { return "see what the node says: " + t.describe() },
	},
	{
		reasons:  []string{"FailedCreatePodSandBox", "NetworkNotReady", "FailedKillPod"},
		patience: within(autoscaler),
		advice:   always("the node can not set up the pod's network: look at the network plugin's pods on it (kubectl --namespace kube-system get pods --output wide)"),
	},
	{
		reasons: []string{"FailedMount", "FailedAttachVolume", "FailedMapVolume"},
		advice: func(t Trouble, _ []string) string {
			return "the node can not mount a volume of the pod: " + t.describe()
		},
	},
	{
		reasons: []string{"Unhealthy"},
		words:   regexp.MustCompile(`^(Readiness|Liveness|Startup) probe`),
		advice: func(t Trouble, match []string) string {
			return "let the program answer its " + strings.ToLower(match[1]) + "Probe, or correct the probe's path, port and timeouts; its log: " + t.kubectl(strings.TrimSpace("logs "+t.Pod))
		},
	},
	{
		reasons: []string{"NotReady"},
		advice: func(t Trouble, _ []string) string {
			return "see what the program does, and what its readinessProbe asks for: " + t.kubectl(strings.TrimSpace("logs "+t.Pod))
		},
	},
	{
		reasons:  []string{"OutOfcpu", "OutOfmemory", "OutOfpods", "OutOfephemeral-storage", "UnexpectedAdmissionError", "NodeAffinity"},
		patience: within(autoscaler),
		advice:   always("the node had no room left for the pod when it came: try again"),
	},
}

// tekton is what Tekton itself says of a run.
//
//nolint:gochecknoglobals // as above
var tekton = []known{
	{
		reasons: []string{
			"CouldntGetPipeline", "CouldntGetTask", "TaskRunResolutionFailed", "TaskRunValidationFailed", "TaskValidationFailed",
			"PipelineValidationFailed", "ParameterMissing", "ParameterTypeMismatch", "InvalidParamValue", "InvalidWorkspaceBindings", "CreateRunFailed",
		},
		patience: within(0),
		advice:   always("the cluster's Pipeline and Tasks are missing, or not of this version: run kubectl pyflow setup"),
	},
	{
		reasons: []string{"ResolvingPipelineRef", "ResolvingTaskRef", "ResolvingStepActionRef"},
		advice:  always("Tekton has not found the Pipeline or Task yet: kubectl --namespace tekton-pipelines-resolvers get pods"),
	},
	{
		reasons: []string{"NotStarted", "InternalError"},
		advice:  always("see whether Tekton's controller is at work: kubectl --namespace tekton-pipelines get pods"),
	},
	{
		reasons: []string{"PipelineRunPending", "TaskRunPending"},
		advice:  always("somebody has put the run on hold: a queue such as Kueue does, until there is room"),
	},
}

func orNamespace(namespace string) string {
	if namespace == "" {
		return "NAMESPACE"
	}
	return namespace
}

// smaller names what sets the resources, which are named as a quota does
// (requests.memory): the flags of a build, or the fields of a container. It is empty
// when nothing there does.
func (t Trouble) smaller(resources []string) string {
	var names []string
	for _, resource := range resources {
		bound, name, ok := strings.Cut(resource, ".")
		if !ok || (bound != "requests" && bound != "limits") {
			bound, name = "requests", resource // cpu is short for requests.cpu
		}
		flag := map[string]string{"memory": "--memory", "cpu": "--cpu", "ephemeral-storage": "--storage"}[name]
		knob := flag
		if !t.Build && (flag != "" || strings.ContainsAny(name, "./")) {
			knob = "resources." + bound + "." + name
		}
		if knob != "" && !slices.Contains(names, knob) {
			names = append(names, knob)
		}
	}
	return strings.Join(names, " and ")
}

// tooLarge lists the resources of which a quota's whole limit is less than what is
// requested; both are lists as NAME=QUANTITY,NAME=QUANTITY.
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
