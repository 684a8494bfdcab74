#!/usr/bin/env bash
# Installs the npm packages that hack/tools/web pins by their checksums, and prints the
# directory that holds them. They are kept in the user's cache directory, keyed by the pins.
set -euo pipefail

# shellcheck source=hack/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
cd "$ROOT/hack/tools/web"

key=$(sha256sum <package-lock.json | cut -c1-16)
directory=$CACHE/tools/web-$key
if [[ ! -d $directory ]]; then
  command -v npm >/dev/null || debian_packages nodejs npm
  log "installing the packages of hack/tools/web, once"
  mkdir -p "$CACHE/tools"
  part=$(mktemp -d "$directory.XXXXXX")
  trap 'rm -rf "$part"' EXIT
  cp package.json package-lock.json .npmrc "$part/"
  (cd "$part" && npm ci >&2)
  # Another process may have been faster; its result is as good.
  mv -T "$part" "$directory" 2>/dev/null || [[ -d $directory ]]
fi
printf '%s/node_modules\n' "$directory"
