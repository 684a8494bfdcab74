#!/usr/bin/env bash
# No type has too many methods, and no verb too many lines.
set -euo pipefail

# shellcheck source=hack/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
cd "$ROOT"
go run ./hack/shape --check
