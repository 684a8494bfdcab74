#!/usr/bin/env bash
# Tests and checks examples/mountains with its locked dependencies, in a virtual
# environment that is kept in the user's cache directory, keyed by the lock.
set -euo pipefail

# shellcheck source=hack/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT/examples/mountains"

command -v python3 >/dev/null || debian_packages python3 python3-venv
# Debian ships the venv module without what makes a virtual environment.
python3 -c 'import ensurepip' 2>/dev/null || debian_packages python3-venv
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || die "python 3.11 or newer is needed: python3 is $(python3 --version)"

key=$({ python3 -c 'import sys; print(sys.version, sys.executable)' && cat requirements-dev.txt; } | sha256sum | cut -c1-16)
venv=$CACHE/venv/mountains-$key
if [[ ! -e $venv/complete ]]; then
  log "installing the example's dependencies, once"
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
  touch "$venv/complete"
fi

# Nothing is written into the checkout.
export PYTHONDONTWRITEBYTECODE=1
"$venv/bin/python" -m pytest -p no:cacheprovider
"$venv/bin/ruff" check --no-cache
"$venv/bin/ruff" format --no-cache --check
