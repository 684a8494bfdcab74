# Shared by the scripts of this directory: source it, do not run it.
# shellcheck shell=bash

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# The cache of builds, beside that of hack/cluster.
# shellcheck disable=SC2034 # for those who source this
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/kubectl-pyflow

# log prints a line of progress on stderr. stdout is for the output that a caller reads.
log() { printf '\n==> %s\n' "$*" >&2; }

die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# debian_packages installs Debian packages if the user may.
debian_packages() {
  if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
    die "missing: install $* and run this again"
  fi
  log "installing $*"
  export DEBIAN_FRONTEND=noninteractive
  apt-get install -yqq --no-install-recommends "$@" >&2 </dev/null && return
  apt-get update -qq >&2
  apt-get install -yqq --no-install-recommends "$@" >&2 </dev/null
}

# cluster runs a command of hack/cluster: the program itself, as "go run" would
# not pass a signal on.
cluster() {
  (
    cd "$ROOT/hack/cluster" || exit
    CGO_ENABLED=0 GOWORK=off go build -buildvcs=false -o "$ROOT/bin/cluster" .
    exec "$ROOT/bin/cluster" "$@"
  )
}
