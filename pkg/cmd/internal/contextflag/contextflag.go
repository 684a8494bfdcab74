// Package contextflag tells the two meanings of the flag --context of build apart.
package contextflag

import (
	"os"
	"path/filepath"
	"strings"

	"k8s.io/cli-runtime/pkg/genericclioptions"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/cmd/internal/option"
)

// Directory gives the value of --context its meaning: a directory is the build context, as
// for Docker, and any other value a context of the kubeconfig, as for all verbs. It returns the
// directory, which need not exist if it is written as a path, or selects the context in config.
// A value that is both is a usage error.
func Directory(config *genericclioptions.ConfigFlags, given string) (directory string, err error) {
	if given == "" {
		return "", nil
	}
	// No context is called like a path.
	path := filepath.IsAbs(given) || strings.HasPrefix(given, ".")
	if !path && !isDirectory(given) {
		config.Context = &given
		return "", nil
	}
	// Without a kubeconfig there is no such context.
	known, _ := config.ToRawKubeConfigLoader().RawConfig()
	if !path && known.Contexts[given] != nil {
		return "", option.Usagef("--context %[1]s is a directory, and a context of the kubeconfig: write ./%[1]s for the directory, or select the context with kubectl config use-context", given)
	}
	return given, nil
}

func isDirectory(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
