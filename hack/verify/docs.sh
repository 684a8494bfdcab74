#!/usr/bin/env bash
# Every make target and every link to a file that a page names exists.
set -euo pipefail

# shellcheck source=hack/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
cd "$ROOT"

targets=$(make -s help | awk '{ print $1 }')
failed=0
report() {
  printf '%s\n' "$*" >&2
  failed=1
}
while read -r page; do
  # make TARGET at the start of a line or of a code span.
  while read -r target; do
    [[ -e hack/verify/${target#verify-}.sh ]] || grep -qx -- "$target" <<<"$targets" || report "$page: there is no make target $target"
  done < <(sed -nE 's/^(\$ )?make (-s )?([a-z0-9-]+).*/\3/p' "$page"; grep -oE '`make (-s )?[a-z0-9-]+[a-z0-9]\b' "$page" | awk '{ print $NF }')
  while read -r link; do
    [[ -e $(dirname "$page")/${link%%#*} ]] || report "$page: there is no file $link"
  done < <(grep -oE '\]\([^)#:]+(#[^)]*)?\)' "$page" | sed -E 's/^\]\(//; s/\)$//')
done < <(find . -name '*.md' -not -path './.git/*' -not -path '*/.venv/*' -not -path '*/testdata/*')
exit "$failed"
