#!/usr/bin/env bash
# Runs the tests of the hack/cluster module. It compiles only packages with tests,
# because the others contain all of Kubernetes.
set -euo pipefail

# shellcheck source=hack/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT/hack/cluster"

mapfile -t packages < <(go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' ./... | grep .)
((${#packages[@]} > 0)) || die "hack/cluster has no tests"
go test "${packages[@]}"
