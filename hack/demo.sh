#!/usr/bin/env bash
# Shows the main use on the cluster of $KUBECONFIG: sets the cluster up, builds and
# deploys the example, and fetches what it answers. `make demo` runs it.
set -euo pipefail

# shellcheck source=hack/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

run() {
  log "$*"
  "$@"
}

# Flags contain no spaces, so each word is one.
read -r -d '' -a setup_flags <<<"${PYFLOW_SETUP_FLAGS:-}" || true

run kubectl pyflow setup "${setup_flags[@]}"
run kubectl pyflow build examples/mountains
run kubectl pyflow status

log "GET /"
kubectl pyflow status -o json | go run ./hack/visit mountains
