package manifests

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/secret"
)

// ReadTekton reads a Tekton Pipelines install manifest from a file or, when
// location begins with http:// or https://, from there.
func ReadTekton(ctx context.Context, location string) ([]byte, error) {
	if !strings.HasPrefix(location, "https://") && !strings.HasPrefix(location, "http://") {
		return os.ReadFile(location)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, location, nil)
	if err != nil {
		return nil, fmt.Errorf("--tekton-manifest: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("fetch --tekton-manifest: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetch --tekton-manifest %s: %s", secret.Redact(location), response.Status)
	}
	return io.ReadAll(response.Body)
}
