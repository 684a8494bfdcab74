#!/usr/bin/env bash
# Runs golangci-lint, which reports formatting as well, over the plugin's module
# and those of hack/cluster and test/e2e/console.
#
# usage: hack/lint.sh [--fix]
#   --fix  format the code and do nothing else
set -euo pipefail

# shellcheck source=hack/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

lint=$(hack/tools/build.sh golangci-lint)/golangci-lint
config=$ROOT/.golangci.yml
if [[ ${1:-} == --fix ]]; then
  "$lint" fmt --config "$config" ./...
  (cd hack/cluster && "$lint" fmt --config "$config" ./...)
  cd test/e2e/console && exec "$lint" fmt --config "$config" ./...
fi

failed=0
"$lint" config verify --config "$config" || failed=1
"$lint" run --config "$config" ./... || failed=1
# Left out: the programs that are only a main function over a whole Kubernetes or
# Tekton's client, whose dependencies take longer to analyse than all the rest.
cd hack/cluster
mapfile -t packages < <(go list -f '{{if lt (len .Deps) 1000}}{{.Dir}}{{end}}' ./... | grep .)
"$lint" run --config "$config" "${packages[@]/#"$PWD"/.}" || failed=1
cd ../../test/e2e/console
"$lint" run --config "$config" ./... || failed=1
exit "$failed"
