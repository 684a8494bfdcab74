#!/bin/sh
# Writes a kustomization that puts an image's digest into manifests, and a user, by number,
# into the Deployment NAME. Before the manifests comes the record of the release: a
# ConfigMap that cannot change, and a Secret for the Secrets among them.
#
# Reads:
#   NAME       the image name that the manifests use
#   IMAGE      the repository that nodes pull from
#   DIGEST     the image's digest
#   SEQUENCE   the run's place in the sequence of all runs; may be empty
#   RELEASE    the number of the release; empty records none
#   RECORD     what else the record says: a JSON object in one line
#   ADOPT      "true" marks the objects as taken over
#   MANIFESTS  the kustomization to build on, relative to OUTPUT
#   OUTPUT     the directory to write kustomization.yaml in
#   ORDERED    "true" writes the kustomizations before, jobs and after in directories of
#              OUTPUT, too, and check with all of them, where no Job has the name of one
#              that exists; otherwise it may be unset
#   LAYOUT     the image, an OCI layout; empty leaves the user of the manifests
#   USER_OF_PODS  USER or USER:GROUP, in names of the image or numbers; empty means the USER
#              of the image
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
require "release" "${RELEASE:-0}" '0-9'
case $RECORD in
  *"
"*) fail "the record of the release has more than one line" ;;
esac
require "digest" "${DIGEST#sha256:}" '0-9a-f'
if [ "${#DIGEST}" != 71 ] || [ "$DIGEST" != "sha256:${DIGEST#sha256:}" ]; then
  fail "digest \"$DIGEST\" is not valid"
fi

# strings FILE PATH: the strings at a path of a JSON document, such as .config.User. An
# element of a list adds an empty key to it.
strings() {
  tr -d '\n' <"$1" | grep -oE '"([^"\]|\\.)*"|[][{}:,]' | awk -v want="$2" '
    /^[{[]$/ { depth++; key[depth] = ""; value = 0; next }
    /^[]}]$/ { depth--; value = 0; next }
    /^,$/ { value = 0; next }
    /^:$/ { key[depth] = last; value = 1; next }
    { last = substr($0, 2, length($0) - 2) }
    value {
      path = ""
      for (i = 1; i <= depth; i++) path = path "." key[i]
      if (path == want) print last
      value = 0
    }'
}

# blob DIGEST: the file of the layout with that content.
blob() {
  require "digest" "${1#sha256:}" '0-9a-f'
  echo "$LAYOUT/blobs/sha256/${1#sha256:}"
}

# database FILE: a file in /etc of the image, as its uppermost layer has it.
database() {
  upper=
  for layer in $layers; do
    upper="$layer $upper"
  done
  for layer in $upper; do
    file=$(blob "$layer")
    case $(od -An -tx1 -N4 "$file" | tr -d ' \n') in
      1f8b*) unpack="gzip -dc" ;;
      28b52ffd) fail "$says, and layer $layer is compressed by zstd, which hides its number: write the user as a number" ;;
      *) unpack="cat" ;;
    esac
    # tar fails if the layer has not all of these names.
    text=$($unpack "$file" | tar -xOf - "etc/$1" "./etc/$1" "/etc/$1" 2>/dev/null) || true
    if [ -n "$text" ]; then
      printf "%s\n" "$text"
      return
    fi
  done
}

# number FILE NAME FIELD: a field of a line of passwd or group, or the number that NAME is.
number() {
  case $2 in
    *[!0-9]*) database "$1" | awk -F: -v name="$2" -v field="$3" '$1 == name { print $field; exit }' ;;
    *) echo "$2" ;;
  esac | sed 's/^0*\(.\)/\1/'
}

patch=
if [ -n "$LAYOUT" ]; then
  manifest=$(blob "$DIGEST")
  layers=$(strings "$manifest" .layers..digest)
  user=$USER_OF_PODS
  says="the user of the pods is \"$user\""
  if [ -z "$user" ]; then
    user=$(strings "$(blob "$(strings "$manifest" .config.digest)")" .config.User)
    says="the image runs as \"$user\""
  fi
  require "user" "${user:--}" 'A-Za-z0-9._:$-'
  person=${user%%:*}
  group=${user#"$person"}
  group=${group#:}
  [ "$person" = root ] && person=0
  uid=$(number passwd "${person:-0}" 3)
  gid=
  if [ -n "$group" ]; then
    gid=$(number group "$group" 3)
    [ -n "$gid" ] || fail "$says, and /etc/group of the image has no \"$group\""
  elif [ "$uid" != "$person" ]; then
    gid=$(database passwd | awk -F: -v name="$person" '$1 == name { print $4; exit }')
  fi
  [ -n "$uid" ] || fail "$says, and /etc/passwd of the image has no \"$person\""
  if [ "$uid" = 0 ]; then
    [ -z "$USER_OF_PODS" ] || fail "$says, which is root in the image, as which no pod of the Deployment runs"
    uid=1000
    gid=1000
    echo "pyflow: warning: the image runs as root, so the pods run as $uid:$gid: add a USER to the Dockerfile"
  fi
  require "user" "$uid" '0-9'
  require "group" "${gid:-0}" '0-9'
  # The Deployment that has no label is of a release that was recorded without it.
  for target in "kind: Deployment
      name: \"$NAME\"" "kind: Deployment
      labelSelector: pyflow.dev/generated" "kind: Job
      labelSelector: pyflow.dev/generated"; do
    patch="$patch
  - target:
      $target
    patch: |-
      apiVersion: v1
      kind: any
      metadata:
        name: any
      spec:
        template:
          spec:
            securityContext:
              runAsUser: $uid
              runAsGroup: ${gid:-null}"
  done
  patch="$patch
  - target:
      kind: CronJob
      labelSelector: pyflow.dev/generated
    patch: |-
      apiVersion: v1
      kind: any
      metadata:
        name: any
      spec:
        jobTemplate:
          spec:
            template:
              spec:
                securityContext:
                  runAsUser: $uid
                  runAsGroup: ${gid:-null}"
fi

# metadata KIND: the head of an object of the record.
metadata() {
  cat <<YAML
---
apiVersion: v1
kind: $1
metadata:
  name: "$NAME-release-$RELEASE"
  labels:
    app.kubernetes.io/managed-by: kubectl-pyflow
    pyflow.dev/app: "$NAME"
    pyflow.dev/release: "$RELEASE"
  annotations:
    pyflow.dev/sequence: "$SEQUENCE"
immutable: true
YAML
}

# block KEY: standard input as the value of a key.
block() {
  echo "  $1: |"
  sed 's/^/    /'
}

cd "$OUTPUT"
first=
if [ -n "$RELEASE" ]; then
  first=record.yaml
  {
    metadata ConfigMap
    echo "data:"
    echo "$RECORD" | block record.json
    echo "$DIGEST" | block digest
    for file in "$MANIFESTS"/*.yaml; do
      [ "${file##*/}" = secrets.yaml ] || block "${file##*/}" <"$file"
    done
    if [ -e "$MANIFESTS/secrets.yaml" ]; then
      metadata Secret
      echo "data:"
      echo "  secrets.yaml: $(base64 <"$MANIFESTS/secrets.yaml" | tr -d '\n')"
    fi
  } >record.yaml
fi

taken=
if [ "$ADOPT" = true ]; then
  taken="
      - op: add
        path: /metadata/annotations/pyflow.dev~1adopted
        value: \"true\""
fi

# kustomization RESOURCE...: the resources, in the order in which they are applied, with the
# image and the annotations of the run.
kustomization() {
  cat <<YAML
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
sortOptions:
  order: fifo
resources:
$(printf -- '  - %s\n' "$@")
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
      - op: add
        path: /metadata/annotations/pyflow.dev~1release
        value: "$RELEASE"$taken$patch
YAML
}

kustomization ${first:+"$first"} "$MANIFESTS" >kustomization.yaml
[ "${ORDERED:-}" = true ] || exit 0

# part DIRECTORY FILE...: a kustomization of those of the files that exist. kustomize reads no
# file outside of its directory.
part() {
  directory=$1
  shift
  mkdir "$directory"
  for file; do
    shift
    [ -e "$file" ] || continue
    cp "$file" "$directory/"
    set -- "$@" "${file##*/}"
  done
  kustomization "$@" >"$directory/kustomization.yaml"
}

part before record.yaml "$MANIFESTS/secrets.yaml" "$MANIFESTS/before.yaml"
part jobs "$MANIFESTS/jobs.yaml"
after=
if [ -e "$MANIFESTS/resources.yaml" ]; then
  after="
  - ../after"
  part after "$MANIFESTS/resources.yaml"
else
  # There is nothing but Jobs, and kubectl wants something to apply.
  part after record.yaml
fi
mkdir check renamed
cat >renamed/kustomization.yaml <<YAML
nameSuffix: -pyflow
resources:
  - ../jobs
YAML
cat >check/kustomization.yaml <<YAML
resources:
  - ../before
  - ../renamed$after
YAML
