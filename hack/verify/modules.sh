#!/usr/bin/env bash
# The module files are tidy. A tree that cannot be resolved, for want of a
# network, is not reported.
set -euo pipefail

# shellcheck source=hack/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

complaints=$(mktemp)
trap 'rm -f "$complaints"' EXIT
failed=0
for module in . hack/cluster test/e2e/console; do
  if ! diff=$(cd "$ROOT/$module" && go mod tidy -diff 2>"$complaints"); then
    if [[ -n $diff ]]; then
      printf '%s\nerror: %s/go.mod is not tidy: run go mod tidy there\n' "$diff" "$module" >&2
      failed=1
    else
      printf 'not checked, as it cannot be resolved here: %s: %s\n' "$module" "$(grep . "$complaints" | tail -n 1)" >&2
    fi
  fi
done
exit "$failed"
