package attestation

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	tektonv1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/engine/installed"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/pipelinerun"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/manifests"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/sbom"
)

// The files in testdata are of cosign 3.1.3: cosign.key has the password swordfish and has signed
// attest-blob.bundle, about the file "hello"; other.pub verifies sign.bundle, about signedImage.
const (
	password    = "swordfish"
	signedImage = "sha256:b8d760cf6eabe9edb170f67738fb2b0aa63f81315ecb762703b0f6c0f25d917c"
)

func read(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func testKey(t *testing.T) *Key {
	t.Helper()
	key, err := ParseKey(read(t, "cosign.key"), []byte(password))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func testPublicKey(t *testing.T, name string) *PublicKey {
	t.Helper()
	key, err := ParsePublicKey(read(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func digestOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256:" + hex.EncodeToString(sum[:])
}

func TestKeys(t *testing.T) {
	if got, want := testKey(t).Public().key, testPublicKey(t, "cosign.pub").key; !got.Equal(want) {
		t.Error("the two keys are no pair")
	}
	for name, test := range map[string]struct {
		text, password string
		want           error
	}{
		"another password": {string(read(t, "cosign.key")), "x", ErrPassword},
		"no password":      {string(read(t, "cosign.key")), "", ErrPassword},
		"a public key":     {string(read(t, "cosign.pub")), password, ErrKey},
		"no PEM":           {"-----BEGIN", password, ErrKey},
		"a plain key":      {"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "", ErrKey},
	} {
		if key, err := ParseKey([]byte(test.text), []byte(test.password)); !errors.Is(err, test.want) || key != nil {
			t.Errorf("%s: error is %v", name, err)
		}
	}
	for _, text := range []string{"", string(read(t, "cosign.key")), "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"} {
		if _, err := ParsePublicKey([]byte(text)); !errors.Is(err, ErrKey) {
			t.Errorf("%.20q: error is %v", text, err)
		}
	}
}

// TestOfCosign verifies what cosign itself has signed.
func TestOfCosign(t *testing.T) {
	statement, err := testPublicKey(t, "cosign.pub").Verify(read(t, "attest-blob.bundle"), digestOf("hello"))
	if err != nil || statement.Type != "https://cosign.sigstore.dev/attestation/v1" {
		t.Errorf("got %+v, %v", statement, err)
	}
	statement, err = testPublicKey(t, "other.pub").Verify(read(t, "sign.bundle"), signedImage)
	if err != nil || statement.Type != Signature {
		t.Errorf("got %+v, %v", statement, err)
	}
	if _, err = testPublicKey(t, "cosign.pub").Verify(read(t, "sign.bundle"), signedImage); !errors.Is(err, ErrSignature) {
		t.Errorf("another key: %v", err)
	}
}

// TestTampered signs a statement, and changes the bundle in the ways in which an attacker would who
// can write to the registry and has no key.
func TestTampered(t *testing.T) {
	key := testKey(t)
	image, other := digestOf("image"), digestOf("other")
	signed, err := key.Sign(Statement{Digest: image, Type: SBOM, Predicate: json.RawMessage(`{"a":"<&>"}`)})
	if err != nil {
		t.Fatal(err)
	}
	statement, err := key.Public().Verify(signed, image)
	if err != nil || statement.Type != SBOM || string(statement.Predicate) != `{"a":"<&>"}` {
		t.Fatalf("got %+v, %v", statement, err)
	}
	change := func(edit func(b *bundle)) []byte {
		var b bundle
		if err := json.Unmarshal(signed, &b); err != nil {
			t.Fatal(err)
		}
		edit(&b)
		changed, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		return changed
	}
	forged, err := json.Marshal(inToto{Type: statementType, Subject: []subject{{Digest: map[string]string{"sha256": strings.TrimPrefix(other, "sha256:")}}}, PredicateType: SBOM})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		bundle []byte
		digest string
		want   error
	}{
		"moved to another image": {signed, other, ErrSubject},
		"no image":               {signed, "", ErrSubject},
		"an algorithm alone":     {signed, "sha256:", ErrSubject},
		"another image in it": {change(func(b *bundle) {
			b.Envelope.Payload = bytes.ReplaceAll(b.Envelope.Payload, []byte(image[7:]), []byte(other[7:]))
		}), other, ErrSignature},
		"a statement of their own": {change(func(b *bundle) { b.Envelope.Payload = forged }), other, ErrSignature},
		"another SBOM": {change(func(b *bundle) {
			b.Envelope.Payload = bytes.ReplaceAll(b.Envelope.Payload, []byte(`"a"`), []byte(`"b"`))
		}), image, ErrSignature},
		"another kind": {change(func(b *bundle) {
			b.Envelope.Payload = bytes.ReplaceAll(b.Envelope.Payload, []byte(SBOM), []byte(Signature))
		}), image, ErrSignature},
		"no signature":      {change(func(b *bundle) { b.Envelope.Signatures = nil }), image, ErrSignature},
		"an empty one":      {change(func(b *bundle) { b.Envelope.Signatures[0].Sig = nil }), image, ErrSignature},
		"a zero one":        {change(func(b *bundle) { b.Envelope.Signatures[0].Sig = []byte{0x30, 6, 2, 1, 0, 2, 1, 0} }), image, ErrSignature},
		"another type":      {change(func(b *bundle) { b.Envelope.PayloadType = "text/plain" }), image, ErrBundle},
		"nothing signed":    {change(func(b *bundle) { b.Envelope = nil }), image, ErrBundle},
		"not JSON":          {[]byte("x"), image, ErrBundle},
		"not about one":     {sign2(t, key, image, other), image, ErrSubject},
		"not of in-toto":    {signPayload(t, key, `{"_type":"x","subject":[]}`), image, ErrBundle},
		"signed, not JSON":  {signPayload(t, key, `x`), image, ErrBundle},
		"of another signer": {read(t, "sign.bundle"), signedImage, ErrSignature},
	} {
		if got, err := key.Public().Verify(test.bundle, test.digest); !errors.Is(err, test.want) || got != nil {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
}

// sign2 signs a statement about two images.
func sign2(t *testing.T, key *Key, first, second string) []byte {
	t.Helper()
	payload, err := json.Marshal(inToto{Type: statementType, PredicateType: Signature, Subject: []subject{
		{Digest: map[string]string{"sha256": first[7:]}}, {Digest: map[string]string{"sha256": second[7:]}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return signPayload(t, key, string(payload))
}

// signPayload signs any payload.
func signPayload(t *testing.T, key *Key, payload string) []byte {
	t.Helper()
	envelope := &dsse{Payload: []byte(payload), PayloadType: payloadType}
	sum := sha256.Sum256(envelope.authenticated())
	signature, err := key.private.Sign(nil, sum[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	envelope.Signatures = []dsseSignature{{Sig: signature}}
	signed, err := json.Marshal(bundle{MediaType: BundleType, Envelope: envelope})
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// fakeStore keeps the artifacts about one image.
type fakeStore struct{ artifacts []registry.Artifact }

func (f *fakeStore) Referrers(context.Context, string, string) ([]registry.Artifact, error) {
	// The list of a registry may name what is not there.
	return append(slices.Clone(f.artifacts), registry.Artifact{Digest: "gone", Type: BundleType}), nil
}

func (f *fakeStore) Artifact(_ context.Context, _, _, digest string) (*registry.Artifact, error) {
	for _, artifact := range f.artifacts {
		if artifact.Digest == digest {
			return &artifact, nil
		}
	}
	return nil, registry.ErrNotFound
}

func (f *fakeStore) Attach(_ context.Context, _, _ string, artifact registry.Artifact) (string, error) {
	artifact.Digest = digestOf(string(artifact.Content))
	_ = f.Delete(context.Background(), "", artifact.Digest)
	f.artifacts = append(f.artifacts, artifact)
	return artifact.Digest, nil
}

func (f *fakeStore) Delete(_ context.Context, _, digest string) error {
	f.artifacts = slices.DeleteFunc(f.artifacts, func(a registry.Artifact) bool { return a.Digest == digest })
	return nil
}

func TestAttach(t *testing.T) {
	image, key, store := digestOf("image"), testKey(t), &fakeStore{}
	statements := func(document string) []Statement {
		return []Statement{
			{Digest: image, Type: Signature, Predicate: json.RawMessage("{}")},
			{Digest: image, Type: SBOM, Predicate: json.RawMessage(document)},
		}
	}
	attachTo := func(document string, key *Key) *Result {
		t.Helper()
		result := &Result{Digest: image}
		if err := attach(t.Context(), store, "team-a/shop", []byte(document), statements(document), key, result); err != nil {
			t.Fatal(err)
		}
		return result
	}
	find := func(key *PublicKey) *Found {
		t.Helper()
		found, err := Find(t.Context(), store, "team-a/shop", image, key)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	// Without a key only the SBOM is attached, and nothing of it is trusted.
	attachTo(`{"version": "<1>"}`, nil)
	var unsigned *UnsignedError
	if found := find(key.Public()); len(found.SBOMs) != 1 || !errors.As(found.Check(image, Signature), &unsigned) {
		t.Errorf("found %+v", found)
	}
	// The signed SBOM of a newer plugin replaces it.
	if result := attachTo(`{"version": "<2>"}`, key); len(result.Signed) != 2 {
		t.Errorf("signed %v", result.Signed)
	}
	if found := find(key.Public()); len(found.SBOMs) != 1 || found.Check(image, Signature, SBOM) != nil {
		t.Errorf("found %+v, %v", found, found.Check(image, Signature, SBOM))
	}
	// A second time signs nothing again.
	before := len(store.artifacts)
	attachTo(`{"version": "<2>"}`, key)
	if len(store.artifacts) != before {
		t.Errorf("there are %d artifacts, were %d", len(store.artifacts), before)
	}
	if err := find(key.Public()).Check(image, Signature, Provenance); !errors.As(err, &unsigned) || !slices.Equal(unsigned.Missing, []string{Provenance}) {
		t.Errorf("without a provenance: %v", err)
	}
	// For another key, and for none, nothing is signed.
	for _, key := range []*PublicKey{testPublicKey(t, "other.pub"), nil} {
		if found := find(key); len(found.Statements) != 0 || found.Others != 2 || !errors.Is(found.Reason, ErrSignature) {
			t.Errorf("another key finds %+v", found)
		}
	}
	// Who may write to the registry can attach another SBOM, and is found out.
	if _, err := store.Attach(t.Context(), "", "", registry.Artifact{Type: sbom.MediaType, Content: []byte(`{"version": "harmless"}`)}); err != nil {
		t.Fatal(err)
	}
	if err := find(key.Public()).Check(image, Signature); !errors.Is(err, ErrDocument) {
		t.Errorf("another SBOM: %v", err)
	}
}

func TestProvenance(t *testing.T) {
	const digest = "66af41cf679d9a9f367a0cc3fb8b71a48545e79bc1207e4f0d0700fcd60d596f"
	spec := pipelinerun.Build{
		Meta:   pipelinerun.Meta{App: "shop", Namespace: "team-a", Name: "shop-7"},
		Params: engine.Params{BuildArgs: []string{"TOKEN=hunter2-secret", "A=1"}}, Dockerfile: "Dockerfile", Engine: installed.Engine(),
		Git: &pipelinerun.Git{URL: "https://user:hunter2-secret@git.example.com/shop.git", Revision: "main", Path: "api"},
	}
	run := pipelinerun.New(spec)
	run.UID = "uid-1"
	started := metav1.NewTime(time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC))
	run.Status.StartTime = &started
	run.Status.Results = []tektonv1.PipelineRunResult{{Name: "COMMIT", Value: *tektonv1.NewStructuredValues(strings.Repeat("a", 40))}}
	config := &manifests.Config{Version: "v1.2.3", Tekton: manifests.TektonConfig{Version: "v1.15.1"}}
	text, err := NewProvenance(run, config)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"uri":"git+https://git.example.com/shop.git"`, `"gitCommit":"` + strings.Repeat("a", 40), `"revision":"main"`, `"path":"api"`,
		`"buildArgs":["A","TOKEN"]`, `"invocationId":"team-a/shop-7/uid-1"`, `"startedOn":"2026-11-30T12:00:00Z"`, `"kubectl-pyflow":"v1.2.3"`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the provenance lacks %s:\n%s", want, text)
		}
	}
	if strings.Contains(string(text), "hunter2") {
		t.Errorf("the provenance has a secret:\n%s", text)
	}
	spec.Git, spec.Folder.Artifact = nil, "registry/team-a/shop/source@sha256:"+digest
	if text, err = NewProvenance(pipelinerun.New(spec), config); err != nil || !strings.Contains(string(text), `"sha256":"`+digest) {
		t.Errorf("of a folder: %v\n%s", err, text)
	}
}
