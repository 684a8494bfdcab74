//go:build e2e

// Package console drives the page of kubectl pyflow ui in a real browser, against a real
// cluster. It is a module of its own, so that the driver of the browser is no dependency of
// the plugin.
package console

import (
	"os"
	"testing"

	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
)

func TestMain(m *testing.M) { os.Exit(env.Main(m, 4)) }
