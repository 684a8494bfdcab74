#!/usr/bin/env bash
# The project's text is plain English: no line uses a phrase of hack/verify/words.txt.
# Test data, licenses and generated files are left out.
set -euo pipefail

# shellcheck source=hack/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
cd "$ROOT"

pattern=$(grep -v '^#' hack/verify/words.txt | cut -f1 | paste -sd '|')
if git grep -nIiwE "$pattern" -- . \
  ':!*/testdata/*' ':!LICENSE' ':!*.sum' ':!*.mod' ':!pkg/manifests/tekton' ':!pkg/secret/gitleaks.json' ':!hack/verify/words.txt' ; then
  printf '\n' >&2
  die "these lines do not read as plain English; hack/verify/words.txt has what to write instead"
fi
