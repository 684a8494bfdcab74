#!/usr/bin/env bash
# Tekton's manifest in git is what the pinned module yields.
set -euo pipefail

# shellcheck source=hack/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
cd "$ROOT"

file=pkg/manifests/tekton/release.yaml
fresh=$(mktemp)
trap 'rm -f "$fresh"' EXIT
hack/generate.sh "$fresh"
diff -u "$file" "$fresh" | head -n 40 >&2 || die "$file is not what go.mod pins: run make generate and read its diff"
