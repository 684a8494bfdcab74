#!/usr/bin/env bash
# Runs the end-to-end tests on the cluster of $KUBECONFIG; see with-cluster.sh
# for the environment.
set -euo pipefail

# shellcheck source=hack/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

export PYFLOW_BIN="$ROOT/bin"
go test -tags e2e -count=1 -timeout 40m -v ./test/e2e/...
