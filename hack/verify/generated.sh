#!/usr/bin/env bash
# Tekton's manifest is what the pinned module gives.
set -euo pipefail

# shellcheck source=hack/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
cd "$ROOT"

file=pkg/manifests/tekton/release.yaml
fresh=$(mktemp)
trap 'rm -f "$fresh"' EXIT
hack/generate.sh "$fresh"
cmp "$fresh" "$file" || die "$file is not what go.mod pins: remove it and run make generate"
