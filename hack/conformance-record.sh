#!/usr/bin/env bash
# Writes into the cases of test/conformance what image BuildKit makes of them. Records
# the cases that have changed, or those that are named. Base images and packages come
# from the cluster of hack/cluster, which has to run.
#
# usage: hack/conformance-record.sh [--all] [CASE]...
set -euo pipefail

# shellcheck source=hack/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

[[ $(id -u) == 0 ]] || die "BuildKit makes containers: run this as root"
command -v runc >/dev/null || debian_packages runc
buildkit=$(hack/tools/build.sh buildkit)
arguments=()
for flag in $(cluster setup-flags); do
  case $flag in
    --build-arg=*) arguments+=("$flag") ;;
    --image-mirror=docker.io=http://*) arguments+=("--mirror=${flag#--image-mirror=docker.io=http://}") ;;
  esac
done
go run ./test/conformance/record --buildkit="$buildkit" "${arguments[@]}" "$@"
