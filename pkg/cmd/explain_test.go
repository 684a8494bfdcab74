package cmd

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"strings"
	"syscall"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/gather"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/usage"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/logs"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/teardown"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/apply"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/buildcontext"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/scaffold"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
)

func TestExplain(t *testing.T) {
	refused := &url.Error{Op: "Get", URL: "https://127.0.0.1:1/version", Err: &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}}
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"not set up":         {platform.ErrNotSetUp, "kubectl pyflow setup"},
		"namespace":          {&platform.NamespaceNotSetUpError{Namespace: "team-a"}, "kubectl pyflow setup --namespace team-a"},
		"no namespace":       {&kube.NamespaceNotFoundError{Namespace: "shop"}, "kubectl create namespace shop"},
		"no context":         {&kube.NoContextError{Contexts: []string{"dev", "prod"}}, "dev, prod"},
		"web page":           {&url.Error{Op: "Get", Err: &kube.NotAPIServerError{URL: "https://example.com"}}, "https://example.com may be"},
		"server fails":       {apierrors.NewServiceUnavailable("etcd"), "503 (ServiceUnavailable)"},
		"older platform":     {&platform.ContractError{Plugin: 1}, "kubectl pyflow setup"},
		"newer platform":     {&platform.ContractError{Platform: 2, Plugin: 1}, "krew upgrade"},
		"tekton":             {&platform.IncompatibleTektonError{}, "upgrade Tekton"},
		"permissions":        {&access.MissingError{}, "ask a cluster administrator"},
		"no terminal":        {teardown.ErrNotInteractive, "--yes"},
		"others' Tekton":     {teardown.ErrTektonInUse, "--keep-tekton=false"},
		"left over":          {&apply.LeftError{}, "teardown again"},
		"no such run":        {&pipelinerun.NotFoundError{Name: "x", Apps: []string{"web"}, Runs: []string{"web-1"}}, "apps: web; newest runs: web-1"},
		"no runs":            {&pipelinerun.NotFoundError{}, "--all-namespaces"},
		"run has ended":      {&pipelinerun.EndedError{Name: "web-1"}, "kubectl pyflow logs web-1"},
		"logs are gone":      {logs.ErrLogsGone, "build again"},
		"bundle is there":    {gather.ErrExists, "--force"},
		"half of a service":  {&scaffold.WriteError{Written: []string{"main.py"}, Err: syscall.ENOSPC}, "run it again to write the rest"},
		"left out of it":     {&build.AbsentError{Sources: []build.AbsentSource{{Path: "uv.lock", Why: buildcontext.Absence{Pattern: "*.lock", File: ".dockerignore", Line: 3}}}}, "a line !uv.lock at the end of .dockerignore"},
		"not in it":          {&build.AbsentError{Sources: []build.AbsentSource{{Path: "uv.lock"}}}, "check the path"},
		"context":            {&buildcontext.ContextError{Problems: []*buildcontext.FileError{{Path: "x", Err: fs.ErrPermission}}}, ".dockerignore"},
		"full registry":      {registry.ErrFull, "images prune"},
		"no registry there":  {fmt.Errorf("%w: %w", registry.ErrUnreachable, refused), "this machine, the nodes"},
		"registry's CA":      {fmt.Errorf("%w: %w", registry.ErrCertificate, &url.Error{Err: x509.UnknownAuthorityError{}}), "--registry-ca"},
		"registry expired":   {fmt.Errorf("%w: %w", registry.ErrCertificate, x509.CertificateInvalidError{Reason: x509.Expired, Cert: &x509.Certificate{}}), "renew the certificate"},
		"registry's name":    {fmt.Errorf("%w: %w", registry.ErrCertificate, x509.HostnameError{Certificate: &x509.Certificate{}, Host: "x"}), "use a name that is in it"},
		"plain HTTP":         {registry.ErrNoTLS, "certificate"},
		"another service":    {registry.ErrNoRegistry, "--registry"},
		"wrong login":        {registry.ErrUnauthorized, "--registry-secret"},
		"no right to push":   {registry.ErrDenied, "permission to push"},
		"no kubeconfig":      {kube.ErrNoKubeconfig, "set KUBECONFIG"},
		"wrong context":      {errors.New("context was not found for specified context: x"), "get-contexts"},
		"expired":            {apierrors.NewUnauthorized("Unauthorized"), "log in again"},
		"no such namespace":  {apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "team a"), "kubectl create namespace 'team a'"},
		"no run named":       {option.Usage(&usage.MissingArgumentError{Command: "kubectl pyflow cancel APP|RUN...", Argument: "APP|RUN"}), "kubectl pyflow runs"},
		"forbidden":          {apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "x", errors.New("no")), "auth can-i"},
		"foreign CA":         {&url.Error{Err: x509.UnknownAuthorityError{}}, "certificate-authority-data"},
		"certificate is old": {&url.Error{Err: x509.CertificateInvalidError{Reason: x509.Expired, Cert: &x509.Certificate{}}}, "expired"},
		"connection refused": {refused, "does not answer"},
		"timeout":            {&url.Error{Op: "Get", URL: "https://192.0.2.1", Err: context.DeadlineExceeded}, "does not answer"},
	} {
		t.Run(name, func(t *testing.T) {
			got := explain(fmt.Errorf("do something: %w", test.err))
			_, hint, found := strings.Cut(got, "\nhint: ")
			if !found || !strings.Contains(hint, test.want) {
				t.Errorf("got %q, want a hint with %q", got, test.want)
			}
		})
	}
	for _, err := range []error{errors.New("something else"), &scaffold.WriteError{Path: "main.py", Err: syscall.EROFS}} {
		if got := explain(err); got != err.Error() {
			t.Errorf("got %q, want the error alone", got)
		}
	}
}
