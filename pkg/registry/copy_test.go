package registry

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

func TestCopy(t *testing.T) {
	tr := newTestRegistry(t, host, soon())
	from, to := newTestClient(t, tr, nil), newTestClient(t, tr, nil)
	image, err := random.Image(1000, 3)
	must(t, err)
	digest, err := image.Digest()
	must(t, err)
	source, err := name.ParseReference(host + "/staging/shop:shop-7")
	must(t, err)
	must(t, remote.Write(source, image, from.options(t.Context())...))

	tr.forget(nil)
	must(t, to.Copy(t.Context(), from, "staging/shop", digest.String(), "production/shop", "staging-shop-7"))
	for _, text := range []string{host + "/production/shop:staging-shop-7", host + "/production/shop@" + digest.String()} {
		reference, err := name.ParseReference(text)
		must(t, err)
		copied, err := remote.Image(reference, to.options(t.Context())...)
		must(t, err)
		must(t, validate.Image(copied))
		if got, err := copied.Digest(); err != nil || got != digest {
			t.Errorf("%s is %s, %v", text, got, err)
		}
	}
	// Who may write to the one repository may not read the other.
	if mounts := slices.DeleteFunc(tr.asked("POST"), func(request string) bool { return !strings.Contains(request, "mount") }); len(mounts) > 0 {
		t.Errorf("it asked to mount: %q", mounts)
	}
	// A second time sends nothing.
	tr.forget(nil)
	must(t, to.Copy(t.Context(), from, "staging/shop", digest.String(), "production/shop", "staging-shop-7"))
	if sent := slices.Concat(tr.asked("POST"), tr.asked("PATCH")); len(sent) > 0 {
		t.Errorf("the second copy sent %q", sent)
	}
	if err := to.Copy(t.Context(), from, "staging/shop", "sha256:"+strings.Repeat("0", 64), "production/shop", "x"); !errors.Is(err, ErrNotFound) {
		t.Errorf("an image that is not there: %v", err)
	}
}
