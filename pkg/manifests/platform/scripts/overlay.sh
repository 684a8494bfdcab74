#!/bin/sh
# Writes a kustomization that puts an image's digest into manifests.
#
# Reads:
#   NAME       the image name that the manifests use
#   IMAGE      the repository that nodes pull from
#   DIGEST     the image's digest
#   SEQUENCE   the run's place in the sequence of all runs; may be empty
#   MANIFESTS  the kustomization to build on, relative to OUTPUT
#   OUTPUT     the directory to write kustomization.yaml in
# DIGEST comes from the pod that ran the Dockerfile: nothing but a digest may get into
# the kustomization.
set -eu

fail() {
  echo "pyflow: $*" >&2
  exit 1
}

# require NAME VALUE CHARACTERS: a value without quotes, spaces and line breaks.
require() {
  case $2 in
    "" | *[!$3]*) fail "$1 \"$2\" is not valid" ;;
  esac
}

require "image name" "$NAME" 'A-Za-z0-9._/:-'
require "image" "$IMAGE" 'A-Za-z0-9._/:-'
require "sequence" "${SEQUENCE:--}" 'A-Za-z0-9._: -'
require "digest" "${DIGEST#sha256:}" '0-9a-f'
if [ "${#DIGEST}" != 71 ] || [ "$DIGEST" != "sha256:${DIGEST#sha256:}" ]; then
  fail "digest \"$DIGEST\" is not valid"
fi

cat >"$OUTPUT/kustomization.yaml" <<YAML
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
  - $MANIFESTS
images:
  - name: "$NAME"
    newName: "$IMAGE"
    digest: "$DIGEST"
patches:
  # It can only add to annotations that exist.
  - target:
      annotationSelector: pyflow.dev/manifests
    patch: |-
      - op: add
        path: /metadata/annotations/pyflow.dev~1sequence
        value: "$SEQUENCE"
YAML
