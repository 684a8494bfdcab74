#!/usr/bin/env bash
# Makes targets one after another, even if some fail, and prints how long each took
# and which failed.
#
# usage: hack/stages.sh [--beside TARGET] TARGET...
#   --beside  make this target at the same time. The output of the others is shown
#             when it has ended.
set -euo pipefail

# shellcheck source=hack/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

beside=
if [[ ${1:-} == --beside ]]; then
  beside=$2
  shift 2
fi
results=$(mktemp -d)
others=
# shellcheck disable=SC2317 # called by the trap
finish() {
  # What runs beside has a process group of its own.
  [[ -z $others ]] || kill -TERM -- "-$others" 2>/dev/null || true
  rm -rf "$results"
}
trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# stage makes a target and records its result. A command may precede make.
stage() {
  local start=$SECONDS result=ok target=$1
  shift
  "$@" make --no-print-directory "$target" || result=FAILED
  printf '%-6s %-18s %5ds\n' "$result" "$target" $((SECONDS - start)) >"$results/$target"
}

# stages makes several targets one after another.
stages() {
  local target
  for target in "$@"; do
    log "make $target"
    stage "$target"
  done
}

if [[ -n $beside ]]; then
  # They take what the other one leaves of the machine.
  set -m
  for target in "$@"; do
    stage "$target" nice >>"$results/output" 2>&1
    log "beside it: $(cat "$results/$target")"
  done &
  others=$!
  set +m
  stages "$beside"
  wait "$others"
  others=
  log "make $*"
  cat "$results/output" >&2
else
  stages "$@"
fi

log "summary"
failed=0
for target in "$@" ${beside:+"$beside"}; do
  printf '  %s\n' "$(cat "$results/$target")" >&2
  grep -q '^ok' "$results/$target" || failed=1
done
exit "$failed"
