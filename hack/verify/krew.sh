#!/usr/bin/env bash
# The krew manifest is valid, and krew installs the plugin from the archive that
# belongs to it. Needs no network.
set -euo pipefail

# shellcheck source=hack/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
cd "$ROOT"

krew=$(hack/tools/build.sh krew)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

platform=$(go env GOHOSTOS)/$(go env GOHOSTARCH)
go run ./hack/dist --platform "$platform" --output "$work/dist"
"$krew/validate-krew-manifest" --skip-install --manifest "$work/dist/pyflow.yaml"

archives=("$work"/dist/*.tar.gz)
export KREW_ROOT=$work/krew
"$krew/krew" install --manifest "$work/dist/pyflow.yaml" --archive "${archives[0]}"
version=$(awk '$1 == "version:" { print $2 }' plugins/krew.yaml)
said=$("$KREW_ROOT/bin/kubectl-pyflow" --version)
[[ $said == *"$version"* ]] || die "the installed plugin says \"$said\", not $version"
