//go:build e2e

// Package e2e runs the built plugin as users do, against a real cluster. Its tests
// run side by side; those that would disturb others are in disruptive.
package e2e

import (
	"os"
	"testing"

	"github.com/pyflow-dev/kubectl-pyflow/test/e2e/internal/env"
)

func TestMain(m *testing.M) { os.Exit(env.Main(m, 32)) }
