#!/usr/bin/env bash
# Shows what is needed to understand a failure on the cluster of $KUBECONFIG: the
# plugin's status, pods, events, the logs of pods that are not ready, and the end of
# the node's logs when the cluster is that of hack/cluster.
set -uo pipefail

# shellcheck source=hack/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
PATH="$ROOT/bin:$PATH"

show() {
  printf '\n--- %s\n' "$*"
  timeout 60 "$@" 2>&1 </dev/null
}

# Pods that neither run with every container ready nor have completed.
unwell='{range .items[*]}{.metadata.namespace}{" "}{.metadata.name}{" "}{.status.phase}{range .status.containerStatuses[*]}{" "}{.ready}{end}{"\n"}{end}'

printf '\n=== state of the cluster\n'
if [[ -n ${KUBECONFIG:-} && -e $KUBECONFIG ]] && kubectl get --raw /readyz --request-timeout=10s >/dev/null 2>&1; then
  show kubectl pyflow status --request-timeout=30s
  show kubectl get nodes,pods,pipelineruns,taskruns -A -o wide
  show kubectl get events -A --sort-by=.lastTimestamp | tail -n 60
  kubectl get pods -A -o "jsonpath=$unwell" 2>/dev/null |
    grep -v ' Succeeded' | grep -E 'false|Pending|Failed|Unknown' |
    head -n 10 | while read -r namespace pod _; do
      show kubectl -n "$namespace" describe pod "$pod" | tail -n 40
      show kubectl -n "$namespace" logs "$pod" --all-containers --prefix --tail=40
      kubectl -n "$namespace" logs "$pod" --all-containers --prefix --previous --tail=20 2>/dev/null </dev/null
    done
else
  printf 'the API server of KUBECONFIG=%s does not answer\n' "${KUBECONFIG:-}"
fi

own_kubeconfig=$(cluster kubeconfig 2>/dev/null)
if [[ -n $own_kubeconfig && (-z ${KUBECONFIG:-} || $KUBECONFIG == "$own_kubeconfig") ]]; then
  find "${own_kubeconfig%/*}"/{,*/}log -type f 2>/dev/null | sort | while read -r file; do
    show tail -n 25 "$file"
  done
fi
exit 0
