#!/usr/bin/env bash
# Tests and checks examples/mountains, and what `kubectl pyflow init` makes of each of
# its templates: there the commands are those of the service's own README. Locked
# dependencies are kept in the user's cache directory, in a virtual environment for
# each lock.
set -euo pipefail

# shellcheck source=hack/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

command -v python3 >/dev/null || debian_packages python3 python3-venv
# Debian ships the venv module without ensurepip, which a virtual environment needs.
python3 -c 'import ensurepip' 2>/dev/null || debian_packages python3-venv
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || die "python 3.11 or newer is needed: python3 is $(python3 --version)"
command -v curl >/dev/null || debian_packages curl

work=$(mktemp -d)
server=
finish() {
  [[ -z $server ]] || kill -KILL "$server" 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT

# use_venv makes .venv a link to the environment of requirements-dev.txt.
use_venv() {
  local key venv
  # Without comments, which name the project.
  key=$({ python3 -c 'import sys; print(sys.version, sys.executable)' && grep -v '^ *#' requirements-dev.txt; } | sha256sum | cut -c1-16)
  venv=$CACHE/venv/locked-$key
  if [[ ! -e $venv/complete ]]; then
    log "installing the dependencies of $(basename "$PWD"), once"
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
    touch "$venv/complete"
  fi
  ln -s "$venv" "$1"
}

# readme prints the commands of README.md that contain a word.
readme() {
  awk '/^```sh$/ { on = 1; next } /^```$/ { on = 0 } on' README.md | grep -F -- "$1" || die "$PWD/README.md has no command with $1"
}

# status prints the HTTP status of the server, 000 if it does not answer.
status() { curl --silent --output /dev/null --max-time 10 --write-out '%{http_code}' "127.0.0.1:$port$1" || true; }

# await waits for a status.
await() {
  local deadline=$((SECONDS + 60))
  until [[ $(status "$1") == "$2" ]]; do
    kill -0 "$server" 2>/dev/null || die "the server ended by itself: $(cat server.log)"
    ((SECONDS < deadline)) || die "$1 does not answer with $2 but with $(status "$1"): $(cat server.log)"
  done
}

# check_server starts the server as the README describes, and stops it as Kubernetes
# does.
check_server() {
  local command code=0
  command=$(readme /uvicorn)
  [[ $command == "DRAIN_SECONDS=0 "*" --port $port --reload" ]] || die "the README starts the server with: $command"
  command=${command#DRAIN_SECONDS=0 }
  # Without --reload, and with time to observe the server after the signal. exec makes
  # the signal reach the server itself.
  DRAIN_SECONDS=600 bash -c "exec ${command% --reload}" >server.log 2>&1 &
  server=$!
  await /readyz 200
  await /healthz 200
  await /docs 200
  kill -TERM "$server"
  await /readyz 503
  await /healthz 200
  kill -TERM "$server"
  wait "$server" || code=$?
  server=
  # uvicorn shuts down gracefully, and then ends by the signal itself.
  ((code == 143 || code == 0)) || die "the server ended with $code: $(cat server.log)"
  grep -q 'Application shutdown complete' server.log || die "the server did not shut down gracefully: $(cat server.log)"
}

log "examples/mountains"
mkdir "$work/mountains"
cp -R "$ROOT"/examples/mountains/. "$work/mountains"
cd "$work/mountains"
rm -rf .venv
use_venv .venv
.venv/bin/pytest
.venv/bin/ruff check
.venv/bin/ruff format --check

export MYPY_CACHE_DIR=$CACHE/mypy
here=$(python3 -c 'import sys; print(f"3.{min(sys.version_info.minor, 14)}")')
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
longest=a$(printf -- '-long%.0s' {1..10})-n
for template in fastapi minimal; do
  log "template $template"
  "$ROOT/bin/kubectl-pyflow" init "$work/$template-service" --template "$template" --python "$here" --port "$port" >/dev/null
  cd "$work/$template-service"
  [[ $(readme 'pip install') == ".venv/bin/pip install --require-hashes -r requirements-dev.txt" ]] || die "the README installs with: $(readme 'pip install')"
  use_venv .venv
  for check in pytest ruff mypy; do
    while read -r command; do
      log "$command"
      bash -c "$command"
    done < <(readme ".venv/bin/$check")
  done
  check_server
  # What is well formed depends on how long the name is, and on the Python.
  for python in 3.11 3.12 3.13 3.14; do
    for name in a "$longest"; do
      "$ROOT/bin/kubectl-pyflow" init "$work/$template/$python/$name" --template "$template" --python "$python" --name "$name" 2>/dev/null >/dev/null
    done
  done
  for project in "$work/$template"/*/*; do
    cd "$project"
    "$work/$template-service/.venv/bin/ruff" check --quiet --no-cache
    "$work/$template-service/.venv/bin/ruff" format --quiet --no-cache --check
  done
done
