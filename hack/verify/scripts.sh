#!/usr/bin/env bash
# The shell scripts pass shellcheck.
set -euo pipefail

# shellcheck source=hack/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
cd "$ROOT"

command -v shellcheck >/dev/null || debian_packages shellcheck
mapfile -t scripts < <(find hack .ci pkg/manifests/platform/scripts -name testdata -prune -o -type f -exec grep -lE -m1 '^#!.*\b(ba)?sh$' {} + | sort)
shellcheck --external-sources --source-path=. hack/lib.sh "${scripts[@]}"
