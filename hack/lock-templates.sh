#!/usr/bin/env bash
# Locks the dependencies of the templates of `kubectl pyflow init` at their newest
# versions. Run it from time to time, and whenever the pyproject.toml of a template
# changes. Then run make test-example to check that the templates work.
#
# The locks hold for Python 3.11 and newer on any platform, as --python may choose
# one. Which package index they came from does not matter, and is not in them.
set -euo pipefail

# shellcheck source=hack/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

venv=$CACHE/venv/uv
if [[ ! -x $venv/bin/uv ]]; then
  log "installing uv, once"
  python3 -m venv "$venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check uv
fi

# Ignore the package indexes that this machine configures.
compile() {
  UV_CUSTOM_COMPILE_COMMAND="see README.md" "$venv/bin/uv" pip compile --quiet --universal --python-version 3.11 \
    --generate-hashes --only-binary :all: --no-emit-index-url --no-emit-find-links "$@" >/dev/null
}

for template in "$ROOT"/pkg/project/scaffold/templates/*/; do
  cd "$template"
  rm -f requirements*.txt
  compile pyproject.toml -o requirements.txt
  compile --group test -c requirements.txt pyproject.toml -o requirements-test.txt
  compile --group dev -c requirements-test.txt pyproject.toml -o requirements-dev.txt
done
