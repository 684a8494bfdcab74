#!/usr/bin/env bash
# Runs every fuzz target for a while.
#
# usage: hack/fuzz.sh [DURATION]
set -euo pipefail

# shellcheck source=hack/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

while IFS=: read -r file target; do
  log "$file: ${target#func }"
  go test -vet=off -run '^$' -fuzz "^${target#func }\$" -fuzztime "${1:-20s}" "./$(dirname "$file")"
done < <(git grep -oE '^func Fuzz[A-Za-z]*' -- 'pkg/*_test.go')
