package registry

import (
	"testing"

	"k8s.io/client-go/kubernetes"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/podforward"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/podforward/podforwardtest"
)

func newTestDialer(t *testing.T, s *podforwardtest.Server) podforward.DialFunc {
	t.Helper()
	client, err := kubernetes.NewForConfig(s.Config())
	must(t, err)
	dial, err := podforward.Dialer(s.Config(), client, podforwardtest.Namespace, podforwardtest.PodName, 5000)
	must(t, err)
	return dial
}

// TestPushSourceThroughPortForward pushes through a port-forward to a registry with TLS.
func TestPushSourceThroughPortForward(t *testing.T) {
	for _, kind := range []string{"websocket", "spdy"} {
		t.Run(kind, func(t *testing.T) {
			tr := newTestRegistry(t, host, soon())
			s := podforwardtest.NewServer(t, tr.address)
			s.NoWebSocket = kind == "spdy"
			client := newTestClient(t, tr, func(o *Options) { o.Dial = newTestDialer(t, s) })
			must(t, client.Ping(t.Context()))
			layer := newLayer(t, 8<<20)
			ref, err := client.PushSource(t.Context(), source, layer, nil, nil)
			must(t, err)
			if opened := s.Opened(); len(opened) != 1 {
				t.Errorf("port-forwards opened: %q", opened)
			}
			wantArtifact(t, client, ref.Reference, layer, nil)
		})
	}
	t.Run("breaks once", func(t *testing.T) {
		tr := newTestRegistry(t, host, soon())
		s := podforwardtest.NewServer(t, tr.address)
		client := newTestClient(t, tr, func(o *Options) { o.Dial = newTestDialer(t, s) })
		broken := false
		ref, err := client.PushSource(t.Context(), source, newLayer(t, 8<<20), nil, func(complete, _ int64) {
			if complete > 1<<20 && !broken {
				broken = true
				go s.Disconnect()
			}
		})
		must(t, err)
		if !ref.Uploaded || !broken || len(s.Opened()) < 2 {
			t.Errorf("pushed %+v over %q", ref, s.Opened())
		}
	})
}

func TestForbiddenPortForwardIsNotRetried(t *testing.T) {
	s := podforwardtest.NewServer(t, "")
	s.Forbidden = true
	_, err := newTestDialer(t, s)(t.Context(), "", "")
	if err == nil || transient(err) {
		t.Errorf("error %v is transient", err)
	}
}
