#!/usr/bin/env bash
# Runs a command with a cluster: that of $KUBECONFIG if it is set, otherwise that of
# hack/cluster. If that cluster is not running, the script starts it, and always takes
# it down at the end. If the command fails, the script prints the state of the cluster.
#
# The command gets
#   KUBECONFIG          the kubeconfig
#   PYFLOW_SETUP_FLAGS  what `kubectl pyflow setup` needs on hack/cluster; on
#                       another cluster as it was
#   PATH                with bin/, where kubectl, the plugin and (on hack/cluster) tkn are
#
# usage: hack/with-cluster.sh [--keep] COMMAND [ARGUMENT]...
#   --keep  leave the cluster running
set -euo pipefail

# shellcheck source=hack/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

keep=false
if [[ ${1:-} == --keep ]]; then
  keep=true
  shift
fi
(($# > 0)) || die "usage: hack/with-cluster.sh [--keep] COMMAND [ARGUMENT]..."

export PATH="$ROOT/bin:$PATH"

finish() {
  local code=$?
  # A second Ctrl-C must not leave half a cluster behind.
  trap '' INT TERM HUP
  if ((code != 0)); then
    timeout 150 hack/dump-state.sh >&2 || true
  fi
  if $keep; then
    [[ $own == false ]] || log "the cluster is still running: make cluster-down stops it"
  elif $started; then
    log "stopping the cluster"
    cluster down || code=1
  fi
  exit "$code"
}

own=false started=false
trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

own_kubeconfig=$(cluster kubeconfig 2>/dev/null || true)
if [[ -z ${KUBECONFIG:-} || $KUBECONFIG == "$own_kubeconfig" ]]; then
  own=true
  [[ -e $own_kubeconfig ]] || started=true
  log "starting the cluster of hack/cluster"
  cluster up
  KUBECONFIG=$(cluster kubeconfig)
  PYFLOW_SETUP_FLAGS=$(cluster setup-flags)
  export KUBECONFIG PYFLOW_SETUP_FLAGS
  cluster tools --bin "$ROOT/bin"
else
  export KUBECONFIG
  log "using the cluster of KUBECONFIG=$KUBECONFIG"
  command -v kubectl >/dev/null || cluster tools --bin "$ROOT/bin"
fi

"$@"
