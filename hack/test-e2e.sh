#!/usr/bin/env bash
# Runs the end-to-end tests on the cluster of $KUBECONFIG; see with-cluster.sh for the
# environment. On the cluster of hack/cluster the tests get the program that changes
# it. $RUN selects tests as `go test -run` does. Finally it prints the slowest tests
# and the number of tested behaviors.
set -euo pipefail

# shellcheck source=hack/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

# On a cluster other than that of hack/cluster they may be missing.
[[ -x bin/kubectl && -x bin/tkn ]] || cluster tools --bin "$ROOT/bin"
export PYFLOW_BIN="$ROOT/bin"
own_kubeconfig=$(cluster kubeconfig)
if [[ ${KUBECONFIG:-} == "$own_kubeconfig" ]]; then
  export PYFLOW_CLUSTER_TOOL="$ROOT/bin/cluster"
fi
PYFLOW_E2E_DIR=$(mktemp -d)
export PYFLOW_E2E_DIR
trap 'rm -rf "$PYFLOW_E2E_DIR"' EXIT

# report prints the output of go test, and then the slowest tests. It counts the parts
# of a test instead of the test itself.
report() {
  awk '
    { print; fflush() }
    match($0, /--- (PASS|FAIL|SKIP): /) {
      state = substr($0, RSTART + 4, 4)
      rest = substr($0, RSTART + RLENGTH)
      name = rest; sub(/ \([0-9.]+s\)$/, "", name)
      seconds = rest; sub(/.*\(/, "", seconds); sub(/s\)$/, "", seconds)
      states[name] = state; times[name] = seconds
      parent = name
      while (sub(/\/[^\/]*$/, "", parent)) parents[parent] = 1
      if (name !~ /\//) print seconds, name > slowest
    }
    END {
      for (name in states) if (!(name in parents)) count[states[name]]++
      printf "\n==> behaviors: %d tested, %d skipped, %d failed\n", count["PASS"] + count["FAIL"], count["SKIP"], count["FAIL"]
    }
  ' slowest="$PYFLOW_E2E_DIR/slowest"
  if [[ -e $PYFLOW_E2E_DIR/slowest ]]; then
    printf '==> the slowest tests, in seconds\n'
    sort -rn "$PYFLOW_E2E_DIR/slowest" | head -n 10
  fi
}

# Builds wait most of the time: four at once fill a machine of two cores. The tests of
# disruptive follow when those of e2e have ended.
go test -tags e2e -count=1 -timeout 60m -parallel "${PARALLEL:-4}" -p 1 -v ${RUN:+-run "$RUN"} ./test/e2e ./test/e2e/disruptive 2>&1 | report
