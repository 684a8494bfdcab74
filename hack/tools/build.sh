#!/usr/bin/env bash
# Builds the programs that the module hack/tools/NAME pins and prints the
# directory that holds them. They are kept in the user's cache directory, keyed
# by the pins and the Go version, so that a fresh clone does not build them again.
#
# usage: hack/tools/build.sh NAME
set -euo pipefail

name=${1:?usage: hack/tools/build.sh NAME}
# shellcheck source=hack/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
cd "$ROOT/hack/tools/$name"

key=$({ go env GOVERSION && cat go.mod go.sum; } | sha256sum | cut -c1-16)
directory=$CACHE/tools/$name-$key
if [[ ! -d $directory ]]; then
  log "building $name from source, once"
  mkdir -p "$CACHE/tools"
  part=$(mktemp -d "$directory.XXXXXX")
  trap 'rm -rf "$part"' EXIT
  CGO_ENABLED=0 GOFLAGS="-buildvcs=false -trimpath" GOWORK=off go build -mod=readonly -o "$part/" tool
  # Another process may have been faster; its result is as good.
  mv -T "$part" "$directory" 2>/dev/null || [[ -d $directory ]]
  log "built $name"
fi
printf '%s\n' "$directory"
