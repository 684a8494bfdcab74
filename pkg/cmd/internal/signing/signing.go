// Package signing is the flag that names a key in the format of cosign, and reads the key.
package signing

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/kubernetes"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
	"github.com/pyflow-dev/kubectl-pyflow/pkg/registry/attestation"
)

// PasswordVariable is the variable from which cosign takes the password of a key.
const PasswordVariable = "COSIGN_PASSWORD"

// The keys of a Secret, as cosign generate-key-pair k8s://NAMESPACE/NAME makes it.
const (
	privateKey  = "cosign.key"
	publicKey   = "cosign.pub"
	passwordKey = "cosign.password"
)

// scheme starts a reference to a Secret.
const scheme = "k8s://"

// Reference names a key: a file, or k8s://NAMESPACE/SECRET.
type Reference string

// AddSign adds the flag --sign-key.
func (r *Reference) AddSign(cmd *cobra.Command, help string) {
	cmd.Flags().StringVar((*string)(r), "sign-key", "", help+": a private key as cosign generate-key-pair makes it, a file or k8s://NAMESPACE/SECRET; the password of a file is in "+PasswordVariable+", or is asked for")
}

// Check returns a usage error for a reference of another form.
func (r Reference) Check(flag string) error {
	if _, _, ok := r.secret(); strings.Contains(string(r), "://") && !ok {
		return option.Usagef("--%s %s is neither a file nor k8s://NAMESPACE/SECRET", flag, r)
	}
	return nil
}

// secret returns the namespace and the name of the Secret; ok is false for a file.
func (r Reference) secret() (namespace, name string, ok bool) {
	rest, ok := strings.CutPrefix(string(r), scheme)
	namespace, name, slash := strings.Cut(rest, "/")
	return namespace, name, ok && slash && namespace != "" && name != "" && !strings.Contains(name, "/")
}

// Private reads the private key. It is nil for an empty reference.
func (r Reference) Private(ctx context.Context, client kubernetes.Interface, streams genericiooptions.IOStreams) (*attestation.Key, error) {
	if r == "" {
		return nil, nil //nolint:nilnil // no key was asked for
	}
	if namespace, name, ok := r.secret(); ok {
		secret, err := readSecret(ctx, client, namespace, name)
		if err != nil {
			return nil, err
		}
		return r.parsed(attestation.ParseKey(secret.Data[privateKey], secret.Data[passwordKey]))
	}
	text, err := os.ReadFile(string(r))
	if err != nil {
		return nil, fmt.Errorf("--sign-key: %w", err)
	}
	password, given := os.LookupEnv(PasswordVariable)
	key, err := attestation.ParseKey(text, []byte(password))
	if errors.Is(err, attestation.ErrPassword) && !given && display.CanAsk(streams.In, streams.ErrOut) {
		if password, err = display.AskHidden(ctx, streams.In, streams.ErrOut, "Password of "+string(r)+": "); err != nil {
			return nil, err
		}
		key, err = attestation.ParseKey(text, []byte(password))
	}
	return r.parsed(key, err)
}

func (r Reference) parsed(key *attestation.Key, err error) (*attestation.Key, error) {
	if err != nil {
		return nil, fmt.Errorf("--sign-key %s: %w", r, err)
	}
	return key, nil
}

// Public reads the public key.
func (r Reference) Public(ctx context.Context, client kubernetes.Interface) (*attestation.PublicKey, error) {
	var text []byte
	if namespace, name, ok := r.secret(); ok {
		secret, err := readSecret(ctx, client, namespace, name)
		if err != nil {
			return nil, err
		}
		text = secret.Data[publicKey]
	} else {
		var err error
		if text, err = os.ReadFile(string(r)); err != nil {
			return nil, fmt.Errorf("--key: %w", err)
		}
	}
	key, err := attestation.ParsePublicKey(text)
	if err != nil {
		return nil, fmt.Errorf("--key %s: %w", r, err)
	}
	return key, nil
}

func readSecret(ctx context.Context, client kubernetes.Interface, namespace, name string) (*corev1.Secret, error) {
	secret, err := client.CoreV1().Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("read the key: %w", err)
	}
	return secret, nil
}
