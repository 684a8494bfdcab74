#!/bin/sh
# Waits until the Dockerfile that was fetched has been checked: the build engine builds some
# instructions differently, and the program that started the run knows which.
#
# Reads:
#   SUM      the SHA-256 of the Dockerfile's lines; empty if it cannot be checked
#   CHECKED  the file with the sum of the Dockerfile that was checked; empty until then
#   LIMIT    how many seconds to wait
#   RUN      the name of the run
set -eu

fail() {
  echo "pyflow: $*" >&2
  exit 1
}

[ -n "$SUM" ] || fail "the Dockerfile cannot be checked: it is a link, or has more than 64 KiB"
end=$(($(date +%s) + LIMIT))
seen=$(cat "$CHECKED")
until [ "$seen" = "$SUM" ]; do
  [ -z "$seen" ] || fail "the run fetched another Dockerfile than the one that was checked; start it again: kubectl pyflow rerun $RUN"
  [ "$(date +%s)" -lt "$end" ] || fail "the Dockerfile was not checked within $LIMIT seconds, so it is not built; kubectl pyflow checks it, and has to run until the source is fetched: kubectl pyflow rerun $RUN"
  sleep 0.2 2>/dev/null || sleep 1
  seen=$(cat "$CHECKED")
done
