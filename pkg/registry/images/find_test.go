package images

import (
	"errors"
	"strings"
	"testing"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
)

func TestParseName(t *testing.T) {
	full := "sha256:" + strings.Repeat("a", 64)
	for text, want := range map[string]Name{
		"shop":              {App: "shop"},
		"shop:shop-1":       {App: "shop", Tag: "shop-1"},
		"shop@" + full:      {App: "shop", Digest: full},
		full:                {Digest: full},
		"sha256:abcdef0123": {Digest: "sha256:abcdef0123"},
	} {
		name, err := ParseName(text)
		if err != nil || name != want || name.String() != text {
			t.Errorf("%s: got %+v (%s), %v", text, name, name, err)
		}
	}
	for _, text := range []string{"", ":x", "shop:", "shop@x", "shop@sha256:xyz", "a/b", "a b", "@" + full, "a:b@" + full} {
		if name, err := ParseName(text); err == nil {
			t.Errorf("%q is taken for %+v", text, name)
		}
	}
}

func TestFindImage(t *testing.T) {
	manifest := func(digest string, tags ...string) *Manifest {
		return &Manifest{Manifest: &registry.Manifest{Digest: "sha256:" + digest}, Tags: tags}
	}
	signature := manifest("abcdef00", "sig")
	signature.Subject = "sha256:abcdef11"
	repositories := []*Repository{
		{Kind: Images, Namespace: "team", App: "shop", Manifests: []*Manifest{signature, manifest("abcdef11", "new", "latest"), manifest("bbbbbbb2", "old"), manifest("ccccccc3")}},
		{Kind: Cache, Namespace: "team", App: "shop", Manifests: []*Manifest{manifest("ddddddd4", "layer")}},
		{Kind: Images, Namespace: "team", App: "till", Manifests: []*Manifest{manifest("bbbbbbb2", "copy"), manifest("bbbbbbb5", "1")}},
		{Kind: Images, Namespace: "team", App: "bare"},
	}
	for text, want := range map[string]string{
		"shop":                 "shop sha256:abcdef11",
		"shop:old":             "shop sha256:bbbbbbb2",
		"shop:latest":          "shop sha256:abcdef11",
		"shop@sha256:ccccccc":  "shop sha256:ccccccc3",
		"sha256:bbbbbbb2":      "shop sha256:bbbbbbb2",
		"till@sha256:bbbbbbb2": "till sha256:bbbbbbb2",
	} {
		name, err := ParseName(text)
		if err != nil {
			t.Fatal(err)
		}
		repository, found, err := Find(repositories, "team", name)
		if err != nil || repository.App+" "+found.Digest != want {
			t.Errorf("%s: got %+v, %v, want %s", text, found, err, want)
		}
	}
	for text, want := range map[string]string{
		"shop:gone":       "there is no image shop:gone in namespace team; its newest tags: new, latest, old; all of them: kubectl pyflow images shop",
		"gone":            `app "gone" has no images in namespace team; to build one: kubectl pyflow build DIRECTORY`,
		"bare":            `app "bare" has no images in namespace team; to build one: kubectl pyflow build DIRECTORY`,
		"sha256:eeeeeee":  "there is no image sha256:eeeeeee in namespace team; to build one: kubectl pyflow build DIRECTORY",
		"sha256:ddddddd4": "there is no image sha256:ddddddd4 in namespace team; to build one: kubectl pyflow build DIRECTORY",
	} {
		name, err := ParseName(text)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = Find(repositories, "team", name)
		var unknown *UnknownError
		if !errors.As(err, &unknown) {
			t.Errorf("%s: error %v", text, err)
			continue
		}
		if got := err.Error() + "; " + strings.Join(unknown.Advice(), ""); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
	if _, _, err := Find(repositories, "team", Name{Digest: "sha256:bbbbbbb"}); err == nil || !strings.Contains(err.Error(), "more than one image") {
		t.Errorf("an ambiguous digest: %v", err)
	}
	unknown := &UnknownError{Name: Name{App: "gone"}, Apps: []string{"a", "b", "c", "d", "e", "f"}}
	if advice := unknown.Advice()[0]; !strings.Contains(advice, "a, b, c, d, e, …;") {
		t.Errorf("advice %s", advice)
	}
}
