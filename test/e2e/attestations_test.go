//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/kube/podforward"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/platform"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/sbom"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
)

// TestAttestations signs the image of a build as a user with the role pyflow-developer alone, and
// then does what such a user could do without the key.
func TestAttestations(t *testing.T) {
	t.Parallel()
	ns, production := env.Namespace(t), env.Namespace(t)
	a := newAttacker(t, ns)
	as := func(args ...string) env.Result {
		t.Helper()
		return ns.Pyflow(t, append(args, a.flags...)...)
	}
	kubectl(t, production, "create", "rolebinding", "promoter", "--clusterrole=pyflow-developer", "--user=attacker-"+ns.Name).Succeeded(t)
	public := signingKey(t, ns)
	secret := "k8s://" + ns.Name + "/cosign"
	dir := env.Page(t, "app", "one", "")
	// The Secret with the key is for those to whom an admin grants it.
	as("build", dir, "--sign-key", secret).Failed(t, "read the key", "forbidden")
	kubectl(t, ns, "create", "role", "cosign", "--verb=get", "--resource=secrets", "--resource-name=cosign").Succeeded(t)
	kubectl(t, ns, "create", "rolebinding", "cosign", "--role=cosign", "--user=attacker-"+ns.Name).Succeeded(t)
	signed, _ := as("build", dir, "--sign-key", secret).Says(t, "Signed the image").Released(t)
	verify := func(image string, args ...string) env.Result {
		t.Helper()
		return as(append([]string{"images", "verify", image, "--key", public}, args...)...)
	}
	var report struct {
		Digest     string
		Provenance struct {
			RunDetails struct{ Metadata struct{ InvocationID string } }
		}
	}
	env.Check(t, json.Unmarshal([]byte(verify("app", "--require", "sbom,provenance", "-o", "json").Succeeded(t).Stdout), &report))
	if report.Digest != signed || !strings.HasPrefix(report.Provenance.RunDetails.Metadata.InvocationID, ns.Name+"/app-1/") {
		t.Errorf("the report is %+v, of %s", report, signed)
	}

	// What is attached is no image.
	var list struct{ Items []struct{ Digest string } }
	env.Check(t, json.Unmarshal([]byte(as("images", "app", "-o", "json").Succeeded(t).Stdout), &list))
	if len(list.Items) != 1 {
		t.Errorf("the images are %+v", list.Items)
	}
	complete := append(append([]string{"__complete"}, a.flags...), "images", "delete", "app:")
	if offered := ns.Pyflow(t, complete...).Stdout; strings.Contains(offered, "sha256-") || !strings.Contains(offered, "app-1") {
		t.Errorf("the completion offers %s", offered)
	}
	as("images", "inspect", "app").Succeeded(t).Prints(t, "SBOM, signed SBOM, signature, provenance")
	document := as("images", "inspect", "app", "--sbom").Succeeded(t).Stdout
	client := registryClient(t, ns)
	attached := registry.NewArtifacts(client)
	if got := artifactsOf(t, attached, ns, signed)[sbom.MediaType]; got == "" || got != document {
		t.Errorf("the SBOM is\n%s\nattached is\n%s", document, got)
	}

	// It goes where the image goes.
	as("promote", "app", "--to", production.Name).Succeeded(t)
	production.Pyflow(t, append([]string{"images", "verify", "app@" + signed, "--key", public, "--require", "sbom,provenance"}, a.flags...)...).Succeeded(t)

	// An attacker builds another image, and gives it the signature of the first.
	rewrite(t, dir, "evil")
	evil, _ := as("build", dir).Released(t)
	verify("app").Failed(t, "has no signature that is valid")
	artifacts, err := attached.Referrers(t.Context(), ns.Name+"/app", signed)
	env.Check(t, err)
	for _, listed := range artifacts {
		artifact, err := attached.Artifact(t.Context(), ns.Name+"/app", signed, listed.Digest)
		env.Check(t, err)
		_, err = attached.Attach(t.Context(), ns.Name+"/app", evil, *artifact)
		env.Check(t, err)
	}
	verify("app").Failed(t, "has no signature that is valid", "it is about another image")
	verify("app@"+signed, "--require", "sbom,provenance").Succeeded(t)
	// Another SBOM for scanners.
	_, err = attached.Attach(t.Context(), ns.Name+"/app", signed, registry.Artifact{Type: sbom.MediaType, Content: []byte(`{"bomFormat":"CycloneDX","components":[]}`)})
	env.Check(t, err)
	verify("app@"+signed).Failed(t, "an SBOM is attached to the image that is not the signed one")
	// Signing again replaces it.
	as("images", "attest", "app@"+signed, "--sign-key", secret).Succeeded(t)
	verify("app@" + signed).Succeeded(t)

	// And it goes with the image.
	as("images", "delete", "app@"+signed, "--yes", "--force").Succeeded(t)
	for _, listed := range artifacts {
		if _, err := client.Manifest(t.Context(), ns.Name+"/app", listed.Digest); !errors.Is(err, registry.ErrNotFound) {
			t.Errorf("artifact %s stays: %v", listed.Digest, err)
		}
	}
	if _, err := client.Digest(t.Context(), ns.Name+"/app", strings.Replace(signed, ":", "-", 1)); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("the list of the artifacts stays: %v", err)
	}
}

// signingKey stores the key pair of the unit tests in the Secret cosign, as cosign does, and
// returns the file of its public key.
func signingKey(t *testing.T, ns *env.NS) string {
	t.Helper()
	const dir = "../../pkg/registry/attestation/testdata"
	private, err := os.ReadFile(filepath.Join(dir, "cosign.key"))
	env.Check(t, err)
	_, err = ns.Kube.CoreV1().Secrets(ns.Name).Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "cosign"},
		Data:       map[string][]byte{"cosign.key": private, "cosign.password": []byte("swordfish")},
	}, metav1.CreateOptions{})
	env.Check(t, err)
	public, err := filepath.Abs(filepath.Join(dir, "cosign.pub"))
	env.Check(t, err)
	return public
}

// registryClient returns a client with the credentials that every developer of a namespace has.
func registryClient(t *testing.T, ns *env.NS) *registry.Client {
	t.Helper()
	user, ca, err := platform.Credentials(t.Context(), ns.Kube, ns.Name, manifests.RegistryHost)
	env.Check(t, err)
	config, err := clientcmd.BuildConfigFromFlags("", ns.Kubeconfig)
	env.Check(t, err)
	dial, err := podforward.Dialer(config, ns.Kube, manifests.SystemNamespace, manifests.RegistryPod, manifests.RegistryPort)
	env.Check(t, err)
	client, err := registry.New(registry.Options{Host: manifests.RegistryHost, Username: user.Name, Password: user.Password, CA: ca, Dial: dial})
	env.Check(t, err)
	t.Cleanup(client.Close)
	return client
}

// artifactsOf returns what is attached to an image of app, by type.
func artifactsOf(t *testing.T, attached registry.Artifacts, ns *env.NS, digest string) map[string]string {
	t.Helper()
	found := map[string]string{}
	artifacts, err := attached.Referrers(t.Context(), ns.Name+"/app", digest)
	env.Check(t, err)
	for _, listed := range artifacts {
		artifact, err := attached.Artifact(t.Context(), ns.Name+"/app", digest, listed.Digest)
		env.Check(t, err)
		found[artifact.Type] = string(artifact.Content)
	}
	return found
}
