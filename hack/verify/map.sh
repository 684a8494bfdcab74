#!/usr/bin/env bash
# The map of the code in CONTRIBUTING.md is what the package comments say.
set -euo pipefail

# shellcheck source=hack/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
cd "$ROOT"
go run ./hack/codemap --check
