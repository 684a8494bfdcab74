#!/usr/bin/env bash
# The main job, as a user does it: set the cluster up, build and deploy the
# example, look at it. Run by `make demo`, on the cluster of $KUBECONFIG.
set -euo pipefail

# shellcheck source=hack/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

run() {
  log "$*"
  "$@"
}

# Flags hold no spaces: they are words.
read -r -d '' -a setup_flags <<<"${PYFLOW_SETUP_FLAGS:-}" || true

run kubectl pyflow setup "${setup_flags[@]}"
run kubectl pyflow build examples/mountains
run kubectl pyflow status

log "GET /"
kubectl pyflow status -o json | go run ./hack/visit mountains
