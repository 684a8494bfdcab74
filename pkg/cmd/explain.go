package cmd

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"net/url"
	"os"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/build"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/gather"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/logs"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/teardown"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/apply"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/buildcontext"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/scaffold"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/detect"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/images"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/inspect"
)

// explain is what a person reads of an error: what went wrong, and below it what
// to do. It is the one place with such advice.
func explain(err error) string {
	// Some know what to do from what they have seen.
	var advised interface {
		error
		Advice() []string
	}
	if errors.As(err, &advised) && len(advised.Advice()) > 0 {
		return err.Error() + "\nhint: " + strings.Join(advised.Advice(), "\nhint: ")
	}
	var failure *event.Failure
	if errors.As(err, &failure) && failure.Advice != "" {
		return err.Error() + "\nhint: " + failure.Advice
	}
	for _, row := range hints() {
		if row.matches(err) {
			return err.Error() + "\nhint: " + row.hint
		}
	}
	return err.Error()
}

type hint struct {
	matches func(error) bool
	hint    string
}

func is(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

func as[T error](err error) bool {
	var target T
	return errors.As(err, &target)
}

// hints returns one row per kind of error; the first that matches counts.
func hints() []hint {
	return []hint{
		{is(platform.ErrNotSetUp), "run: kubectl pyflow setup"},
		{as[*platform.NamespaceNotSetUpError], "run: kubectl pyflow setup --namespace NAMESPACE, with the rights of an admin"},
		{as[*platform.IncompatibleTektonError], "bring that Tekton Pipelines to a supported version (" + platform.MinTekton + " or newer, with the cluster resolver), or use another cluster"},
		{as[*access.MissingError], "ask an admin of the cluster for them, or to run it for you"},
		{is(teardown.ErrNobodyToAsk), "see what would go with --dry-run=client, then pass --yes"},
		{is(teardown.ErrTektonInUse), "--dry-run=client lists it; pass --keep-tekton to leave Tekton as it is, or --keep-tekton=false to delete all of it"},
		{as[*apply.LeftError], "what holds a finalizer goes when the controller that set it takes it off; run kubectl pyflow teardown again to go on, with a longer --timeout if it only needs time"},
		{as[*images.StrandedError], "start it: kubectl --namespace " + manifests.SystemNamespace + " scale statefulset " + manifests.StorageName + " --replicas=1, or run setup or the prune again"},
		{is(inspect.ErrNoTask), "an older kubectl-pyflow has set the cluster up: run kubectl pyflow setup again, with the rights of an admin"},
		{is(images.ErrExternal), "use that registry's own retention or lifecycle rules"},
		{as[*pipelinerun.EndedError], "there is nothing to cancel; what came of it: kubectl pyflow runs, kubectl pyflow logs RUN"},
		{is(build.ErrSourceGone), "build it again from its folder: kubectl pyflow build DIR"},
		{is(detect.ErrNoProject), "name the folder of the service; a new one is made by kubectl pyflow init DIR"},
		{is(logs.ErrGone), "a log lives as long as its pod; what the run itself says: kubectl pyflow runs -o wide; to have the log anew, build again"},
		{is(gather.ErrExists), "replace it with --force, or name another file with --file"},
		{is(scaffold.ErrNotEmpty), "name an empty or a new directory for a new service, or start one between these files with --template fastapi"},
		{as[*detect.PythonError], "choose another Python with --python, or in the file that is named"},
		{func(err error) bool {
			var failed *scaffold.WriteError
			return errors.As(err, &failed) && len(failed.Written) > 0
		}, "what was written is complete: run it again to write the rest"},
		{is(dockerfile.ErrNotFound), "add a Dockerfile to the directory, or name it with --file"},
		{as[*buildcontext.ContextError], "leave out what the build does not need with a line in .dockerignore, or put it right: all of the build context travels to the cluster"},
		{is(registry.ErrFull), "make room with kubectl pyflow images prune, or enlarge the volume with kubectl pyflow setup --registry-storage-size SIZE"},
		{is(registry.ErrUnreachable), "check the address, and the network, VPN or proxy between you and the registry: this machine, the nodes and the pods of builds all have to reach it"},
		{
			func(err error) bool {
				return errors.Is(err, registry.ErrCertificate) && as[x509.CertificateInvalidError](err)
			},
			"the registry's certificate has to be renewed where it was made; check the clock as well",
		},
		{
			func(err error) bool { return errors.Is(err, registry.ErrCertificate) && as[x509.HostnameError](err) },
			"the registry's certificate is for another name: name the registry by the one that is in it",
		},
		{is(registry.ErrCertificate), "name the CA that signed it with kubectl pyflow setup --registry-ca FILE; the registry in the cluster gets its own from kubectl pyflow setup"},
		{is(registry.ErrNoTLS), "give the registry a certificate: passwords and images do not go over the network in the clear"},
		{is(registry.ErrNoRegistry), "check host, port and prefix of --registry: it is the address that images are pulled from, not that of the registry's web page"},
		{is(registry.ErrUnauthorized), "put the right login into a Secret and name it with kubectl pyflow setup --registry-secret; the registry in the cluster gets its logins from kubectl pyflow setup"},
		{is(registry.ErrDenied), "the login needs the right to push there: give it that right, or choose another --registry HOST/PREFIX with kubectl pyflow setup"},
		{is(kube.ErrNoKubeconfig), "set KUBECONFIG or --kubeconfig to the file that your cluster's admin or provider gave you"},
		{
			clientcmd.IsContextNotFound,
			"list the contexts there are: kubectl config get-contexts",
		},
		{
			func(err error) bool {
				return errors.Is(err, os.ErrNotExist) && strings.Contains(err.Error(), "kubeconfig")
			},
			"check KUBECONFIG and --kubeconfig",
		},
		{
			apierrors.IsUnauthorized,
			"the API server does not accept your credentials, they may have expired: log in again as your cluster's provider describes",
		},
		{as[x509.UnknownAuthorityError], "the kubeconfig's certificate-authority-data is not the one of this server: fetch the kubeconfig anew"},
		{as[x509.CertificateInvalidError], "a certificate has expired or is not valid yet: fetch the kubeconfig anew, and check the clock"},
		{as[x509.HostnameError], "the server's certificate is for another name: check the kubeconfig's server"},
		{isUnreachable, "the API server does not answer: check that the cluster is running, and the network, VPN or proxy between you and it"},
		{
			apierrors.IsForbidden,
			"your user lacks that right; what you may do: kubectl auth can-i --list",
		},
	}
}

// isUnreachable says whether no answer came from the server at all.
func isUnreachable(err error) bool {
	var (
		operation *net.OpError
		dns       *net.DNSError
		request   *url.Error
	)
	return utilnet.IsConnectionRefused(err) || errors.As(err, &dns) || errors.As(err, &operation) ||
		(errors.As(err, &request) && (request.Timeout() || errors.Is(err, context.DeadlineExceeded)))
}
