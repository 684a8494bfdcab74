#!/usr/bin/env bash
# Writes the formats of tokens that pkg/secret recognizes, from the module that hack/tools/gitleaks
# pins.
#
# usage: hack/generate-secrets.sh OUTPUT
set -euo pipefail

output=${1:?usage: hack/generate-secrets.sh OUTPUT}
module=github.com/zricethezav/gitleaks/v8
directory=$(cd hack/tools/gitleaks && go mod download "$module" && go list -m -f '{{.Dir}}' "$module")
version=$(cd hack/tools/gitleaks && go list -m -f '{{.Version}}' "$module")
go run ./hack/secret-rules "$directory" "$version" "$output"
