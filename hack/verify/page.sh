#!/usr/bin/env bash
# The JavaScript of the console passes the type checker, and what is vendored there is what
# its project published.
set -euo pipefail

# shellcheck source=hack/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
cd "$ROOT/pkg/console/static"

modules=$("$ROOT/hack/tools/web.sh")
failed=0
for pair in idiomorph.js:dist/idiomorph.esm.js idiomorph.d.ts:dist/idiomorph.d.ts idiomorph.LICENSE:LICENSE; do
  cmp "${pair%%:*}" "$modules/idiomorph/${pair#*:}" || failed=1
done
node "$modules/typescript/bin/tsc" --noEmit --allowJs --checkJs --strict --noUncheckedIndexedAccess \
  --noUnusedLocals --noUnusedParameters --target es2024 --module esnext --moduleResolution bundler \
  --lib es2024,dom,dom.iterable --skipLibCheck console.js || failed=1
exit "$failed"
