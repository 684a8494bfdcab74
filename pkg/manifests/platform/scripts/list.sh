#!/bin/sh
# Lists the files of an image's layers, and the packages that they belong to.
#
# usage: list.sh LAYER...
#   LAYER  a layer as sha256/<hex>, from the lowest up, each once
# Reads:
#   IMAGE  the image, an OCI layout; its layers are removed as they are read
#   WORK   a directory to make and write in
# Prints the listing, gzip in base64. Its lines:
#   pyflow-inspect 1         the form of the listing
#   @escaped                 names are escaped as GNU tar does
#   @layer LAYER             the files that follow are of this layer
#   TSIZE NAME               a file: its type, its size in bytes, its name
#   @file NAME               the lines that follow, each after a space, are of this file,
#                            which says what a package is called, what it needs and which
#                            files it has, or what the system is
# Its programs are BusyBox's or GNU's: it uses the options that both have.
set -eu

fail() {
  echo "pyflow: $*" >&2
  exit 1
}

mkdir "$WORK"
cd "$WORK"
echo "pyflow-inspect 1" >listing
# GNU tar escapes unusual characters of a name, BusyBox's does not.
case $(tar --version 2>&1) in
  *"GNU tar"*) echo "@escaped" >>listing ;;
esac
for layer in "$@"; do
  blob=$IMAGE/blobs/$layer
  [ -f "$blob" ] || fail "the image has no layer $layer"
  case $(od -An -tx1 -N4 "$blob" | tr -d ' \n') in
    1f8b*) gzip -dc "$blob" >layer.tar ;;
    28b52ffd) fail "layer $layer is compressed by zstd, which this listing cannot read" ;;
    *) cp "$blob" layer.tar ;;
  esac
  rm "$blob"
  echo "@layer $layer"
  tar --numeric-owner -tvf layer.tar >verbose
  # A line of another form is the rest of a name with a line break.
  sed -n -E 's/^(.)[^ ]* +[^ ]+ +([0-9]+)(,[0-9]+)? +[-0-9]+ +[0-9:]+ (.*)$/\1\2 \4/p' verbose >files
  cat files

  # The files that describe packages; all of them are small. Hard links are left out:
  # BusyBox shows them as empty files.
  sed -n -E '/^-0 .* -> /d; s;^-[0-9]+ ([^-].*\.dist-info/(RECORD|METADATA)|(\./)?var/lib/dpkg/(status|status\.d/[^/]+|info/[^/]+\.list)|(\./)?(usr/)?lib/apk/db/installed|(\./)?(etc|usr/lib)/os-release)$;\1;p' files | sort -u >names
  if [ -s names ]; then
    mkdir tree
    tr '\n' '\0' <names | xargs -0 -n 500 tar -xf layer.tar -C tree
    chmod -R u+rwX tree
    (cd tree && find . -type f -exec awk '
      FNR == 1 { print "@file " FILENAME; head = 1 }
      /^\r?$/ { head = 0 }
      FILENAME ~ /\/RECORD$/ { sub(/,[^,]*,[^,]*$/, ""); print " " $0; next }
      FILENAME ~ /\.list$/ { print " " $0; next }
      FILENAME ~ /\.md5sums$/ { sub(/^[0-9a-f]+ +/, ""); print " " $0; next }
      FILENAME ~ /\/METADATA$/ { if (head && /^(Name|Version|License|License-Expression|Requires-Dist): /) print " " $0; next }
      FILENAME ~ /\/os-release$/ { if (/^(ID|VERSION_ID|PRETTY_NAME)=/) print " " $0; next }
      FILENAME ~ /\/apk\/db\/installed$/ { if (/^[PVAFR]:/) print " " $0; next }
      /^(Package|Version|Architecture): / { print " " $0 }
    ' {} +)
    rm -r tree
  fi
  rm layer.tar
done >>listing
gzip -c listing | base64 | tr -d '\n' | fold -w 4000 >log
# The kubelet keeps 10 MiB of a log.
[ "$(wc -c <log)" -le 8000000 ] || fail "the image has too many files to list in a log"
cat log
echo
