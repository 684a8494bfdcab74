package compare

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	release "github.com/pyflow-dev/kubectl-pyflow/pkg/release/app"
)

func testLaunch() Launch {
	return Launch{Namespace: "team", Image: "node/team/app@sha256:x", Shell: "shell", PullSecret: "login", Port: 8000, Limit: time.Minute, WaitTimeout: time.Minute}
}

func TestPod(t *testing.T) {
	launch := testLaunch()
	launch.Env = map[string]release.Variable{"PORT": {Value: "1"}, "MODE": {Value: "slow"}, "DEBUG": {}, "URL": {From: release.Source{Kind: release.SourceSecret, Name: "db", Key: "url"}}}
	pod := launch.pod("x")
	measure, app := pod.Spec.Containers[0], pod.Spec.Containers[1]
	if measure.Name != measureContainer || !*pod.Spec.ShareProcessNamespace {
		t.Error("what measures does not start first, or sees nothing")
	}
	if strings.Join(measure.Args, " ") != "8000 60 /dev/termination-log" {
		t.Errorf("arguments are %q", measure.Args)
	}
	if !*measure.SecurityContext.RunAsNonRoot || *measure.SecurityContext.RunAsUser == 0 || !*measure.SecurityContext.ReadOnlyRootFilesystem {
		t.Errorf("what measures may do more than it has to: %+v", measure.SecurityContext)
	}
	if app.Command != nil || app.Args != nil || app.SecurityContext.RunAsUser != nil || !reflect.DeepEqual(app.Env, []corev1.EnvVar{{Name: "PORT", Value: "8000"}, {Name: "DEBUG"}, {Name: "MODE", Value: "slow"}, {Name: "URL", ValueFrom: &corev1.EnvVarSource{
		SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "db"}, Key: "url", Optional: new(true)},
	}}}) {
		t.Errorf("the image does not run as it is: %+v", app)
	}
	if *pod.Spec.AutomountServiceAccountToken || pod.Spec.ImagePullSecrets[0].Name != "login" {
		t.Errorf("pod is %+v", pod.Spec)
	}
}

func terminated(code int32, message string) corev1.ContainerState {
	return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: "Error", Message: message}}
}

func running() corev1.ContainerState {
	return corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
}

func waitingFor(reason, message string) corev1.ContainerState {
	return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
}

func TestStart(t *testing.T) {
	for name, test := range map[string]struct {
		app, measure corev1.ContainerState
		want         time.Duration
		err          string
	}{
		"answers":                       {running(), terminated(0, "123\n"), 1230 * time.Millisecond, ""},
		"answers once, and ends":        {terminated(0, ""), terminated(0, "7"), 70 * time.Millisecond, ""},
		"no answer":                     {running(), terminated(1, "nothing listens on port 8000"), 0, "nothing listens on port 8000"},
		"ends":                          {terminated(3, ""), running(), 0, "the program exits with code 3: fake logs"},
		"ends, and the measurement too": {terminated(3, ""), terminated(137, ""), 0, "the program exits with code 3: fake logs"},
		"cannot be run":                 {terminated(128, "no such\nfile"), running(), 0, "the program exits with code 128: no such file: fake logs"},
		"measures nothing":              {running(), terminated(0, "x"), 0, `says "x", which is no time`},
		"measures too much":             {running(), terminated(0, "9999999999999"), 0, `says "9999999999999", which is no time`},
		"the measurement is killed":     {running(), terminated(137, ""), 0, "the measurement ended with code 137 (Error)"},
		"no such image":                 {waitingFor("InvalidImageName", "bad name"), running(), 0, "InvalidImageName: bad name"},
	} {
		t.Run(name, func(t *testing.T) {
			client := fake.NewClientset()
			client.PrependReactor("create", "pods", func(action clienttesting.Action) (bool, runtime.Object, error) {
				created, ok := action.(clienttesting.CreateAction).GetObject().(*corev1.Pod)
				if !ok {
					return false, nil, nil
				}
				created.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: appContainer, State: test.app}, {Name: measureContainer, State: test.measure}}
				return false, nil, nil
			})
			got, err := Start(t.Context(), client, testLaunch(), nil)
			message := ""
			if err != nil {
				message = err.Error()
			}
			if got != test.want || (test.err == "") != (err == nil) || !strings.Contains(message, test.err) {
				t.Errorf("got %s, %v, want %s, %s", got, err, test.want, test.err)
			}
			pods, err := client.CoreV1().Pods("team").List(t.Context(), metav1.ListOptions{})
			if err != nil || len(pods.Items) != 0 {
				t.Errorf("%d pods stay, %v", len(pods.Items), err)
			}
		})
	}
}

// TestStartWithoutAServer proves that a connection that is lost for good is waited for
// no longer than the pod can last.
func TestStartWithoutAServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		client.PrependReactor("list", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, errors.New("connection refused")
		})
		client.PrependWatchReactor("pods", func(clienttesting.Action) (bool, watch.Interface, error) {
			return true, nil, errors.New("connection refused")
		})
		_, err := Start(t.Context(), client, testLaunch(), nil)
		if err == nil || !strings.Contains(err.Error(), "no end of pod") {
			t.Errorf("error %v", err)
		}
	})
}

func TestStartRefused(t *testing.T) {
	client := fake.NewClientset()
	client.PrependReactor("create", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "x", errors.New(`violates PodSecurity "restricted:latest": runAsNonRoot != true`))
	})
	_, err := Start(t.Context(), client, testLaunch(), nil)
	var refused *StartError
	if !errors.As(err, &refused) || !strings.Contains(refused.Message, "runAsNonRoot") {
		t.Errorf("error %v", err)
	}
}
