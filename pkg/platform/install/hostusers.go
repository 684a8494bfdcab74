package install

import (
	"cmp"
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/client-go/kubernetes"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform/userns"
)

// userNamespaceTimeout bounds the proof that nodes run pods in user namespaces.
const userNamespaceTimeout = time.Minute

// hostUsersTekton is the first version of Tekton Pipelines whose runs may set hostUsers: its webhook
// refuses fields that it does not know. Of its predecessor v1.8.0 it is not known.
const hostUsersTekton = "v1.9.0"

// planBuildUsers returns in which user namespace builds run, as far as that is known without a
// proof: what before says stays if the nodes and that version of Tekton still can.
func planBuildUsers(ctx context.Context, client kubernetes.Interface, tekton string, wanted manifests.HostUsers, before manifests.BuildUsers) (manifests.BuildUsers, error) {
	users := manifests.BuildUsers{Wanted: cmp.Or(wanted, before.Wanted), Separate: before.Separate}
	if users.Wanted == manifests.HostUsersAuto {
		users.Wanted = ""
	}
	if users.Wanted == manifests.HostUsersTrue {
		users.Separate = false
		return users, nil
	}
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return users, fmt.Errorf("list nodes: %w", err)
	}
	lacking := userns.Lacking(nodes.Items)
	if parsed, err := version.ParseGeneric(tekton); err != nil || parsed.LessThan(version.MustParseGeneric(hostUsersTekton)) {
		lacking = fmt.Sprintf("Tekton Pipelines %s is older than %s, which has the field hostUsers", tekton, hostUsersTekton)
	}
	if lacking == "" {
		return users, nil
	}
	if users.Wanted == manifests.HostUsersFalse {
		return users, noUserNamespaces(lacking)
	}
	users.Separate, users.Reason = false, lacking
	return users, nil
}

// noUserNamespaces is the error for builds that must have user namespaces.
func noUserNamespaces(lacking string) error {
	return refuse("--build-host-users=false: %s; user namespaces need containerd 2.0 or CRI-O 1.25, Linux 6.3 and Tekton Pipelines %s: upgrade it, or let builds share the users of nodes that lack them with --build-host-users=auto", lacking, hostUsersTekton)
}

// proveUserNamespaces runs a pod in a user namespace on each node, unless an earlier run did or one
// cannot, and leaves the result in state.
func proveUserNamespaces(i *Installer) func(context.Context, *State) error {
	return func(ctx context.Context, state *State) error {
		users := i.Plan.config.BuildUsers
		if users.Separate || users.Reason != "" || users.Wanted == manifests.HostUsersTrue {
			return nil
		}
		nodes, err := i.Clients.Kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return fmt.Errorf("list nodes: %w", err)
		}
		done := i.Progress.Start("Running a pod in a user namespace on every node")
		lacking, err := userns.Probe(ctx, i.Clients.Kube, userns.Options{
			Namespace: manifests.SystemNamespace,
			Image:     manifests.ShellImage(i.Plan.config.ImageMirrors), Command: []string{"/bin/true"},
			Nodes: linuxNodes(nodes.Items), Timeout: userNamespaceTimeout,
		})
		if err == nil && lacking != "" && users.Wanted == manifests.HostUsersFalse {
			err = noUserNamespaces(lacking)
		}
		users.Separate, users.Reason = lacking == "", lacking
		done("User namespaces: "+users.String(), err)
		if err != nil {
			return err
		}
		plan := *i.Plan
		plan.config.BuildUsers = users
		state.rendering, err = plan.render(state.rendering.config.NodeAccess)
		return err
	}
}

// linuxNodes returns the names of the nodes that can run builds.
func linuxNodes(nodes []corev1.Node) []string {
	var names []string
	for i := range nodes {
		if userns.Counts(&nodes[i]) {
			names = append(names, nodes[i].Name)
		}
	}
	return names
}
