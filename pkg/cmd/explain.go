package cmd

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	deleteverb "github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/delete"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/gather"
	imagesdelete "github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/images/delete"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/usage"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/logs"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/promote"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/rollback"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/teardown"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/access"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/apply"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/appname"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/buildcontext"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/project/scaffold"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/python/detect"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/images"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/inspect"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/chart"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/record"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/release/source"
)

// explain returns the message of an error and, below it, what to do about it. It is
// the one place with such advice.
func explain(err error) string {
	// Some errors carry advice that depends on what was seen.
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
	for _, hint := range hints() {
		if text := hint(err); text != "" {
			return err.Error() + "\nhint: " + text
		}
	}
	return err.Error()
}

// hint returns what to do about an error; empty for an error of another kind.
type hint func(error) string

// is gives the text for errors that wrap target.
func is(target error, text string) hint {
	return when(func(err error) bool { return errors.Is(err, target) }, text)
}

// as gives the text for errors that wrap a T.
func as[T error](text string) hint {
	return with(func(T) string { return text })
}

// with gives the text that advise makes of the T that an error wraps.
func with[T error](advise func(T) string) hint {
	return func(err error) string {
		var target T
		if errors.As(err, &target) {
			return advise(target)
		}
		return ""
	}
}

// when gives the text for errors that match.
func when(matches func(error) bool, text string) hint {
	return func(err error) string {
		if matches(err) {
			return text
		}
		return ""
	}
}

// both gives the text of hint for errors that wrap target as well.
func both(target error, hint hint) hint {
	return func(err error) string {
		if errors.Is(err, target) {
			return hint(err)
		}
		return ""
	}
}

// pyflow returns a command that can be pasted.
func pyflow(args ...string) string {
	return display.QuoteCommand(append([]string{"kubectl", "pyflow"}, args...)...)
}

// hints returns a hint for each kind of error; the first that applies counts.
func hints() []hint {
	return slices.Concat(usageHints(), releaseHints(), platformHints(), projectHints(), registryHints(), kubeconfigHints())
}

// serverFailure is the hint for an API server that fails.
func serverFailure(err error) string {
	code, reason, ok := kube.ServerFailure(err)
	if !ok {
		return ""
	}
	return fmt.Sprintf("the API server, or a proxy in front of it, failed with %d (%s): try again, and ask a cluster administrator if it persists", code, reason)
}

func usageHints() []hint {
	return []hint{
		with(func(missing *usage.MissingArgumentError) string {
			switch {
			case strings.HasSuffix(missing.Argument, "RUN"):
				return "name the run: kubectl pyflow runs lists them"
			case strings.HasPrefix(missing.Argument, "APP"):
				return "list the apps: kubectl pyflow apps"
			}
			return ""
		}),
	}
}

func platformHints() []hint {
	return []hint{
		is(platform.ErrNotSetUp, "a cluster administrator installs it: kubectl pyflow setup"),
		with(func(missing *platform.NamespaceNotSetUpError) string {
			return "a cluster administrator sets it up: " + pyflow("setup", "--namespace", missing.Namespace)
		}),
		with(func(contract *platform.ContractError) string {
			if contract.Older() {
				return "a cluster administrator upgrades it: kubectl pyflow setup"
			}
			return "install the newer version of the plugin: kubectl krew upgrade pyflow"
		}),
		as[*platform.IncompatibleTektonError]("upgrade Tekton Pipelines to " + platform.MinTekton + " or newer with the cluster resolver, or use another cluster"),
		as[*access.MissingError]("ask a cluster administrator for these permissions, or to run the command"),
		is(teardown.ErrNotInteractive, "check what would be deleted with --dry-run, then pass --yes"),
		is(deleteverb.ErrNotInteractive, "check what would be deleted with --dry-run, then pass --yes"),
		is(imagesdelete.ErrNotInteractive, "check what would be deleted with --dry-run, then pass --yes"),
		is(teardown.ErrTektonInUse, "list it with --dry-run=client; pass --keep-tekton to keep Tekton, or --keep-tekton=false to delete all of it"),
		as[*apply.LeftError]("an object with a finalizer is deleted when its controller removes the finalizer; to continue, run kubectl pyflow teardown again, if it only needs time with a longer --timeout"),
		as[*images.StrandedError](display.QuoteCommand("kubectl", "--namespace", manifests.SystemNamespace, "scale", "statefulset", manifests.StorageName, "--replicas=1") + ", or run setup or the prune again"),
		is(inspect.ErrNoTask, "an older version of the plugin set the cluster up; a cluster administrator upgrades it: kubectl pyflow setup"),
		is(images.ErrExternal, "use the retention or lifecycle rules of that registry"),
		with(func(ended *pipelinerun.EndedError) string {
			return "read its log: " + pyflow("logs", ended.Name)
		}),
		with(func(missing *build.MissingSecretsError) string {
			return "pass " + strings.Join(missing.Flags(), " ") + "; or name a Secret of the namespace that has it: --build-secret id=ID,secret=NAME,key=KEY, or build.secrets in the settings"
		}),
		is(build.ErrSourceGone, "build it again from its directory: kubectl pyflow build DIR"),
		is(logs.ErrLogsGone, "a log is deleted with its pod; for the result see kubectl pyflow runs -o wide, for a new log build again"),
		is(gather.ErrExists, "replace it with --force, or choose another file with --file"),
	}
}

func releaseHints() []hint {
	return []hint{
		with(noPlaceholder),
		with(func(missing *chart.MissingError) string {
			return "put them there: " + display.QuoteCommand("helm", "dependency", "build", missing.Dir)
		}),
		as[*release.ForeignError]("choose another name for the app with --name, or take the objects over with --adopt"),
		with(func(missing *record.NotFoundError) string {
			if len(missing.Has) > 0 {
				return fmt.Sprintf("it has %s: %s", numbers(missing.Has), pyflow("history", missing.App))
			}
			return "list the apps and their releases: " + pyflow("history", "--namespace", missing.Namespace)
		}),
		with(func(none *rollback.NothingBeforeError) string {
			return "list its releases: " + pyflow("history", none.App)
		}),
		with(func(none *promote.NotLiveError) string {
			return "name a release: " + pyflow("history", none.App, "--namespace", none.Namespace)
		}),
		is(build.ErrSecretsStay, "build the app in that namespace first, with Secrets of its own: "+pyflow("build", "--namespace", "NAMESPACE")),
		as[*release.HostError]("build the app in that namespace first, with a host of its own: " + pyflow("build", "--namespace", "NAMESPACE", "--host", "HOST")),
		is(build.ErrImageGone, "images prune keeps the images of releases on record, so it was deleted by name: build the commit again"),
	}
}

// noPlaceholder tells which name makes the manifests those of the app.
func noPlaceholder(none *release.NoPlaceholderError) string {
	if none.Kind == source.Chart {
		return fmt.Sprintf("name the app as the image in the values of the chart, such as --set image.repository=%s", none.App)
	}
	for _, image := range none.Images {
		if name := source.Repository(image); appname.Validate(name) == nil {
			return fmt.Sprintf("write `image: %s` where the app runs, or name the app as its image is: --name %s", none.App, name)
		}
	}
	return fmt.Sprintf("write `image: %s` where the app runs; a build puts its own image there", none.App)
}

// numbers returns releases as a phrase, the newest first.
func numbers(releases []int) string {
	texts := make([]string, len(releases))
	for i, number := range releases {
		texts[i] = strconv.Itoa(number)
	}
	return display.JoinMax(texts, 10)
}

func projectHints() []hint {
	return []hint{
		is(detect.ErrNoProject, "name the directory of the service, or start a new one: kubectl pyflow init DIR"),
		is(scaffold.ErrNotEmpty, "choose an empty or new directory, or add a service to these files with --template fastapi"),
		as[*detect.PythonError]("choose another Python with --python, or in the file above"),
		with(func(failed *scaffold.WriteError) string {
			if len(failed.Written) == 0 {
				return ""
			}
			return "the files written so far are complete; run it again to write the rest"
		}),
		is(dockerfile.ErrNotFound, "add a Dockerfile to the directory, or name it with --file"),
		with(func(absent *build.AbsentError) string {
			first := absent.Sources[0]
			if first.Why != (buildcontext.Absence{}) {
				return fmt.Sprintf("include it: a line !%s at the end of %s", first.Path, cmp.Or(first.Why.File, ".dockerignore"))
			}
			return "check the path, which starts at the folder that is built; --context DIR sends another one"
		}),
		as[*buildcontext.TemporaryError]("set TMPDIR to a directory that exists, that you can write to, and that has room for the compressed build context"),
		as[*buildcontext.ContextError]("exclude what the build does not need in .dockerignore, or fix it: the whole build context is uploaded"),
	}
}

func registryHints() []hint {
	return []hint{
		is(registry.ErrFull, "free space with kubectl pyflow images prune, or enlarge the volume with kubectl pyflow setup --registry-storage-size SIZE"),
		is(registry.ErrUnreachable, "check the address, and the network, VPN or proxy: this machine, the nodes and the pods of builds all need to reach the registry"),
		both(registry.ErrCertificate, as[x509.CertificateInvalidError]("renew the certificate of the registry; check the clock as well")),
		both(registry.ErrCertificate, as[x509.HostnameError]("the certificate of the registry has another name: use a name that is in it")),
		is(registry.ErrCertificate, "name the CA that signed it with kubectl pyflow setup --registry-ca FILE; the registry in the cluster gets its CA from kubectl pyflow setup"),
		is(registry.ErrNoTLS, "give the registry a certificate: passwords and images are not sent unencrypted"),
		is(registry.ErrNoRegistry, "check host, port and prefix of --registry: it is the address that images are pulled from, not the registry's web page"),
		is(registry.ErrUnauthorized, "put valid credentials into a Secret and name it with kubectl pyflow setup --registry-secret SECRET; the registry in the cluster gets its credentials from kubectl pyflow setup"),
		is(registry.ErrDenied, "these credentials need permission to push there: grant it, or choose another address with kubectl pyflow setup --registry HOST/PREFIX"),
	}
}

func kubeconfigHints() []hint {
	return []hint{
		is(kube.ErrNoKubeconfig, "set KUBECONFIG or --kubeconfig to the file that your cluster's administrator or provider gave you"),
		with(func(missing *kube.NoContextError) string {
			return "choose one with kubectl config use-context NAME, or with --context NAME: " + display.JoinMax(missing.Contexts, 10)
		}),
		with(func(page *kube.NotAPIServerError) string {
			return "check the server of the kubeconfig's cluster: " + page.URL + " may be a login page, a proxy or a dashboard"
		}),
		with(func(missing *kube.NamespaceNotFoundError) string {
			return display.QuoteCommand("kubectl", "create", "namespace", missing.Namespace)
		}),
		when(clientcmd.IsContextNotFound, "list your contexts: kubectl config get-contexts"),
		when(func(err error) bool {
			return errors.Is(err, os.ErrNotExist) && strings.Contains(err.Error(), "kubeconfig")
		}, "check KUBECONFIG and --kubeconfig"),
		missingNamespace,
		when(apierrors.IsUnauthorized, "the API server does not accept your credentials; they may have expired: log in again as your cluster's provider describes"),
		as[x509.UnknownAuthorityError]("the kubeconfig's certificate-authority-data does not match this server: fetch the kubeconfig again"),
		as[x509.CertificateInvalidError]("a certificate has expired or is not valid yet: fetch the kubeconfig again, and check the clock"),
		as[x509.HostnameError]("the server's certificate has another name: check the kubeconfig's server"),
		when(isUnreachable, "the API server does not answer: check that the cluster is running, and the network, VPN or proxy between you and it"),
		serverFailure,
		when(apierrors.IsForbidden, "list what you are allowed to do: kubectl auth can-i --list"),
	}
}

// missingNamespace tells how to create a namespace that does not exist.
func missingNamespace(err error) string {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || !apierrors.IsNotFound(err) {
		return ""
	}
	if details := status.Status().Details; details != nil && details.Kind == "namespaces" && details.Name != "" {
		return display.QuoteCommand("kubectl", "create", "namespace", details.Name)
	}
	return ""
}

// isUnreachable reports whether the server did not answer at all.
func isUnreachable(err error) bool {
	var (
		operation *net.OpError
		dns       *net.DNSError
		request   *url.Error
	)
	return utilnet.IsConnectionRefused(err) || errors.As(err, &dns) || errors.As(err, &operation) ||
		(errors.As(err, &request) && (request.Timeout() || errors.Is(err, context.DeadlineExceeded)))
}
