#!/usr/bin/env bash
# Makes targets one after another, whatever becomes of each, and ends with what
# each took and which failed.
#
# usage: hack/stages.sh TARGET...
set -euo pipefail

# shellcheck source=hack/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

summary=() failed=0
for target in "$@"; do
  log "make $target"
  start=$SECONDS result=ok
  make --no-print-directory "$target" || result=FAILED failed=1
  summary+=("$(printf '%-6s %-18s %5ds' "$result" "$target" $((SECONDS - start)))")
done
log "summary"
printf '  %s\n' "${summary[@]}" >&2
exit "$failed"
