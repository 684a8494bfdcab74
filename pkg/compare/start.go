package compare

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/rand"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/diagnose"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/watch"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/app"
)

const (
	appContainer     = "app"
	measureContainer = "measure"
	// logLines is how much of the log of a program that has ended is read, and logLimit
	// how many bytes of it.
	logLines = 50
	logLimit = 1 << 20
	// maxLine is the number of characters that are shown of its last line.
	maxLine = 200
	// cleanupTimeout bounds the deletion of what was made, also after ctx has ended.
	cleanupTimeout = 30 * time.Second
	// margin is how much longer a pod may live than it is waited for.
	margin = time.Minute
)

//go:embed measure.sh
var measureScript string

// StartError says why an image does not start.
type StartError struct {
	Message, Hint string
}

func (e *StartError) Error() string { return e.Message }

// Launch is one image to be started.
type Launch struct {
	Namespace string
	// Image is as nodes pull it, with its digest; Shell is the image of the container
	// that measures.
	Image, Shell string
	// PullSecret is the name of a Secret in Namespace.
	PullSecret string
	// Port is where the program answers, and Env what it finds in its environment
	// beside PORT.
	Port int
	Env  map[string]app.Variable
	// Limit is how long that may take, WaitTimeout how long until the pod runs.
	Limit, WaitTimeout time.Duration
}

// Start runs an image in a pod of its own, which is deleted again, and returns the
// time from the start of its program to the first answer by HTTP, whatever the
// answer is, in hundredths of a second. Waiting, when set, gets the reason why the pod does
// not run. An image that does not start is a *StartError.
func Start(ctx context.Context, client kubernetes.Interface, launch Launch, waiting func(string)) (time.Duration, error) {
	pods := client.CoreV1().Pods(launch.Namespace)
	pod := launch.pod("pyflow-compare-" + rand.String(8))
	defer func() {
		ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
		defer stop()
		// It ends by its deadline where this does not arrive.
		_ = pods.Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))})
	}()
	if _, err := pods.Create(ctx, pod, metav1.CreateOptions{FieldManager: manifests.FieldManager}); err != nil {
		if apierrors.IsForbidden(err) && strings.Contains(err.Error(), "PodSecurity") {
			found := diagnose.Refused(launch.Namespace, err.Error())
			return 0, &StartError{Message: found.Message, Hint: found.Remedy}
		}
		return 0, fmt.Errorf("create pod %s: %w", pod.Name, err)
	}
	var group sync.WaitGroup
	defer group.Wait()
	// Its deadline ends the pod; this ends waiting for a server that is gone.
	watching, stop := context.WithTimeoutCause(ctx, launch.life()+margin, fmt.Errorf("no end of pod %s within %s", pod.Name, launch.life()+margin))
	defer stop()
	w := &podWatch{
		client: client, launch: launch, waiting: waiting, signal: watch.New(), began: time.Now(),
		explainer: diagnose.NewExplainer(client, launch.Namespace, diagnose.AskEvery), tolerance: diagnose.NewTolerance(),
	}
	w.informer = coreinformers.NewFilteredPodInformer(client, launch.Namespace, 0, nil, func(options *metav1.ListOptions) {
		options.FieldSelector = fields.OneTermEqualSelector("metadata.name", pod.Name).String()
	})
	w.signal.Watch(watching, &group, w.informer, func(err error) {
		if apierrors.IsForbidden(err) {
			w.signal.Update(func() { w.denied = err })
		}
	})
	return w.follow(watching, launch.Namespace+"/"+pod.Name)
}

// life is how long the pod may be there.
func (l Launch) life() time.Duration { return l.Limit + l.WaitTimeout + margin }

// podWatch follows the pod of one start.
type podWatch struct {
	client   kubernetes.Interface
	launch   Launch
	waiting  func(string)
	signal   *watch.Signal
	informer cache.SharedIndexInformer
	denied   error

	explainer *diagnose.Explainer
	tolerance *diagnose.Tolerance
	began     time.Time
	said      string
	seen      bool
}

func (w *podWatch) follow(ctx context.Context, key string) (time.Duration, error) {
	for {
		changed := w.signal.Changed()
		var denied error
		w.signal.Read(func() { denied = w.denied })
		if denied != nil {
			return 0, fmt.Errorf("watch pod: %w", denied)
		}
		pod := watch.Get[corev1.Pod](w.informer, key)
		switch {
		case pod != nil:
			w.seen = true
			if took, done, err := w.look(ctx, pod); done || err != nil {
				return took, err
			}
		case w.seen:
			return 0, errors.New("the pod that measures the start was deleted")
		}
		timer := time.NewTimer(diagnose.AskEvery)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
	}
}

// look judges the pod as it is now: done says that the start was measured.
func (w *podWatch) look(ctx context.Context, pod *corev1.Pod) (took time.Duration, done bool, err error) {
	states := map[string]corev1.ContainerState{}
	for _, status := range pod.Status.ContainerStatuses {
		states[status.Name] = status.State
	}
	app, measure := states[appContainer], states[measureContainer]
	if measure.Terminated != nil && (measure.Terminated.ExitCode == 0 || app.Terminated == nil) {
		took, err = parseResult(measure.Terminated)
		return took, true, err
	}
	if app.Terminated != nil {
		return 0, false, w.ended(ctx, pod.Name, app.Terminated)
	}
	if app.Running != nil && measure.Running != nil {
		w.said = ""
		return 0, false, nil
	}
	return 0, false, w.stuck(ctx, pod)
}

// stuck says why a pod does not run. It is an error when waiting does not help.
func (w *podWatch) stuck(ctx context.Context, pod *corev1.Pod) error {
	now := time.Now()
	found := w.explainer.Pod(ctx, pod, now)
	late := w.launch.WaitTimeout > 0 && now.Sub(w.began) >= w.launch.WaitTimeout
	if len(found) == 0 {
		if late {
			return &StartError{Message: fmt.Sprintf("its pod has not started within %s", w.launch.WaitTimeout)}
		}
		return nil
	}
	text := found[0].Reason + ": " + found[0].Message
	if no, _ := w.tolerance.Exceeded(found[0], now); no || late {
		return &StartError{Message: text, Hint: found[0].Remedy}
	}
	if text != w.said && w.waiting != nil {
		w.waiting(text)
	}
	w.said = text
	return nil
}

// ended says why a program has ended that should serve.
func (w *podWatch) ended(ctx context.Context, pod string, ended *corev1.ContainerStateTerminated) error {
	failure := &StartError{Message: fmt.Sprintf("the program exits with code %d", ended.ExitCode)}
	if ended.Reason != "" && ended.Reason != "Error" && ended.Reason != "Completed" {
		failure.Message += " (" + ended.Reason + ")"
	}
	if ended.Message != "" {
		failure.Message += ": " + strings.Join(strings.Fields(ended.Message), " ")
	}
	stream, err := w.client.CoreV1().Pods(w.launch.Namespace).GetLogs(pod, &corev1.PodLogOptions{Container: appContainer, TailLines: new(int64(logLines))}).Stream(ctx)
	if err != nil {
		return failure // the log only explains
	}
	defer stream.Close() //nolint:errcheck // only read
	// What cannot be read is not explained.
	log, _ := io.ReadAll(io.LimitReader(stream, logLimit))
	lines := strings.Split(strings.TrimSpace(string(log)), "\n")
	said, advice := diagnose.ParseCrash(lines, "the user of the image")
	if said == "" {
		said = display.Truncate(strings.TrimSpace(lines[len(lines)-1]), maxLine)
	}
	if said != "" {
		failure.Message += ": " + said
	}
	failure.Hint = advice
	return failure
}

// parseResult reads what the container that measures leaves behind.
func parseResult(ended *corev1.ContainerStateTerminated) (time.Duration, error) {
	text := strings.TrimSpace(ended.Message)
	if ended.ExitCode != 0 {
		if text == "" {
			text = fmt.Sprintf("the measurement ended with code %d (%s)", ended.ExitCode, ended.Reason)
		}
		return 0, &StartError{Message: text}
	}
	hundredths, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("the measurement of the start says %q, which is no time", text)
	}
	return time.Duration(hundredths) * 10 * time.Millisecond, nil
}

// readable returns the variables without those of Secrets that the user may not read: such a user
// may start no pod with them.
func readable(ctx context.Context, client kubernetes.Interface, namespace string, env map[string]app.Variable) (map[string]app.Variable, error) {
	kept := map[string]app.Variable{}
	for name, variable := range env {
		if from := variable.EnvVar(name).ValueFrom; from != nil && from.SecretKeyRef != nil {
			err := access.Check(ctx, client, []access.Permission{{Verb: "get", Resource: "secrets", Namespace: namespace, Name: from.SecretKeyRef.Name}})
			if errors.As(err, new(*access.MissingError)) {
				continue
			}
			if err != nil {
				return nil, err
			}
		}
		kept[name] = variable
	}
	return kept, nil
}

// optional lets the program start without what the variable comes from, which the namespace of
// the measurement may not have.
func optional(variable corev1.EnvVar) corev1.EnvVar {
	if from := variable.ValueFrom; from != nil && from.SecretKeyRef != nil {
		from.SecretKeyRef.Optional = new(true)
	} else if from != nil && from.ConfigMapKeyRef != nil {
		from.ConfigMapKeyRef.Optional = new(true)
	}
	return variable
}

// pod conforms to the baseline Pod Security Standard, as builds do.
func (l Launch) pod(name string) *corev1.Pod {
	const noUser = 65534
	environment := []corev1.EnvVar{{Name: "PORT", Value: strconv.Itoa(l.Port)}}
	for _, name := range slices.Sorted(maps.Keys(l.Env)) {
		if name != "PORT" {
			environment = append(environment, optional(l.Env[name].EnvVar(name)))
		}
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: l.Namespace,
			Labels: map[string]string{manifests.LabelManagedBy: manifests.FieldManager, "app.kubernetes.io/part-of": "pyflow"},
		},
		Spec: corev1.PodSpec{
			RestartPolicy:                 corev1.RestartPolicyNever,
			ActiveDeadlineSeconds:         new(int64(l.life().Seconds())),
			TerminationGracePeriodSeconds: new(int64(1)),
			AutomountServiceAccountToken:  new(false),
			EnableServiceLinks:            new(false),
			ShareProcessNamespace:         new(true),
			ImagePullSecrets:              []corev1.LocalObjectReference{{Name: l.PullSecret}},
			SecurityContext:               &corev1.PodSecurityContext{SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
			// The kubelet starts them in this order: the first has to be there when the
			// program starts.
			Containers: []corev1.Container{
				{
					Name:    measureContainer,
					Image:   l.Shell,
					Command: []string{"/bin/sh", "-c", measureScript, measureContainer},
					Args:    []string{strconv.Itoa(l.Port), strconv.Itoa(int(l.Limit.Seconds())), corev1.TerminationMessagePathDefault},
					Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
						corev1.ResourceCPU: resource.MustParse("50m"), corev1.ResourceMemory: resource.MustParse("16Mi"),
					}},
					SecurityContext: &corev1.SecurityContext{
						RunAsNonRoot: new(true), RunAsUser: new(int64(noUser)),
						AllowPrivilegeEscalation: new(false), ReadOnlyRootFilesystem: new(true),
						Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
					},
				},
				{
					Name:  appContainer,
					Image: l.Image,
					Env:   environment,
					Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
						corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("64Mi"),
					}},
					SecurityContext: &corev1.SecurityContext{
						AllowPrivilegeEscalation: new(false),
						Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
					},
				},
			},
		},
	}
}

// Advice says what to do, if that is known.
func (e *StartError) Advice() []string {
	if e.Hint == "" {
		return nil
	}
	return []string{e.Hint}
}
