#!/usr/bin/env bash
# Runs the end-to-end tests on the cluster of $KUBECONFIG; see with-cluster.sh for the
# environment. On the cluster of hack/cluster the tests get the program that changes
# it, and those of test/e2e/disruptive get a second cluster beside it. $RUN selects tests
# as `go test -run` does, and they run on one cluster. Finally it prints the slowest tests
# and the number of tested behaviors.
#
# usage: hack/test-e2e.sh [PACKAGE]...
#        hack/test-e2e.sh console
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
second=
# shellcheck disable=SC2317 # called by the trap
finish() {
  # The second cluster has a process group of its own, which stops it.
  if [[ -n $second ]] && kill -TERM -- "-$second" 2>/dev/null; then
    wait "$second" || true
  fi
  rm -rf "$PYFLOW_E2E_DIR"
}
trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# tests runs the tests of packages, one package after another. Builds wait most of the
# time: four at once fill a machine of two cores. make lint has vetted the packages.
tests() {
  go test -tags e2e -vet=off -count=1 -timeout 60m -parallel "${PARALLEL:-4}" -p 1 -v ${RUN:+-run "$RUN"} "$@" 2>&1
}

# console_tests runs the tests of the console in a browser, which are a module of their own.
console_tests() {
  command -v chromium >/dev/null || debian_packages chromium fonts-liberation
  PYFLOW_AXE=$(hack/tools/web.sh)/axe-core/axe.min.js
  export PYFLOW_AXE PYFLOW_PICTURES=${PYFLOW_PICTURES:-$ROOT/bin/pictures}
  (cd test/e2e/console && tests .)
}

# report reads the output of go test, and prints the number of tests and the slowest
# ones. It counts the parts of a test instead of the test itself.
report() {
  awk '
    match($0, /--- (PASS|FAIL|SKIP): /) {
      state = substr($0, RSTART + 4, 4)
      rest = substr($0, RSTART + RLENGTH)
      name = rest; sub(/ \([0-9.]+s\)$/, "", name)
      seconds = rest; sub(/.*\(/, "", seconds); sub(/s\)$/, "", seconds)
      states[name] = state
      parent = name
      while (sub(/\/[^\/]*$/, "", parent)) parents[parent] = 1
      if (name !~ /\//) slowest[name] = seconds
    }
    END {
      for (name in states) if (!(name in parents)) count[states[name]]++
      printf "\n==> behaviors: %d tested, %d skipped, %d failed\n", count["PASS"] + count["FAIL"], count["SKIP"], count["FAIL"]
      print "==> the slowest tests, in seconds"
      sort = "sort -rn | head -n 10"
      for (name in slowest) print slowest[name], name | sort
      close(sort)
    }
  ' "$@"
}

# first_cluster runs what shares a cluster with others.
first_cluster() {
  local failed=0
  tests ./test/e2e || failed=1
  console_tests || failed=1
  return "$failed"
}

if [[ ${1:-} == console ]]; then
  console_tests
  exit
elif (($# > 0)); then
  tests "$@"
  exit
fi
code=0
logs=("$PYFLOW_E2E_DIR/first")
if [[ -n ${PYFLOW_CLUSTER_TOOL:-} && -z ${RUN:-} && -z ${PYFLOW_CLUSTER:-} ]]; then
  set -m
  env -u KUBECONFIG -u PYFLOW_SETUP_FLAGS PYFLOW_CLUSTER=b \
    hack/with-cluster.sh hack/test-e2e.sh ./test/e2e/disruptive >"$PYFLOW_E2E_DIR/second" 2>&1 &
  second=$!
  set +m
  logs+=("$PYFLOW_E2E_DIR/second")
  first_cluster | tee "$PYFLOW_E2E_DIR/first" || code=1
  log "the second cluster"
  tail --pid="$second" -n +1 -f "$PYFLOW_E2E_DIR/second" || true
  wait "$second" || code=1
  second=
elif [[ -n ${RUN:-} ]]; then
  tests ./test/e2e ./test/e2e/disruptive | tee "$PYFLOW_E2E_DIR/first" || code=1
else
  {
    failed=0
    first_cluster || failed=1
    tests ./test/e2e/disruptive || failed=1
    ((failed == 0))
  } | tee "$PYFLOW_E2E_DIR/first" || code=1
fi
report "${logs[@]}"
exit "$code"
