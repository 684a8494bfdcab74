#!/usr/bin/env bash
# Runs the end-to-end tests on the cluster of $KUBECONFIG; see with-cluster.sh
# for the environment. On hack/cluster's they get the program that changes it.
set -euo pipefail

# shellcheck source=hack/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

# On another cluster than hack/cluster's they may not be there yet.
[[ -x bin/kubectl && -x bin/tkn ]] || cluster tools --bin "$ROOT/bin"
export PYFLOW_BIN="$ROOT/bin"
own_kubeconfig=$(cluster kubeconfig)
if [[ ${KUBECONFIG:-} == "$own_kubeconfig" ]]; then
  export PYFLOW_CLUSTER_TOOL="$ROOT/bin/cluster"
fi
# Builds mostly wait: three at once fill a machine of two cores.
go test -tags e2e -count=1 -timeout 75m -parallel 3 -v ./test/e2e/...
