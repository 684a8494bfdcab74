//go:build e2e

package console

import (
	"net/url"
	"strings"
	"testing"

	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/registrytest"
)

// TestImages looks at an app's images, analyzes and compares two, and deletes one.
func TestImages(t *testing.T) {
	t.Parallel()
	ns := env.Namespace(t)
	digest, _ := ns.Build(t, env.Page(t, "shop", "hello", "")).Released(t)
	run := ns.Runs(t)[0].Name
	user, ca := registrytest.Credentials(t, ns.Cluster, ns.Name)
	front := registrytest.Front(t, ns.Cluster, ca)
	spare, _ := registrytest.NewImage(t, "spare")
	for _, tag := range []string{"spare-1", "spare-2"} {
		registrytest.Push(t, front, user, ns.Name+"/shop", tag, spare)
	}
	hash, err := spare.Digest()
	env.Check(t, err)
	u := serve(t, ns)
	tb := open(t, u, "/registry")
	image := func(digest string) string { return u.url("/registry/" + ns.Name + "/shop/" + digest) }

	t.Run("list", func(t *testing.T) {
		tb.shows(t, "Stored in total", "deployment.apps/shop", "1 app")
		tb.press(t, "shop")
		tb.shows(t, "2 images", "spare-1", digest[:19], "linux/")
		tb.fill(t, "Tag, commit or workload", "spare")
		tb.shows(t, "1 of 2 images")
		tb.fill(t, "Tag, commit or workload", "")
		tb.press(t, run)
		tb.shows(t, "Layers", "Configuration", "deployment.apps/shop")
	})
	t.Run("analyze", func(t *testing.T) {
		tb.press(t, "Analyze")
		tb.shows(t, "kubectl pyflow images inspect shop@"+digest+" --namespace="+ns.Name+" --output=json")
		tb.press(t, "Analyze")
		tb.shows(t, "on disk", "Largest files", "Packages")
		// It is kept.
		tb.visit(t, image(digest))
		tb.shows(t, "Largest files")
	})
	t.Run("in use", func(t *testing.T) {
		tb.press(t, "Delete")
		tb.shows(t, "kubectl pyflow images delete shop@"+digest+" --namespace="+ns.Name+" --yes")
		tb.press(t, "Delete")
		tb.shows(t, "is used by configmap/shop-release-1, deployment.apps/shop", "--force")
		tb.press(t, "Close")
	})
	t.Run("compare", func(t *testing.T) {
		query := url.Values{"a": {ns.Name + "/shop@" + digest}, "b": {ns.Name + "/shop@" + hash.String()}}
		tb.visit(t, u.url("/registry/compare?"+query.Encode()))
		tb.shows(t, "Only in A", "Only in B", "known when both images are analyzed")
	})
	t.Run("delete", func(t *testing.T) {
		tb.visit(t, image(hash.String()))
		tb.press(t, "Delete tag spare-1")
		tb.press(t, "Delete tag spare-1")
		tb.until(t, `!document.querySelector("main").innerText.includes("spare-1")`)
		tb.press(t, "Delete")
		tb.press(t, "Delete")
		tb.until(t, `location.pathname === "/registry/`+ns.Name+`/shop"`)
		tb.shows(t, "1 image")
		tb.visit(t, image(hash.String()))
		tb.shows(t, "the registry does not have this image", "Try again")
	})
	t.Run("delete several", func(t *testing.T) {
		var hashes []string
		for _, content := range []string{"one", "two", "three"} {
			image, _ := registrytest.NewImage(t, content)
			registrytest.Push(t, front, user, ns.Name+"/shop", content, image)
			hash, err := image.Digest()
			env.Check(t, err)
			hashes = append(hashes, hash.String())
		}
		tb.visit(t, u.url("/registry/"+ns.Name+"/shop"))
		tb.press(t, "Refresh")
		tb.shows(t, "4 images")
		// By the keyboard alone.
		tick := func(label string) {
			tb.until(t, `(document.querySelector('[aria-label=`+quote(label)+`]')?.focus(), document.activeElement.ariaLabel === `+quote(label)+`)`)
			tb.keys(t, " ")
		}
		tick("Select one")
		tick("Select two")
		tb.shows(t, "2 images selected", "kubectl pyflow images delete shop@", "--namespace="+ns.Name+" --yes")
		// It stays while the list is read again, and what a filter hides is not selected.
		tb.press(t, "Refresh")
		tb.until(t, `!document.querySelector("main .loading")`)
		tb.shows(t, "2 images selected")
		for _, s := range screens() {
			tb.picture(t, "selected-images", s)
		}
		tb.accessible(t, "selected images")
		tb.fill(t, "Tag, commit or workload", "two")
		tb.shows(t, "1 image selected")
		tb.fill(t, "Tag, commit or workload", "")
		tb.until(t, `document.querySelectorAll("[data-select]").length === 4`)
		tick("Select all images of this page")
		tb.shows(t, "4 images selected")
		tb.press(t, "Delete")
		tb.press(t, "Delete")
		tb.shows(t, "is used by configmap/shop-release-1, deployment.apps/shop")
		tb.press(t, "Close")
		tick("Select " + run)
		tb.shows(t, "3 images selected")
		tb.press(t, "Delete")
		tb.until(t, `(command => `+quote(strings.Join(hashes, " "))+`.split(" ").every(hash => command.includes("shop@" + hash)))(document.querySelector("dialog[open] [data-command]").textContent)`)
		tb.press(t, "Delete")
		tb.until(t, `!document.querySelector("dialog[open]")`)
		tb.until(t, `document.querySelector("[data-selection]").hidden`)
		tb.until(t, `document.querySelectorAll("[data-select]").length === 1`)
		if left := ns.ImageList(t).Items; len(left) != 1 || left[0].Digest != digest {
			t.Errorf("%+v is left", left)
		}
	})
	t.Run("prune", func(t *testing.T) {
		tb.visit(t, u.url("/registry/prune"))
		tb.shows(t, "Would be freed", "kubectl pyflow images prune --keep=5 --namespace="+ns.Name+" --dry-run=client --output=json")
		tb.fill(t, "Newest images to keep, per app", "0")
		tb.shows(t, "--keep=0")
		tb.until(t, `!document.querySelector("main .loading")`)
		tb.press(t, "Delete and free the space")
		tb.press(t, "Delete and free the space")
		tb.until(t, `!document.querySelector("dialog[open]")`)
		// What runs stays.
		if left := ns.ImageList(t).Items; len(left) != 1 || left[0].Digest != digest {
			t.Errorf("%+v is left", left)
		}
	})
}
