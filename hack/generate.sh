#!/usr/bin/env bash
# Writes Tekton's install manifest, assembled from the module that go.mod pins.
#
# usage: hack/generate.sh OUTPUT
set -euo pipefail

output=${1:?usage: hack/generate.sh OUTPUT}
module=github.com/tektoncd/pipeline
go mod download "$module"
directory=$(go list -m -f '{{.Dir}}' "$module")
version=$(go list -m -f '{{.Version}}' "$module")
go run ./hack/tekton-manifest "$directory" "$version" "$output"
