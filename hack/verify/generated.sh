#!/usr/bin/env bash
# Tekton's manifest and the formats of tokens in git are what the pinned modules yield.
set -euo pipefail

# shellcheck source=hack/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
cd "$ROOT"

file=pkg/manifests/tekton/release.yaml
fresh=$(mktemp)
trap 'rm -f "$fresh"' EXIT
hack/generate.sh "$fresh"
diff -u "$file" "$fresh" | head -n 40 >&2 || die "$file is not what go.mod pins: run make generate and read its diff"

file=pkg/secret/gitleaks.json
hack/generate-secrets.sh "$fresh"
diff -u "$file" "$fresh" | head -n 40 >&2 || die "$file is not what hack/tools/gitleaks pins: run make generate and read its diff"
